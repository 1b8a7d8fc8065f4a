"""Canaries in every field a client can fill: none of them reaches a log, none comes back in a
refusal, and on disk lies only what the server is there to keep.

One run against a real server process, at its most talkative; the tests read what is left of it.
"""

import asyncio
import base64
import inspect
import json
import secrets
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from app import events
from app.http.bodies import JsonBody
from app.main import create_app
from app.sync.models import ChangeIn
from demo.needles import Needle, bytes_needle, text_needle
from demo.sweep import Sieve, Swept, sweep
from tests.conftest import settings_for
from tests.kit.device import Device
from tests.kit.keys import DeviceKey, b64, b64url, new_key
from tests.kit.pair import as_joiner, join_body
from tests.kit.server import ServerProcess

MASTER, USER, LOG = "master.db", "user_", "server.log"
REQUEST_HEADERS = (
    *("User-Agent", "Referer", "Cookie", "Accept", "Accept-Language", "Origin", "Range"),
    *("X-Forwarded-For", "Forwarded", "X-Real-IP", "X-Request-Id", "traceparent"),
    *("If-None-Match", "X-Anything"),
)


@dataclass
class Canaries:
    """Texts and bytes that occur nowhere else, each with the files in which it may lie."""

    allowed: dict[Needle, frozenset[str]] = field(default_factory=dict)

    def text(self, where: str, *allowed: str) -> str:
        """A new text for a field."""
        return self.known_text(where, f"canary {secrets.token_hex(8)}", *allowed)

    def known_text(self, where: str, text: str, *allowed: str) -> str:
        needle = text_needle("text", where, text)
        assert needle is not None
        self.allowed[needle] = frozenset(allowed)
        return text

    def random(self, where: str, *allowed: str, size: int = 32) -> bytes:
        """New bytes for a field that takes base64."""
        return self.known(where, secrets.token_bytes(size), *allowed)

    def known(self, where: str, value: bytes, *allowed: str) -> bytes:
        self.allowed[bytes_needle("bytes", where, value)] = frozenset(allowed)
        return value


@dataclass(frozen=True)
class Answer:
    """What came back, with the place it came from."""

    asked: str
    status: int
    data: bytes
    request_id: str | None = None


@dataclass
class Scene:
    """What a run leaves behind: files while the server runs and after it ended, and answers."""

    canaries: Canaries = field(default_factory=Canaries)
    answers: list[Answer] = field(default_factory=list)
    sweeps: dict[str, Swept] = field(default_factory=dict)
    log: str = ""

    def sieve(self) -> Sieve:
        return Sieve(self.canaries.allowed)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    folder = tmp_path_factory.mktemp("canary")
    scene = Scene()
    roots = [folder / "data", folder / LOG]
    with ServerProcess(folder, LOG_LEVEL="debug") as server:
        asyncio.run(_Run(scene, server).everything())
        scene.sweeps["while it runs"] = sweep(scene.sieve(), roots)
    scene.sweeps["after it ended"] = sweep(scene.sieve(), roots)
    scene.log = (folder / LOG).read_text()
    return scene


# --- what must hold -----------------------------------------------------------------------------


@pytest.mark.parametrize("moment", ["while it runs", "after it ended"])
def test_no_file_holds_what_it_is_not_there_to_keep(scene: Scene, moment: str) -> None:
    misplaced = [
        str(find)
        for find in scene.sweeps[moment].finds
        if not any(_is_in(find.file, kind) for kind in scene.canaries.allowed[find.needle])
    ]
    assert sorted(misplaced) == []


def test_the_sweep_sees_what_the_server_does_keep(scene: Scene) -> None:
    swept = scene.sweeps["while it runs"]
    seen = {
        (find.needle.where, kind)
        for find in swept.finds
        for kind in (MASTER, USER)
        if _is_in(find.file, kind)
    }
    kept = {("device_name of the first", MASTER), ("device_name of the first", USER)}
    kept |= {(f"encrypted_data in {name}", USER) for name in ("entries", "memories", "tags")}
    kept |= {("id of the account", MASTER), ("commitment", MASTER), ("new nonce", MASTER)}
    assert kept <= seen


