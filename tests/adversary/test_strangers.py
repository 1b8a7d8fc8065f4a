"""What belongs to somebody else is answered like what never was: for every id in every call."""

import base64
import json
import random
import re
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.config import Settings
from app.main import create_app
from tests.conftest import settings_for
from tests.kit.calls import CALLS, OPENING, Build, Call, Route, send
from tests.kit.clock import SetClock
from tests.kit.device import Device
from tests.kit.identity import records, served, tables, user_file
from tests.kit.keys import b64, b64url, new_key
from tests.kit.party import Party

NOT_IDS = frozenset({
    "device_type", "platform", "device_name", "purpose",
    "collection", "key_epoch", "is_deleted", "atomic", "confirm_deletes",
    "collections", "limit", "wait", "changes", "bucket", "delay_seconds", "only_renew",
})  # fmt: skip
KNOWN_TO_ITS_BEARER = {
    ("POST", "/auth/pairings/{pairing_id}/join", "pairing_id"): "signature_invalid",
    ("POST", "/auth/refresh", "refresh_token"): "proof_invalid",
    ("PUT", "/auth/recovery", "locator"): "recovery_locator_taken",
}
"""Secrets that say themselves whose they are: the id in a QR code, which is there for somebody whom
the server does not know, a refresh token with the server's own seal, and a phrase's locator, which
only one account can have. Who has one learns that it is real, and with which code; and nothing
else."""
VOLATILE_HEADERS = {"x-request-id", "date", "dpop-nonce"}


# --- What is put in the place of an id: somebody else's, and nobody's


def _nobodys_bytes(theirs: str, chance: random.Random) -> str:
    return b64(chance.randbytes(len(base64.b64decode(theirs))))


def _theirs(name: str, them: Party, chance: random.Random) -> Any:
    device, pairing = them.some(chance), chance.choice(them.pairings)
    found: dict[str, Callable[[], Any]] = {
        "device_id": lambda: device.id,
        "pairing_id": lambda: pairing.id,
        "id": lambda: chance.choice(them.items),
        "entry_id": lambda: chance.choice(them.items),
        "vector_clock": lambda: {device.id: 1},
        "cursor": lambda: chance.choice(them.cursors),
        "reset_from": lambda: chance.choice(them.cursors),
        "key_thumbprint": lambda: device.key.thumbprint_text,
        "public_key": lambda: device.key.pem,
        "wrapping_key": lambda: them.wrapping_key,
        "wrapping_key_signature": lambda: pairing.join_fields["wrapping_key_signature"],
        "signature": lambda: pairing.join_fields["signature"],
        "challenge": lambda: them.challenge,
        "proof_of_work": lambda: them.challenge,
        "refresh_token": lambda: chance.choice(them.refresh_tokens),
        "commitment": lambda: pairing.nonce,
        "nonce": lambda: pairing.nonce,
        "mac": lambda: pairing.join_fields["mac"],
        "wrapped_cek": lambda: pairing.approval["wrapped_cek"],
        "ciphertext": lambda: pairing.approval["ciphertext"],
        "locator": lambda: b64(them.phrase.locator),
        "authenticator": lambda: b64(them.phrase.authenticator),
        "authenticator_hash": lambda: them.phrase.kept()["authenticator_hash"],
        "bundle": lambda: b64(them.phrase.bundle),
        "encrypted_data": lambda: chance.choice(them.ciphertexts),
    }
    return found[name]() if name in found else None


def _nobodys(name: str, theirs: Any, chance: random.Random) -> Any:
    if name in ("device_id", "pairing_id", "id", "entry_id"):
        return str(uuid.UUID(bytes=chance.randbytes(16), version=4))
    if name == "vector_clock":
        return {str(uuid.UUID(bytes=chance.randbytes(16), version=4)): 1}
    if name in ("public_key", "wrapping_key"):
        return new_key().pem
    if name in ("cursor", "reset_from", "key_thumbprint", "refresh_token"):
        raw = base64.urlsafe_b64decode(theirs + "==")
        return b64url(raw[:1] + chance.randbytes(len(raw) - 1))
    return _nobodys_bytes(theirs, chance)


# --- Sending, and what is compared


