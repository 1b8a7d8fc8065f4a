"""The link under the model: each request meets the fate that the story names for it."""

import json
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import httpx
import msgpack

from tests.kit.sync import Key, knows
from tests.model.mortal import Died
from tests.model.server import Killed, Server
from tests.model.story import WELL

Clock = dict[str, int]
LATE_STEPS = 2


class Link(httpx.BaseTransport):
    """Between one server and all devices of the story, who speak one at a time. Keeps what the
    server has acknowledged, and looks on while requests arrive twice."""

    def __init__(self, server: Server, note: Callable[[str], None]) -> None:
        self._server = server
        self._note = note
        self._fates: deque[str] = deque()
        self._late: deque[tuple[int, httpx.Request, int | None]] = deque()
        self._step = 0
        self.history = 0
        """Counts how often the server was put back."""
        self.acknowledged: list[tuple[Key, Clock]] = []

    def expect(self, fates: Iterable[str]) -> None:
        """The fates of the next requests; all that follow go well."""
        self._fates = deque(fates)

    def step(self, number: int) -> None:
        """Time for the messages that were late."""
        self._step = number
        while self._late and self._late[0][0] <= number:
            _, request, history = self._late.popleft()
            self._deliver_late(request, history)

    def forget(self) -> None:
        """The server was put back: what it had acknowledged, devices have to bring again."""
        self.history += 1
        self.acknowledged.clear()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        fate = self._fates.popleft() if self._fates else WELL
        if fate in ("lost", "late", "down", "die before"):
            self._note(f"{fate}: {_name(request)}")
            self._withhold(request, fate)
        response = self._deliver(request, fate)
        if fate == "twice" and _is_taken(request, response):
            self._deliver_twin(request, response.status_code)
        if fate == "again":
            taken = self.history if _is_taken(request, response) else None
            self._late.append((self._step + LATE_STEPS, _copy(request), taken))
        if fate == "unanswered":
            raise httpx.ReadTimeout("the answer was lost", request=request)
        if fate == "die after":
            raise Died
        self._acknowledge(request, response)
        return response

    def _withhold(self, request: httpx.Request, fate: str) -> None:
        if fate == "late":
            self._late.append((self._step + LATE_STEPS, _copy(request), None))
        if fate == "die before":
            raise Died
        if fate == "down":
            raise httpx.ConnectError("nobody listens", request=request)
        raise httpx.ReadTimeout("the request was lost", request=request)

    def _deliver(self, request: httpx.Request, fate: str) -> httpx.Response:
        dies_after = int(fate.removeprefix("kill ")) if fate.startswith("kill") else None
        try:
            response = self._server.answer(request, dies_after)
        except Killed:
            self._note(f"killed: {_name(request)}")
            raise httpx.ReadTimeout("the server died", request=request) from None
        self._note(f"{fate}: {_name(request)} {_said(response)}")
        return response

    def _deliver_twin(self, request: httpx.Request, status: int) -> None:
        before = self._server.position()
        again = self._server.answer(_copy(request))
        self._note(f"twin: {_name(request)} {_said(again)}")
        assert again.status_code == status
        assert self._server.position() == before, "a push sent again changed something"

    def _deliver_late(self, request: httpx.Request, taken: int | None) -> None:
        before = self._server.position()
        response = self._server.answer(request)
        self._note(f"at last: {_name(request)} {_said(response)}")
        if taken == self.history:
            assert self._server.position() == before, "a push that came again changed something"

    def _acknowledge(self, request: httpx.Request, response: httpx.Response) -> None:
        if not _is_taken(request, response):
            return
        changes = _value(request)["changes"]
        for change, result in zip(changes, _value(response)["results"], strict=True):
            if result["verdict"] in ("applied", "replayed", "conflict"):
                key = (change["collection"], change["id"])
                self.acknowledged.append((key, change["vector_clock"]))

    def check_kept(self, stored: dict[Key, list[Clock]], may_lack: Callable[[Key], bool]) -> None:
        """Everything acknowledged is there, or something that has seen it."""
        for key, clock in self.acknowledged:
            if key in stored or not may_lack(key):
                found = stored.get(key, [])
                assert any(knows(each, clock) for each in found), "an acknowledged change is gone"


def _is_taken(request: httpx.Request, response: httpx.Response) -> bool:
    return request.url.path == "/sync/push" and response.is_success


def _copy(request: httpx.Request) -> httpx.Request:
    return httpx.Request(
        request.method, request.url, headers=request.headers, content=request.content
    )


def _name(request: httpx.Request) -> str:
    return f"{request.method} {request.url.path}"


def _value(message: httpx.Request | httpx.Response) -> Any:
    """What its body holds, in whichever form."""
    is_packed = message.headers["Content-Type"] == "application/msgpack"
    return msgpack.unpackb(message.content) if is_packed else json.loads(message.content)


def _said(response: httpx.Response) -> str:
    body: Any = _value(response) if response.content else {}
    if not response.is_success:
        return f"{response.status_code} {body['code']} {body.get('reason', '')}"
    verdicts = [each.get("code", each["verdict"]) for each in body.get("results", ())]
    return f"{response.status_code} {' '.join(verdicts)}{len(body.get('changes', ()))}"
