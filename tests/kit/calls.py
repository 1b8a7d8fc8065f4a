"""Every call of the server as its rightful caller would make it, to be changed in one part."""

import json
import uuid
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.kit.account import deletion
from tests.kit.device import Device
from tests.kit.identity import Pairing, vouched
from tests.kit.keys import b64, new_key
from tests.kit.party import Party
from tests.kit.recovery import Phrase

Route = tuple[str, str]


@dataclass
class Call:
    """A good request, whose parts can be put in another's place."""

    sender: Device
    way: str
    """token, proven (token and proof), joiner (proof alone), refresh, or nobody."""
    path: dict[str, str] = field(default_factory=dict)
    query: dict[str, str] = field(default_factory=dict)
    body: dict[str, Any] | None = None
    pairing: Pairing | None = None

    def names(self) -> Iterator[str]:
        yield from self.path
        yield from self.query
        yield from _names(self.body)

    def put(self, name: str, value: Any) -> None:
        for part in (self.path, self.query, self.body):
            _put(part, name, value)


def _names(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for each in value:
            yield from _names(each)
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield name
            if name != "vector_clock":
                yield from _names(inner)


def _put(value: Any, name: str, new: Any) -> None:
    for each in value if isinstance(value, list) else ():
        _put(each, name, new)
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == name:
                value[key] = new
            else:
                _put(inner, name, new)


Build = Callable[[Party, dict[str, Any]], Awaitable[Call]]
"""A fresh call of this party. What will be swapped is given, so that it can be signed as well."""


def plain(way: str, **parts: Any) -> Build:
    async def build(me: Party, _: dict[str, Any]) -> Call:
        return Call(me.device, way, **json.loads(json.dumps(parts)))

    return build


async def _registering(me: Party, given: dict[str, Any]) -> Call:
    sender = Device(me.device.http, new_key(), clock=me.device.clock)
    body = await sender.registration(**vouched(sender.key, new_key(), sender.origin))
    if "challenge" in given:
        body["signature"] = sender.answer_to("echolia/register/v1", given["challenge"])
    return Call(sender, "nobody", body=body | {"proof_of_work": b64(b"nothing")})


async def _logging_in(me: Party, given: dict[str, Any]) -> Call:
    asked = {"key_thumbprint": me.device.key.thumbprint_text}
    fresh = (await me.device.call("POST", "/auth/challenge", asked, token=None)).json()
    challenge = given.get("challenge", fresh["challenge"])
    signature = me.device.answer_to("echolia/login/v1", challenge)
    body = asked | {"challenge": challenge, "signature": signature}
    return Call(me.device, "nobody", body=body)


async def _asking(me: Party, _: dict[str, Any]) -> Call:
    return Call(me.device, "nobody", body={"key_thumbprint": me.device.key.thumbprint_text})


async def _refreshing(me: Party, _: dict[str, Any]) -> Call:
    sender = Device(me.device.http, me.device.key, clock=me.device.clock, nonce=me.device.nonce)
    (await sender.log_in()).raise_for_status()
    return Call(sender, "refresh", body={"refresh_token": sender.session["refresh_token"]})


async def _revoking(me: Party, _: dict[str, Any]) -> Call:
    return Call(me.device, "proven", path={"device_id": me.second.id})


async def _pushing(me: Party, _: dict[str, Any]) -> Call:
    change = me.device.change(collection="tags", entry_id=str(uuid.uuid4()))
    body = {"changes": [change | {"device_id": me.device.id}], "reset_from": me.cursors[0]}
    return Call(me.device, "token", body=body)


async def _pulling(me: Party, _: dict[str, Any]) -> Call:
    return Call(me.device, "token", query={"cursor": me.cursors[-1]})


async def _keeping(me: Party, _: dict[str, Any]) -> Call:
    return Call(me.device, "proven", body=Phrase().kept())


async def _recovering(me: Party, given: dict[str, Any]) -> Call:
    phrase = Phrase()
    (await phrase.put(me.device)).raise_for_status()
    sender = Device(me.device.http, new_key(), clock=me.device.clock)
    fields = vouched(sender.key, new_key(), sender.origin)
    body = await phrase.attempt(sender, **fields)
    if "challenge" in given:
        body["signature"] = sender.answer_to("echolia/recover/v1", given["challenge"])
    return Call(sender, "nobody", body=body)


async def _deleting(me: Party, _: dict[str, Any]) -> Call:
    """By a device of an account that is soon gone, should a swap let it through."""
    sender = Device(me.device.http, new_key(), clock=me.device.clock)
    (await sender.register()).raise_for_status()
    return Call(sender, "proven", body=await deletion(sender))


def in_pairing(state: str, way: str, body: Callable[[Pairing], Any] = lambda _: None) -> Build:
    async def build(me: Party, _: dict[str, Any]) -> Call:
        guest = Device(me.device.http, clock=me.device.clock, nonce=me.device.nonce)
        pairing = await (await Pairing.open(me.device, guest)).until(state)
        sender = guest if way in ("joiner", "nobody") else me.device
        return Call(sender, way, {"pairing_id": pairing.id}, body=body(pairing), pairing=pairing)

    return build


OPENING = ("POST", "/auth/pairings")
PAIRING = "/auth/pairings/{pairing_id}"
CALLS: dict[Route, list[Build]] = {
    ("GET", "/"): [plain("nobody")],
    ("GET", "/health"): [plain("nobody")],
    ("POST", "/auth/register/challenge"): [plain("nobody", body={})],
    ("POST", "/auth/register"): [_registering],
    ("POST", "/auth/challenge"): [_asking],
    ("POST", "/auth/login"): [_logging_in],
    ("POST", "/auth/refresh"): [_refreshing],
    ("POST", "/auth/logout"): [plain("token")],
    ("GET", "/auth/devices"): [plain("token")],
    ("DELETE", "/auth/devices/{device_id}"): [_revoking],
    OPENING: [plain("proven", body={"commitment": b64(bytes(32))})],
    ("GET", PAIRING): [in_pairing("joined", "token"), in_pairing("revealed", "joiner")],
    ("DELETE", PAIRING): [in_pairing("joined", "token"), in_pairing("revealed", "joiner")],
    ("POST", f"{PAIRING}/join"): [in_pairing("open", "nobody", lambda p: p.join_fields)],
    ("POST", f"{PAIRING}/reveal"): [in_pairing("joined", "token", lambda p: {"nonce": p.nonce})],
    ("POST", f"{PAIRING}/approve"): [in_pairing("revealed", "proven", lambda p: p.approval)],
    ("POST", f"{PAIRING}/collect"): [in_pairing("approved", "joiner", lambda _: {})],
    ("POST", f"{PAIRING}/complete"): [in_pairing("approved", "joiner", lambda _: {})],
    ("PUT", "/auth/recovery"): [_keeping],
    ("DELETE", "/auth/recovery"): [plain("proven")],
    ("DELETE", "/auth/recovery/pending"): [plain("proven")],
    ("POST", "/auth/recover"): [_recovering],
    ("GET", "/account"): [plain("token")],
    ("POST", "/account/export"): [plain("proven")],
    ("DELETE", "/account"): [_deleting],
    ("POST", "/sync/push"): [_pushing],
    ("GET", "/sync/pull"): [_pulling],
    ("GET", "/sync/digest"): [plain("token", query={"collection": "entries"})],
    ("GET", "/sync/status"): [plain("token")],
}


async def send(
    route: Route, call: Call, *, token: str | None = None, proof: str | None = None
) -> httpx.Response:
    """The call, with its own credentials or with others in their place."""
    method, template = route
    path = template.format(**call.path)
    access = call.sender.session.get("access_token") if token is None else token
    if call.way in ("joiner", "nobody", "refresh"):
        access = None
    headers = {}
    if call.way in ("proven", "joiner", "refresh"):
        said = call.body["refresh_token"] if call.way == "refresh" and call.body else access
        headers["DPoP"] = proof or call.sender.proof(method, path, said)
    return await call.sender.call(
        method, path, call.body, token=access, params=call.query or None, headers=headers
    )