def shown(answer: httpx.Response, sent: Any) -> tuple[Any, ...]:
    """What somebody could tell apart: of a refusal every byte, of a success its shape; what was
    sent and is said again counts as the same."""
    headers = sorted(
        (name, value) for name, value in answer.headers.items() if name not in VOLATILE_HEADERS
    )
    if answer.is_success:
        plain = [pair for pair in headers if pair[0] != "content-length"]
        return answer.status_code, plain, _shape(answer.json() if answer.content else None)
    return answer.status_code, headers, answer.content.replace(str(sent).encode(), b"<sent>")


def _shape(value: Any) -> Any:
    """Names, types and short words; ids, tokens and times are fresh each time."""
    if isinstance(value, dict):
        return {name: _shape(inner) for name, inner in sorted(value.items())}
    if isinstance(value, list):
        return [_shape(each) for each in value]
    if isinstance(value, str):
        return value if re.fullmatch(r"[a-z_]{0,14}", value) else "text"
    return "number" if type(value) is int and value > 1000 else value


class Swaps:
    """One account's calls with parts of another's, each beside a part that nobody has."""

    def __init__(self, me: Party, them: Party, chance: random.Random) -> None:
        self.me = me
        self.them = them
        self.chance = chance
        self.secrets = them.secrets()
        self.made: list[tuple[Route, str]] = []

    async def all_of(self, route: Route, build: Build) -> None:
        call = await self._built(build, {})
        swapped = [name for name in dict.fromkeys(call.names()) if name not in NOT_IDS]
        for name in swapped:
            await self._swap_part(route, build, name)
        await self._end(call)
        if call.way in ("token", "proven"):
            await self._swap_token(route, build)
        if call.way in ("proven", "joiner", "refresh"):
            await self._swap_proof(route, build)

    async def _swap_part(self, route: Route, build: Build, name: str) -> None:
        theirs = _theirs(name, self.them, self.chance)
        assert theirs is not None, f"{route}: say in _theirs what stands for {name}"
        nobodys = _nobodys(name, theirs, self.chance)
        first = await self._sent(route, build, name, theirs)
        self.check(route, name, first, theirs)
        if code := KNOWN_TO_ITS_BEARER.get((*route, name)):
            assert first.json()["code"] in (code, "pairing_conflict"), (route, name)
            return
        second = await self._sent(route, build, name, nobodys)
        assert shown(first, theirs) == shown(second, nobodys), (route, name)
        if name in ("device_id", "pairing_id") and f"{{{name}}}" in route[1]:
            assert first.status_code == 404, (route, name)

    async def _sent(self, route: Route, build: Build, name: str, value: Any) -> httpx.Response:
        call = await self._built(build, {name: value})
        call.put(name, value)
        answer = await send(route, call)
        await self._end(call)
        if route == OPENING and answer.is_success:
            await self.me.device.call("DELETE", f"/auth/pairings/{answer.json()['pairing_id']}")
        return answer

    async def _swap_token(self, route: Route, build: Build) -> None:
        """Parts of two good access tokens make no third; neither do parts that nobody made."""
        mine = self.me.device.session["access_token"].split(".")
        theirs = self.them.some(self.chance).session["access_token"].split(".")
        nobodys = [mine[0], b64url(self.chance.randbytes(200)), b64url(self.chance.randbytes(32))]
        mixed = [
            [mine[0], theirs[1], mine[2]],
            [mine[0], mine[1], theirs[2]],
            [theirs[0], theirs[1], mine[2]],
            [theirs[0], theirs[1], nobodys[2]],
        ]
        call = await self._built(build, {})
        reference = shown(await send(route, call, token=".".join(nobodys)), None)
        assert reference[0] == 401
        for parts in mixed:
            answer = await send(route, call, token=".".join(parts))
            self.check(route, "access token", answer, None)
            assert shown(answer, None) == reference, route
        await self._end(call)

    async def _swap_proof(self, route: Route, build: Build) -> None:
        """Another's proof for this very call is worth what a stranger's is."""
        answers = []
        for key in (self.them.some(self.chance).key, new_key()):
            call = await self._built(build, {})
            prover = Device(call.sender.http, key, clock=call.sender.clock)
            prover.nonce = call.sender.nonce
            path = route[1].format(**call.path)
            token = call.sender.session.get("access_token")
            if call.way == "refresh" and call.body:
                token = call.body["refresh_token"]
            proof = prover.proof(route[0], path, None if call.way == "joiner" else token)
            answers.append(await send(route, call, proof=proof))
            await self._end(call)
        self.check(route, "proof", answers[0], None)
        assert answers[0].status_code in (401, 404)
        assert shown(answers[0], None) == shown(answers[1], None), route

    def check(self, route: Route, name: str, answer: httpx.Response, sent: Any) -> None:
        """Counts, and sees that nothing of theirs is in the answer but what was sent."""
        self.made.append((route, name))
        told = answer.text + str(answer.headers)
        repeated = json.dumps(sent)
        found = {each for each in self.secrets if each in told and each not in repeated}
        assert not found, (route, name)
        assert answer.status_code < 500

    async def _built(self, build: Build, given: dict[str, Any]) -> Call:
        return await build(self.me, given)

    async def _end(self, call: Call) -> None:
        if call.pairing is not None:
            await call.pairing.cancel()