@pytest.mark.parametrize(
    "where",
    [
        "encrypted_data in entries",
        "ciphertext",
        "wrapped_cek",
        "signature of the approval",
    ],
)
def test_what_was_replaced_or_handed_over_is_gone_from_the_disk_once_the_server_has_ended(
    scene: Scene, where: str
) -> None:
    before, after = scene.sweeps["while it runs"], scene.sweeps["after it ended"]
    assert where in {find.needle.where for find in before.finds}
    assert [str(find) for find in after.finds if find.needle.where == where] == []


def test_no_refusal_repeats_what_was_sent(scene: Scene) -> None:
    sieve = Sieve(n for n in scene.canaries.allowed if not n.where.startswith("id of"))
    repeated = {
        (answer.asked, answer.status, needle.where)
        for answer in scene.answers
        if answer.status >= 400
        for _, needle in sieve.matches(answer.data)
    }
    assert repeated == set()


def test_every_way_of_refusing_was_met_and_nothing_broke(scene: Scene) -> None:
    seen = {answer.status for answer in scene.answers}
    assert {200, 201, 204, 400, 401, 403, 404, 405, 409, 413, 415, 422} <= seen
    assert not any(answer.status >= 500 for answer in scene.answers)


def test_every_line_of_the_log_is_an_event_of_the_closed_list(scene: Scene) -> None:
    known = {name for name, it in vars(events).items() if inspect.isfunction(it)}
    strange = [line for line in scene.log.splitlines() if _event_of(line) not in known]
    assert strange == []


def test_the_log_names_nobody_and_no_path(scene: Scene) -> None:
    logged = [_fields_of(line) for line in scene.log.splitlines()]
    assert {"server_started", "request_handled", "push_accepted", "server_stopped"} <= {
        fields.get("event") for fields in logged
    }
    assert "127.0.0.1" not in scene.log
    routes = {fields["route"] for fields in logged if "route" in fields}
    assert routes <= {route.path for route in _routes()} | {"(none)"}


def test_every_answer_is_found_in_the_log_by_its_id_alone(scene: Scene) -> None:
    logged = {_fields_of(line).get("request_id") for line in scene.log.splitlines()}
    heard = [answer for answer in scene.answers if answer.request_id is not None]
    assert len(heard) > 500
    assert [answer.asked for answer in heard if answer.request_id not in logged] == []


# --- the run ------------------------------------------------------------------------------------


