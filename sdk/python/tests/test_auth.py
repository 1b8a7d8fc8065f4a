"""The handshake, against servers that refuse, forget and lie."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from echolia import AnswerInvalid, DeviceAuth, NotAuthenticated, Offline, RateLimited, Session
from echolia._calls import Call
from echolia._canonical import b64, b64url, new_id, origin_of, sha256, unb64, unb64url
from echolia._driver import Driver
from echolia._keys import PublicKey, RsaKey
from echolia._session import signed_statement

ORIGIN = "http://localhost:8000"
USER, DEVICE = new_id(), new_id()


class Gate:
    """A server that checks proofs for itself and knows one device."""

    def __init__(self, key: RsaKey) -> None:
        self.key = key
        self.nonce = "n1"
        self.tokens = 0
        self.valid: set[str] = set()
        self.refresh_code: str | None = None
        self.user_id = USER
        self.paths: list[str] = []
        self.proofs: list[dict[str, Any]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.paths.append(request.url.path)
        if request.url.path == "/auth/challenge":
            return self.answer({"challenge": b64(b"c" * 32), "expires_in": 120})
        if request.url.path == "/auth/login":
            return self.login(json.loads(request.content))
        claims = self.check_proof(request)
        if claims.get("nonce") != self.nonce:
            return self.refuse("use_dpop_nonce")
        if request.url.path == "/auth/refresh":
            return self.refuse(self.refresh_code) if self.refresh_code else self.session()
        token = request.headers["Authorization"].removeprefix("Bearer ")
        assert claims["ath"] == b64url(sha256(token.encode()))
        return (
            self.answer({"ok": True}) if token in self.valid else self.refuse("not_authenticated")
        )

    def login(self, body: dict[str, str]) -> httpx.Response:
        thumbprint = self.key.public.thumbprint
        assert body["key_thumbprint"] == b64url(thumbprint)
        statement = signed_statement("login", ORIGIN, b"c" * 32, thumbprint)
        if not self.key.public.verifies(unb64(body["signature"]), statement):
            return self.refuse("login_failed")
        return self.session()

    def session(self) -> httpx.Response:
        self.tokens += 1
        self.valid = {f"access{self.tokens}"}
        return self.answer(
            {
                "user_id": self.user_id,
                "device_id": DEVICE,
                "access_token": f"access{self.tokens}",
                "refresh_token": f"refresh{self.tokens}",
            }
        )

    def check_proof(self, request: httpx.Request) -> dict[str, Any]:
        header, claims, signature = request.headers["DPoP"].split(".")
        assert self.key.public.verifies(unb64url(signature), f"{header}.{claims}".encode())
        shown = json.loads(unb64url(header))
        assert (shown["typ"], shown["alg"]) == ("dpop+jwt", "PS256")
        assert shown["jwk"] == self.key.public.jwk()
        found: dict[str, Any] = json.loads(unb64url(claims))
        assert found["htm"] == request.method
        assert found["htu"] == ORIGIN + request.url.path
        assert found["jti"] not in {proof["jti"] for proof in self.proofs}
        self.proofs.append(found)
        return found

    def answer(self, body: object, status: int = 200) -> httpx.Response:
        return httpx.Response(status, json=body, headers={"DPoP-Nonce": self.nonce})

    def refuse(self, code: str) -> httpx.Response:
        return self.answer({"code": code}, 401)


@pytest.fixture
def gate(rsa_keys: list[RsaKey]) -> Gate:
    return Gate(rsa_keys[0])


def old_session() -> Session:
    return Session(USER, DEVICE, "spent", "refresh0")


def get(gate: Gate, auth: DeviceAuth) -> httpx.Response:
    with httpx.Client(transport=httpx.MockTransport(gate), base_url=ORIGIN) as client:
        return client.get("/thing?x=1", auth=auth)


def test_a_device_without_tokens_logs_in_by_key_and_learns_the_nonce(gate: Gate) -> None:
    kept: list[Session] = []
    auth = DeviceAuth(gate.key, ORIGIN, on_session=kept.append)
    assert get(gate, auth).json() == {"ok": True}
    assert gate.paths == ["/auth/challenge", "/auth/login", "/thing"]
    assert [session.access_token for session in kept] == ["access1"]


def test_the_same_handshake_serves_an_async_client(gate: Gate) -> None:
    async def main() -> httpx.Response:
        transport = httpx.MockTransport(gate)
        auth = DeviceAuth(gate.key, ORIGIN)
        async with httpx.AsyncClient(transport=transport, base_url=ORIGIN, auth=auth) as client:
            return await client.post("/thing", json={"a": 1})

    assert asyncio.run(main()).json() == {"ok": True}


def test_a_spent_token_is_refreshed_with_a_dated_proof(gate: Gate) -> None:
    auth = DeviceAuth(gate.key, ORIGIN, session=old_session())
    assert get(gate, auth).is_success
    assert gate.paths == ["/thing", "/thing", "/auth/refresh", "/thing"]
    refresh = gate.proofs[2]
    assert refresh["ath"] == b64url(sha256(b"refresh0"))
    assert refresh["nonce"] == "n1"


@pytest.mark.parametrize("code", ["refresh_invalid", "refresh_reused"])
def test_a_refused_refresh_falls_back_to_the_key(gate: Gate, code: str) -> None:
    gate.refresh_code = code
    assert get(gate, DeviceAuth(gate.key, ORIGIN, session=old_session())).is_success
    assert gate.paths[-3:] == ["/auth/challenge", "/auth/login", "/thing"]


def test_a_new_nonce_is_taken_up_without_another_login(gate: Gate) -> None:
    auth = DeviceAuth(gate.key, ORIGIN)
    get(gate, auth)
    gate.nonce = "n2"
    gate.paths.clear()
    assert get(gate, auth).is_success
    assert gate.paths == ["/thing", "/thing"]


def test_a_refused_key_is_an_error_and_no_loop(gate: Gate) -> None:
    gate.login = lambda body: gate.refuse("login_failed")  # type: ignore[method-assign]
    with pytest.raises(NotAuthenticated) as caught:
        get(gate, DeviceAuth(gate.key, ORIGIN))
    assert caught.value.code == "login_failed"


def test_a_server_that_never_accepts_is_left_after_a_few_tries(gate: Gate) -> None:
    def forgetful() -> httpx.Response:
        answer = Gate.session(gate)
        gate.valid = set()
        return answer

    gate.session = forgetful  # type: ignore[method-assign]
    assert get(gate, DeviceAuth(gate.key, ORIGIN)).status_code == 401
    assert len(gate.paths) < 12


def test_a_server_that_answers_for_another_account_is_refused(gate: Gate) -> None:
    gate.user_id = new_id()
    gate.refresh_code = "refresh_invalid"
    with pytest.raises(AnswerInvalid):
        get(gate, DeviceAuth(gate.key, ORIGIN, session=old_session()))


@pytest.mark.parametrize(
    "body",
    [b"", b"nonsense", b"[]", b'{"challenge": 1}', b'{"challenge": "!!"}', b"[" * 100_000],
)
def test_nonsense_from_the_server_is_called_that(rsa_keys: list[RsaKey], body: bytes) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=body)

    with pytest.raises(AnswerInvalid):
        get(answer, DeviceAuth(rsa_keys[0], ORIGIN))  # type: ignore[arg-type]


def drive(handler: Callable[[httpx.Request], httpx.Response], key: RsaKey) -> Driver:
    return Driver(key, ORIGIN, httpx.MockTransport(handler), session=old_session())


def test_a_busy_server_is_given_the_time_it_asks_for(
    rsa_keys: list[RsaKey], monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    monkeypatch.setattr("echolia._driver.time.sleep", waited.append)
    answers = [httpx.Response(503, headers={"Retry-After": "7"}), httpx.Response(200, json={})]
    driver = drive(lambda request: answers.pop(0), rsa_keys[0])
    driver.send(Call("GET", "/thing"))
    assert len(waited) == 1
    assert 7.0 <= waited[0] <= 7.0 * 1.25


def test_waits_grow_are_told_and_end(
    rsa_keys: list[RsaKey], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("echolia._driver.time.sleep", lambda seconds: None)
    told: list[tuple[float, str]] = []

    def busy(request: httpx.Request) -> httpx.Response:
        return httpx.Response(429, json={"code": "rate_limited"}, headers={"Retry-After": "1"})

    transport = httpx.MockTransport(busy)
    driver = Driver(
        rsa_keys[0],
        ORIGIN,
        transport,
        session=old_session(),
        on_wait=lambda seconds, why: told.append((seconds, why)),
    )
    with pytest.raises(RateLimited):
        driver.send(Call("GET", "/thing"))
    assert [why for _, why in told] == ["rate_limited"] * 5
    assert all(
        low <= seconds <= 1.25 * low
        for (seconds, _), low in zip(told, (1, 1, 2, 4, 8), strict=True)
    )


def test_a_server_that_asks_for_an_hour_is_not_waited_for(
    rsa_keys: list[RsaKey], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("echolia._driver.time.sleep", lambda seconds: pytest.fail("it waited"))
    driver = drive(
        lambda request: httpx.Response(429, headers={"Retry-After": "3600"}), rsa_keys[0]
    )
    with pytest.raises(RateLimited) as limited:
        driver.send(Call("GET", "/thing"))
    assert limited.value.retry_after == 3600


@pytest.mark.parametrize("status", [429, 503])
def test_a_refresh_that_has_to_wait_is_no_reason_to_log_in(
    rsa_keys: list[RsaKey], status: int
) -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        if request.url.path == "/thing":
            return httpx.Response(401, json={"code": "not_authenticated"})
        return httpx.Response(status, headers={"Retry-After": "3600"})

    with pytest.raises(RateLimited):
        drive(answer, rsa_keys[0]).send(Call("GET", "/thing"))
    assert asked == ["/thing", "/auth/refresh"]


def test_a_dead_network_is_reported_as_that(rsa_keys: list[RsaKey]) -> None:
    def dead(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no route", request=request)

    with pytest.raises(Offline):
        drive(dead, rsa_keys[0]).send(Call("GET", "/thing"))


def test_a_server_that_takes_no_calls_is_called_once(rsa_keys: list[RsaKey]) -> None:
    asked: list[str] = []

    def silent(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        raise httpx.ConnectTimeout("nothing", request=request)

    with pytest.raises(Offline):
        drive(silent, rsa_keys[0]).send(Call("GET", "/thing"))
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://Journal.Example/", "https://journal.example"),
        ("https://journal.example:443/", "https://journal.example"),
        ("http://localhost:8000", "http://localhost:8000"),
        ("http://[::1]:8000/", "http://[::1]:8000"),
        ("https://bücher.example", "https://xn--bcher-kva.example"),
    ],
)
def test_an_origin_has_one_spelling(url: str, origin: str) -> None:
    assert origin_of(url) == origin


@pytest.mark.parametrize(
    "url",
    [
        "",
        "journal.example",
        "ftp://journal.example",
        "https://",
        "https://user:secret@journal.example",
        "https://journal.example/path",
        "https://journal.example?q",
        "https://exa mple",
        "https://a%25b",
    ],
)
def test_what_is_no_server_url_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="server URL"):
        origin_of(url)


@pytest.mark.parametrize("text", ["a", "YQ", "YQ=", "YR==", "Y Q==", "YQ==\n", "_-==", "ä"])
def test_only_canonical_base64_is_read(text: str) -> None:
    with pytest.raises(ValueError, match="base64"):
        unb64(text)
    assert base64.b64decode("YQ==") == unb64("YQ==")


def test_keys_too_weak_or_of_another_kind_are_refused() -> None:
    weak = rsa.generate_private_key(65537, 1024).public_key()  # noqa: S505 - to be refused
    p256 = PublicKey(ec.generate_private_key(ec.SECP256R1()).public_key())
    assert PublicKey.from_pem(p256.pem) == p256
    for other in (weak, ed25519.Ed25519PrivateKey.generate().public_key()):
        with pytest.raises(ValueError, match=r"RSA|P-256"):
            PublicKey.from_pem(PublicKey(other).pem)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="3072"):
        PublicKey(weak).wrap(b"secret", b"label")