# --- Every call, every id


def described(settings: Settings) -> dict[Route, tuple[set[str], bool]]:
    """Each route of the application: the names of all that it reads, and whether it asks who."""
    document = create_app(settings).openapi()
    schemas = document["components"]["schemas"]

    def names(schema: dict[str, Any]) -> Iterator[str]:
        if "$ref" in schema:
            yield from names(schemas[schema["$ref"].rsplit("/", 1)[-1]])
        for name, inner in schema.get("properties", {}).items():
            yield name
            yield from names(inner)
        inside = [schema["items"]] if "items" in schema else []
        for inner in (*inside, *schema.get("anyOf", ()), *schema.get("allOf", ())):
            yield from names(inner)

    found = {}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            read = {each["name"] for each in operation.get("parameters", ())}
            for content in operation.get("requestBody", {}).get("content", {}).values():
                read |= set(names(content["schema"]))
            found[method.upper(), path] = (read, bool(operation["security"]))
    return found


@dataclass
class Rooms:
    """The files of one account, to see that nothing moved in them."""

    data: Path
    party: Party

    def __call__(self) -> tuple[Any, ...]:
        user_id = self.party.device.user_id
        mine = [
            sorted(
                (row for row in records(self.data / "master.db", table) if user_id in row.values()),
                key=repr,
            )
            for table in ("device", "pairing", "recovery")
        ]
        return mine, tables(user_file(self.data, user_id))


@pytest.fixture
def roomy(tmp_path: Path) -> Settings:
    return settings_for(tmp_path, max_devices=60)


async def swap_everything(
    settings: Settings, clock: SetClock, chance: random.Random, at_least: int
) -> None:
    made: list[tuple[Route, str]] = []
    async with served(settings, clock) as http:
        other = await Party.of(http, clock)
        untouched = Rooms(settings.data_dir, other)
        before = untouched()
        while len(made) < at_least:
            made += await one_round(await Party.of(http, clock), other, chance)
        assert untouched() == before
        assert (await other.device.refresh()).is_success
    print(f"{len(made)} swaps in {len(set(made))} places of {len(CALLS)} calls")
    check_places(settings, set(made))


async def one_round(me: Party, them: Party, chance: random.Random) -> list[tuple[Route, str]]:
    for pairing in me.pairings:
        await pairing.cancel()
    swaps = Swaps(me, them, chance)
    for route, builds in CALLS.items():
        for build in builds:
            await swaps.all_of(route, build)
    return swaps.made


def check_places(settings: Settings, made: set[tuple[Route, str]]) -> None:
    """No call and no id was left out: a new one is missing here until it is written down."""
    routes = described(settings)
    assert set(CALLS) == set(routes)
    for route, (names, asks_who) in routes.items():
        swapped = {name for at, name in made if at == route}
        assert names - NOT_IDS - swapped == set(), route
        if asks_who:
            assert swapped & {"access token", "proof"}, route


async def test_what_is_anothers_is_answered_like_what_never_was(
    roomy: Settings, clock: SetClock, chance: random.Random
) -> None:
    await swap_everything(roomy, clock, chance, 1)


@pytest.mark.soak
async def test_five_hundred_swaps_tell_nothing_apart(
    roomy: Settings, clock: SetClock, chance: random.Random
) -> None:
    await swap_everything(roomy, clock, chance, 500)