class _Run:
    """Uses everything as it is meant to be, then fills every field with what does not belong."""

    def __init__(self, scene: Scene, server: ServerProcess) -> None:
        self.scene, self.canaries, self.server = scene, scene.canaries, server
        self.pairing_id = ""

    async def everything(self) -> None:
        headers = {name: self.canaries.text(f"header {name}") for name in REQUEST_HEADERS}
        headers[f"X-{self.canaries.text('name of a header').replace(' ', '-')}"] = "1"
        self.canaries.known_text("name of a header", next(reversed(headers)))
        hooks = {"response": [self._heard]}
        async with httpx.AsyncClient(
            base_url=self.server.url, headers=headers, event_hooks=hooks, trust_env=False
        ) as http:
            self.first = await self._registered(http)
            await self._items()
            self.second = await self._paired(http)
            await self._sessions()
            await self._bodies()
            await self._valid_but_for_one_field()
            await self._paths_queries_and_methods()
            await self._credentials()
            await self._broken_bodies()
        await self._broken_requests()

    async def _heard(self, answer: httpx.Response) -> None:
        await answer.aread()
        head = b"\n".join(name + b": " + value for name, value in answer.headers.raw)
        asked = f"{answer.request.method} {answer.request.url.path}"
        request_id = answer.headers.get("X-Request-Id")
        data = head + b"\n" + answer.content
        self.scene.answers.append(Answer(asked, answer.status_code, data, request_id))

    # --- as it is meant to be

    async def _registered(self, http: httpx.AsyncClient) -> Device:
        device = Device(http, new_key(), origin=self.server.url)
        name = self.canaries.text("device_name of the first", MASTER, USER)
        (await device.register(device_name=name)).raise_for_status()
        self._note_device(device)
        return device

    async def _items(self) -> None:
        changes = []
        for collection in ("entries", "memories", "tags"):
            data = self.canaries.random(f"encrypted_data in {collection}", USER, size=12_000)
            change = self.first.change(data=data, collection=collection)
            self.canaries.known_text("id of an item", change["id"], USER)
            changes.append(change)
        (await self.first.push(*changes)).raise_for_status()
        gone = changes[0] | {"is_deleted": True, "vector_clock": {self.first.id: 2}}
        tombstone = self.canaries.random("encrypted_data of a tombstone", USER)
        (await self.first.push(gone | {"encrypted_data": b64(tombstone)})).raise_for_status()
        (await self.first.pull()).raise_for_status()

    async def _paired(self, http: httpx.AsyncClient) -> Device:
        new, nonce = Device(http, new_key(), origin=self.server.url), secrets.token_bytes(32)
        commitment = self.canaries.known("commitment", sha256(nonce).digest(), MASTER)
        body: dict[str, Any] = {"commitment": b64(commitment)}
        opened = await self.first.call("POST", "/auth/pairings", body, proof=True)
        self.pairing_id = str(opened.raise_for_status().json()["pairing_id"])
        self.canaries.known_text("id of a pairing", self.pairing_id, MASTER)
        path = f"/auth/pairings/{self.pairing_id}"
        name = self.canaries.text("device_name of the second", MASTER, USER)
        body = join_body(new, self.first, self.pairing_id, device_name=name)
        body["mac"] = b64(self.canaries.random("mac", MASTER))
        self.canaries.known("new nonce", base64.b64decode(body["nonce"]), MASTER)
        (await new.call("POST", f"{path}/join", body, token=None)).raise_for_status()
        self.canaries.known("existing nonce", nonce, MASTER)
        (await self.first.call("POST", f"{path}/reveal", {"nonce": b64(nonce)})).raise_for_status()
        approval = {
            "key_thumbprint": new.key.thumbprint_text,
            "wrapped_cek": b64(self.canaries.random("wrapped_cek", MASTER, size=384)),
            "ciphertext": b64(self.canaries.random("ciphertext", MASTER, size=12_000)),
            "signature": b64(self.canaries.random("signature of the approval", MASTER, size=64)),
        }
        approved = await self.first.call("POST", f"{path}/approve", approval, proof=True)
        approved.raise_for_status()
        (await as_joiner(new, "POST", f"{path}/collect", {})).raise_for_status()
        completed = await as_joiner(new, "POST", f"{path}/complete", {})
        new.session = completed.raise_for_status().json()
        self._note_device(new)
        return new

    async def _sessions(self) -> None:
        for renew in (self.first.refresh, self.first.log_in):
            (await renew()).raise_for_status()
            self._note_tokens(self.first)
        (await self.first.call("GET", "/auth/devices")).raise_for_status()
        third = Device(self.first.http, new_key(), origin=self.server.url)
        (await third.register()).raise_for_status()
        self._note_device(third)
        await third.call("DELETE", f"/auth/devices/{third.id}", proof=True)
        (await third.call("POST", "/auth/logout")).raise_for_status()
        revoked = f"/auth/devices/{self.second.id}"
        (await self.first.call("DELETE", revoked, proof=True)).raise_for_status()
        name = self.canaries.text("device_name of a revoked device")
        await self.second.register(device_name=name)

    def _note_device(self, device: Device) -> None:
        self._note_tokens(device)
        self._note_private_key(device.key)
        thumbprint = device.key.thumbprint
        self.canaries.known("id of a key", thumbprint, MASTER, USER)
        self.canaries.known_text("id of the account", device.user_id, MASTER, USER)
        self.canaries.known_text("id of a device", device.id, MASTER, USER)

    def _note_tokens(self, device: Device) -> None:
        for name in ("access_token", "refresh_token"):
            self.canaries.known_text(name, str(device.session[name]))
        signature = _from_base64url(str(device.session["access_token"]).rsplit(".", 1)[1])
        self.canaries.known("access_token", signature)
        refresh = _from_base64url(str(device.session["refresh_token"]))
        self.canaries.known("refresh_token", refresh[-32:])

    def _note_private_key(self, key: DeviceKey) -> bytes:
        """Its PEM."""
        der = key.private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        number = getattr(key.private.private_numbers(), "private_value")  # noqa: B009 - P-256
        secret = number.to_bytes(32, "big")
        assert secret in der
        self.canaries.known("private key", secret)
        return key.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    # --- as it is not

    async def _bodies(self) -> None:
        """Every field of every body, in every shape that is not its own, and fields of no body."""
        for route, names in _bodies_of_routes():
            await self._stay_logged_in()
            for name in [*names, self.canaries.text("name of a field")]:
                where = f"{name} of {route.path}" if name in names else f"a field of {route.path}"
                # 32 bytes are a good commitment, and all that a pairing needs.
                kept = (MASTER,) if name == "commitment" else ()
                for value in self._shapes(where, *kept):
                    await self._send(route, {name: value})
            for value in self._shapes(f"body of {route.path}"):
                await self._send(route, value)
        for name in [*ChangeIn.__annotations__, self.canaries.text("name of a field")]:
            where = name if name in ChangeIn.__annotations__ else "a field of a change"
            kept = (USER,) if name == "encrypted_data" else ()
            for value in self._shapes(f"{where} of a change", *kept):
                await self.first.push(self.first.change() | {name: value})
        clock = {self.canaries.text("key of a clock"): 1, self.first.id: 1}
        await self.first.push(self.first.change(clock=clock))

    async def _stay_logged_in(self) -> None:
        """Some of what is sent is good enough to end the session."""
        if (await self.first.call("GET", "/sync/status")).status_code == 401:
            (await self.first.log_in()).raise_for_status()
            self._note_tokens(self.first)

    def _shapes(self, where: str, *allowed: str) -> Iterator[object]:
        yield self.canaries.text(where)
        yield b64(self.canaries.random(where, *allowed))
        yield [self.canaries.text(where)]
        yield {self.canaries.text(f"a key in {where}"): self.canaries.text(where)}

    async def _send(self, route: APIRoute, body: object) -> None:
        path = route.path.replace("{pairing_id}", self.pairing_id)
        for method in _methods(route):
            await self.first.call(method, path, body, proof=True)

    async def _valid_but_for_one_field(self) -> None:
        """So that the fault is met late, by the code that works with the value."""
        await self._stay_logged_in()
        key = new_key()
        new = Device(self.first.http, key, origin=self.server.url)
        for name in ("challenge", "signature", "wrapping_key_signature", "proof_of_work"):
            value = b64(self.canaries.random(f"{name}, else valid", size=64))
            await new.register(**{name: value})
        for name in ("public_key", "wrapping_key"):
            await new.register(**{name: self._note_private_key(new_key()).decode()})
            word = b64(self.canaries.random(f"{name}, else valid", size=294))
            block = f"-----BEGIN PUBLIC KEY-----\n{word}\n-----END PUBLIC KEY-----\n"
            await new.register(**{name: block})
        await new.register(device_name=self.canaries.text("a device_name too long") * 40)
        unknown = self.canaries.random("key_thumbprint")
        asked = {
            "key_thumbprint": b64url(unknown),
            "challenge": b64(b"x" * 40),
            "signature": "eA==",
        }
        await new.call("POST", "/auth/login", asked, token=None)
        await self.first.refresh(self.canaries.text("refresh_token").replace(" ", "-"))
        await self.first.push(reset_from=self.canaries.text("reset_from"))
        await self.first.push(self.first.change(), reset_from=self.canaries.text("reset_from"))
        other = str(uuid.uuid4())
        self.canaries.known_text("id of no device", other)
        await self.first.push(self.first.change(clock={other: 1}))
        too_large = self.canaries.random("encrypted_data too large", size=64) * 20_000
        await self.first.push(self.first.change(data=too_large))
        await self.first.push(
            self.first.change(data=self.canaries.random("refused: epoch"), key_epoch=9)
        )

    async def _paths_queries_and_methods(self) -> None:
        for route in _routes():
            await self._stay_logged_in()
            word = self.canaries.text(f"path of {route.path}")
            for path in (route.path.replace("{", word).replace("}", ""), f"{route.path}/{word}"):
                await self.first.http.get(path)
            fixed = route.path.replace("{pairing_id}", self.pairing_id)
            fixed = fixed.replace("{device_id}", self.second.id)
            for method in _methods(route):
                name = self.canaries.text(f"name in the query of {route.path}")
                value = self.canaries.text(f"query of {route.path}")
                for query in ({name: value}, {name: ""}, {"cursor": value, "limit": value}):
                    await self.first.call(method, fixed, proof=True, params=query)
        for name in ("cursor", "limit", "collections", "wait", "bucket"):
            for value in (
                self.canaries.text(f"{name} of a pull"),
                b64url(self.canaries.random(f"{name} of a pull")),
            ):
                await self.first.call("GET", "/sync/pull", params={name: value})
        method = self.canaries.text("method").upper().replace(" ", "-")
        self.canaries.known_text("method", method)
        for verb in (method, "TRACE", "PUT", "OPTIONS", "HEAD"):
            await self.first.http.request(verb, "/sync/pull")

    async def _credentials(self) -> None:
        await self._stay_logged_in()
        token = str(self.first.session["access_token"])
        word = self.canaries.text("Authorization").replace(" ", "-")
        self.canaries.known_text("Authorization", word)
        unsigned = ".".join(
            b64url(json.dumps(part).encode())
            for part in ({"alg": "none", "kid": word, word: word}, {"sub": word, word: word})
        )
        for header in (
            *(f"Bearer {it}" for it in (word, token + word, f"{unsigned}.", f"{unsigned}.{word}")),
            *(f"Basic {base64.b64encode(word.encode()).decode()}", word, f"{word} {token}"),
            f"Bearer {word * 400}",
        ):
            await self.first.http.get("/sync/status", headers={"Authorization": header})
            await self.first.http.get(
                f"/auth/pairings/{self.pairing_id}", headers={"Authorization": header}
            )
        await self._proofs(token)

    async def _proofs(self, token: str) -> None:
        path = f"/auth/devices/{uuid.uuid4()}"
        claims = ("htm", "htu", "jti", "ath", "nonce", "iat", "exp", "anything")
        proofs = [
            self.first.proof(
                "DELETE", path, token, **{name: self.canaries.text(f"{name} of a proof")}
            )
            for name in claims
        ]
        word = self.canaries.text("DPoP").replace(" ", "-")
        self.canaries.known_text("DPoP", word)
        _, payload, signature = proofs[0].split(".")
        headers: tuple[dict[str, Any], ...] = (
            {"typ": word, "alg": word, "jwk": self.first.key.jwk},
            {"typ": "dpop+jwt", "alg": "ES256", "jwk": {"kty": word, "crv": word, "x": word}},
            {"typ": "dpop+jwt", "alg": "ES256", "jwk": self.first.key.jwk | {"d": word}},
            {"typ": "dpop+jwt", "alg": "ES256", "jwk": self.first.key.jwk, "crit": [word]},
        )
        proofs += [f"{b64url(json.dumps(it).encode())}.{payload}.{signature}" for it in headers]
        for proof in (*proofs, word, f"{word}.{word}.{word}", word * 300):
            sent = {"Authorization": f"Bearer {token}", "DPoP": proof}
            await self.first.http.delete(path, headers=sent)

    async def _broken_bodies(self) -> None:
        word = self.canaries.text("a broken body")
        broken = (
            word,
            f'{{"{word}": ',
            f'{{"{word}": 1, "{word}": 2}}',
            f'{{"changes": NaN, "x": "{word}"}}',
            f'{{"changes": "\\ud800{word}"}}',
            "[" * 300 + f'"{word}"' + "]" * 300,
            f'{{"a": "{word}"}} {word}',
        )
        bodies = [text.encode() for text in broken] + [word.encode() + b"\xff\xfe"]
        for body in bodies:
            for path in ("/auth/register", "/sync/push"):
                await self._post(path, body, "application/json")
        for media_type in (word, f"application/json; charset={word}", f"multipart/{word}"):
            await self._post("/sync/push", word.encode(), media_type)
        await self._post("/auth/register", word.encode() * 2000, "application/json")

    async def _post(self, path: str, body: bytes, media_type: str) -> None:
        token = self.first.session["access_token"]
        headers = {"Authorization": f"Bearer {token}", "Content-Type": media_type}
        await self.first.http.post(path, content=body, headers=headers)

    async def _broken_requests(self) -> None:
        """What is not even HTTP."""
        word = self.canaries.text("a broken request").replace(" ", "-")
        self.canaries.known_text("a broken request", word)
        for request in (
            f"{word}\r\n\r\n",
            f"GET /{word} HTTP/9.9\r\n\r\n",
            f"GET / HTTP/1.1\r\nHost: {word}\r\n{word}\r\n\r\n",
            f"GET / HTTP/1.1\r\nHost: {word}\r\nContent-Length: {word}\r\n\r\n",
            f"POST /sync/push HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{word}\r\n",
            f"GET /{word * 6000} HTTP/1.1\r\nHost: x\r\n\r\n",
            f"POST /auth/register HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            f"Content-Length: 1000\r\n\r\n{word}",
        ):
            reader, writer = await asyncio.open_connection("127.0.0.1", self.server.port)
            writer.write(request.encode())
            writer.write_eof()
            answer = await asyncio.wait_for(reader.read(), 20)
            if answer:
                self.scene.answers.append(Answer("not HTTP", int(answer[9:12]), answer))
            writer.close()


