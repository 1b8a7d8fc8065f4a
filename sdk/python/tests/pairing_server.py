"""The pairing part of a server in memory, and the two devices on its sides. The real server is the
judge of what is right; this one can be made to lie, to lose and to hide."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from echolia._answers import Answer
from echolia._calls import Call, Exchange
from echolia._canonical import new_id
from echolia._errors import Offline, Refused
from echolia._keyring import Keyring
from echolia._pairing import Invitation
from echolia._pairing_flow import Inviter, Joining

Fields = dict[str, Any]
E, N = "existing", "new"


@dataclass
class Middle:
    """The pairing part of a server. Honest as it stands; what it says to whom can be changed."""

    existing: Keyring
    pairing_id: str = field(default_factory=new_id)
    state: str = "open"
    join: Fields = field(default_factory=dict)
    nonce: str | None = None
    parcel: Fields = field(default_factory=dict)
    heard: list[tuple[str, str]] = field(default_factory=list)
    """Who called what, in order."""

    def handle(self, who: str, call: Call) -> Answer:
        step = call.path.rsplit("/", 1)[-1]
        step = f"{call.method} pairing" if len(step) == 36 else step
        self.heard.append((who, step))
        body = dict(call.body or {})
        answers: dict[str, Callable[[], Fields]] = {
            "pairings": lambda: {"pairing_id": self.pairing_id, "expires_in": 300},
            "join": lambda: self.joined(body),
            "GET pairing": lambda: self.seen(who),
            "reveal": lambda: self.revealed(body),
            "approve": lambda: self.approved(body),
            "collect": self.collected,
            "complete": self.completed,
            "DELETE pairing": self.cancelled,
        }
        return Answer(answers[step]())

    def joined(self, body: Fields) -> Fields:
        if self.join and self.join["public_key"] != body["public_key"]:
            self.state = "conflict"
            raise Refused(409, "pairing_conflict")
        self.join, self.state = body, "joined"
        return self.seen(N)

    def seen(self, who: str) -> Fields:
        shown = {"state": self.state, "conflict": self.state == "conflict"}
        return shown | self.join | ({"existing_nonce": self.nonce} if self.nonce else {})

    def revealed(self, body: Fields) -> Fields:
        self.nonce, self.state = body["nonce"], "revealed"
        return self.seen(E)

    def approved(self, body: Fields) -> Fields:
        self.parcel, self.state = body, "approved"
        return self.seen(E)

    def collected(self) -> Fields:
        user = {"user_id": self.existing.user_id}
        return self.parcel | user | {"public_key": self.existing.signing.public.pem}

    def completed(self) -> Fields:
        tokens = {"access_token": "a", "refresh_token": "r"}
        return {"user_id": self.existing.user_id, "device_id": new_id()} | tokens

    def cancelled(self) -> Fields:
        self.state = "cancelled"
        return {}


def carry(server: Middle, who: str, exchange: Exchange[Any]) -> Any:
    """Runs one side's exchange against the server, to its end."""
    try:
        call = next(exchange)
        while True:
            try:
                answer = server.handle(who, call)
            except (Refused, Offline) as error:
                call = exchange.throw(error)
            else:
                call = exchange.send(answer)
    except StopIteration as stop:
        return stop.value


@dataclass
class Scene:
    """Two people with two devices, and somebody in between."""

    server: Middle
    inviter: Inviter
    new: Keyring
    link: Invitation | None = None
    joining: Joining | None = None

    def show(self) -> Invitation:
        self.link = carry(self.server, E, self.inviter.start())
        assert self.link is not None
        return self.link

    def join(self, link: Invitation | None = None) -> Joining:
        link = link or self.link or self.show()
        self.joining = Joining(self.new, link, os.urandom(16))
        carry(self.server, N, self.joining.join())
        return self.joining

    def accept_join(self) -> None:
        carry(self.server, E, self.inviter.wait_for_join(0))

    def code(self) -> str:
        assert self.joining is not None
        return str(carry(self.server, N, self.joining.wait_for_code(0)))

    def approve(self, code: str) -> None:
        carry(self.server, E, self.inviter.approve(code))

    def keys(self) -> tuple[str, dict[int, bytes]]:
        assert self.joining is not None
        found: tuple[str, dict[int, bytes]] = carry(self.server, N, self.joining.wait_for_keys(0))
        return found

    def up_to_code(self) -> str:
        self.show()
        self.join()
        self.accept_join()
        return self.code()

    def up_to_parcel(self) -> None:
        self.approve(self.up_to_code())

    def nothing_left(self) -> bool:
        """Whether the existing device has kept its keys to itself."""
        return "approve" not in [step for who, step in self.server.heard if who == E]