# --- small things -------------------------------------------------------------------------------


def _routes() -> list[APIRoute]:
    """Every route of the application; its own description of itself knows no others."""
    app = create_app(settings_for(Path("unused")))
    found = list(_routes_in(app.routes))
    assert {route.path for route in found} == set(app.openapi()["paths"])
    return found


def _routes_in(routes: Iterable[object]) -> Iterator[APIRoute]:
    for route in routes:
        if isinstance(route, APIRoute):
            yield route
        elif inner := getattr(route, "original_router", None):
            yield from _routes_in(inner.routes)


def _methods(route: APIRoute) -> list[str]:
    return sorted(route.methods or ())


def _bodies_of_routes() -> list[tuple[APIRoute, list[str]]]:
    """Every route that takes a body, with the body's fields."""
    found = [(route, list(_body_fields(route.dependant))) for route in _routes()]
    return [(route, names) for route, names in found if names or "POST" in _methods(route)]


def _body_fields(dependant: Dependant) -> Iterable[str]:
    for inner in dependant.dependencies:
        if isinstance(inner.call, JsonBody):
            yield from inner.call.model.model_fields
        yield from _body_fields(inner)


def _fields_of(line: str) -> dict[str, Any]:
    try:
        return dict(json.loads(line))
    except ValueError:
        return {}


def _event_of(line: str) -> str | None:
    return _fields_of(line).get("event")


def _is_in(file: str, kind: str) -> bool:
    return Path(file).name.startswith(kind)


def _from_base64url(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
