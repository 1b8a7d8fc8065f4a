"""Access tokens: what is read from ours, and that nothing else is one."""

import base64
import hashlib
import hmac
import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.auth import access_token
from app.auth.access_token import LEEWAY_SECONDS, AccessClaims
from app.auth.server_keys import ServerKeys
from app.errors import NotAuthenticated
from tests.conftest import SECRET, Running, settings_for
from tests.kit.clock import SetClock
from tests.kit.device import Device
from tests.kit.identity import said, served
from tests.kit.keys import b64url, new_key, rsa_key
from tests.kit.pair import paired

ISSUER = "http://localhost:8000"
NOW = int(time.time())
LIFE = 3600
KEYS = ServerKeys.of(SECRET.encode())
CLAIMS = AccessClaims(
    user_id="5f0c9a55-6a3d-4c1e-9d52-1f7c7f3c0a11",
    device_id="0b5f9a55-6a3d-4c1e-9d52-1f7c7f3c0a22",
    generation=1,
    family_id="1c5f9a55-6a3d-4c1e-9d52-1f7c7f3c0a33",
    family_generation=1,
    thumbprint="A" * 43,
)
TOKEN = access_token.issue(KEYS, ISSUER, CLAIMS, now=NOW, life_seconds=LIFE)
REQUIRED = ("iss", "aud", "sub", "did", "gen", "fam", "fgen", "jti", "iat", "nbf", "exp", "cnf")

unhurried = settings(deadline=None)


def part(token: str, at: int) -> dict[str, Any]:
    text = token.split(".")[at]
    return dict(json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))))


HEADER, PAYLOAD = part(TOKEN, 0), part(TOKEN, 1)


def signed(
    header: dict[str, Any],
    payload: object,
    key: bytes = KEYS.current.access,
    digest: str = "sha256",
) -> str:
    """A token made by whoever holds the key, whatever it says."""
    text = f"{b64url(json.dumps(header).encode())}.{b64url(json.dumps(payload).encode())}"
    return f"{text}.{b64url(hmac.digest(key, text.encode(), digest))}"


def without(values: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key != name}


def is_refused(token: str, *, keys: ServerKeys = KEYS, now: int = NOW) -> bool:
    try:
        access_token.read(keys, ISSUER, token, now=now)
    except NotAuthenticated:
        return True
    return False


def test_what_was_issued_is_read() -> None:
    assert access_token.read(KEYS, ISSUER, TOKEN, now=NOW) == CLAIMS
    assert access_token.read(KEYS, ISSUER, signed(HEADER, PAYLOAD), now=NOW) == CLAIMS
    assert set(PAYLOAD) == set(REQUIRED)
    assert {"alg": "HS256", "typ": "at+jwt", "kid": KEYS.current.kid} == HEADER


RSA_PEM = rsa_key().pem.encode()
FORGED = {
    "no algorithm": signed(HEADER | {"alg": "none"}, PAYLOAD).rpartition(".")[0] + ".",
    "no algorithm, signed": signed(HEADER | {"alg": "none"}, PAYLOAD),
    "NONE": signed(HEADER | {"alg": "NONE"}, PAYLOAD),
    "HS512": signed(HEADER | {"alg": "HS512"}, PAYLOAD, digest="sha512"),
    "HS384": signed(HEADER | {"alg": "HS384"}, PAYLOAD, digest="sha384"),
    "RS256 as HMAC": signed(HEADER | {"alg": "RS256"}, PAYLOAD, RSA_PEM),
    "HS256 under a public key": signed(HEADER, PAYLOAD, RSA_PEM),
    "HS256 under nothing": signed(HEADER, PAYLOAD, b""),
    "HS256 under the root secret": signed(HEADER, PAYLOAD, SECRET.encode()),
    "HS256 under the challenge key": signed(HEADER, PAYLOAD, KEYS.current.challenge),
    "HS256 under the refresh key": signed(HEADER, PAYLOAD, KEYS.current.refresh),
    "no kid": signed(without(HEADER, "kid"), PAYLOAD),
    "other kid": signed(HEADER | {"kid": "00000000"}, PAYLOAD),
    "kid is a list": signed(HEADER | {"kid": [KEYS.current.kid]}, PAYLOAD),
    "kid is a path": signed(HEADER | {"kid": "../../dev/null"}, PAYLOAD, b""),
    "kid is null": signed(HEADER | {"kid": None}, PAYLOAD),
    "no typ": signed(without(HEADER, "typ"), PAYLOAD),
    "typ JWT": signed(HEADER | {"typ": "JWT"}, PAYLOAD),
    "typ AT+JWT": signed(HEADER | {"typ": "AT+JWT"}, PAYLOAD),
    "typ of a proof": signed(HEADER | {"typ": "dpop+jwt"}, PAYLOAD),
    "crit": signed(HEADER | {"crit": ["exp"]}, PAYLOAD),
    "crit, empty": signed(HEADER | {"crit": []}, PAYLOAD),
    "crit, known": signed(HEADER | {"crit": ["b64"], "b64": True}, PAYLOAD),
    "b64 false": signed(HEADER | {"b64": False}, PAYLOAD),
    "other issuer": signed(HEADER, PAYLOAD | {"iss": "http://localhost:8001"}),
    "issuer with slash": signed(HEADER, PAYLOAD | {"iss": ISSUER + "/"}),
    "issuers": signed(HEADER, PAYLOAD | {"iss": [ISSUER]}),
    "other audience": signed(HEADER, PAYLOAD | {"aud": "others"}),
    "no audience at all": signed(HEADER, PAYLOAD | {"aud": []}),
    "audience null": signed(HEADER, PAYLOAD | {"aud": None}),
    "subject a number": signed(HEADER, PAYLOAD | {"sub": 7}),
    "device null": signed(HEADER, PAYLOAD | {"did": None}),
    "generation text": signed(HEADER, PAYLOAD | {"gen": "x"}),
    "generation null": signed(HEADER, PAYLOAD | {"gen": None}),
    "cnf text": signed(HEADER, PAYLOAD | {"cnf": "x"}),
    "cnf empty": signed(HEADER, PAYLOAD | {"cnf": {}}),
    "cnf other": signed(HEADER, PAYLOAD | {"cnf": {"jkt": 7}}),
    "exp text": signed(HEADER, PAYLOAD | {"exp": "later"}),
    "exp null": signed(HEADER, PAYLOAD | {"exp": None}),
    "payload a list": signed(HEADER, [PAYLOAD]),
    "payload null": signed(HEADER, None),
    "over 4 KB": signed(HEADER, PAYLOAD | {"pad": "x" * 4096}),
    "nothing": "",
    "dots": "..",
    "one part": "x",
    "four parts": TOKEN + ".x",
    "not ASCII": TOKEN[:-1] + "é",
    "deep header": b64url(b"[" * 2000) + ".e30.",
    "deep payload": b64url(json.dumps(HEADER).encode()) + "." + b64url(b'{"a":' * 500) + ".AA",
    "five parts": "eyJhbGciOiJkaXIiLCJlbmMiOiJBMTI4R0NNIn0.AA.AA.AA.AA",
}


@pytest.mark.parametrize("token", FORGED.values(), ids=FORGED)
def test_a_token_that_is_not_ours_is_refused(token: str) -> None:
    assert is_refused(token)


@pytest.mark.parametrize("name", REQUIRED)
def test_a_token_without_one_of_its_claims_is_refused(name: str) -> None:
    assert is_refused(signed(HEADER, without(PAYLOAD, name)))


@unhurried
@given(st.integers(0, len(TOKEN) - 1), st.sampled_from("ABCDwxyz0189-_.="))
def test_a_token_with_another_character_anywhere_is_refused(at: int, letter: str) -> None:
    changed = TOKEN[:at] + letter + TOKEN[at + 1 :]
    if changed != TOKEN and at < len(TOKEN) - 1:  # the last one holds two bits that mean nothing
        assert is_refused(changed)


@unhurried
@given(st.text(max_size=200))
def test_no_text_is_a_token(text: str) -> None:
    assert is_refused(text)


@pytest.mark.parametrize(
    ("offset", "refused"),
    [
        (-LEEWAY_SECONDS - 1, True),
        (-LEEWAY_SECONDS, False),
        (0, False),
        (LIFE, False),
        (LIFE + LEEWAY_SECONDS - 1, False),
        (LIFE + LEEWAY_SECONDS, True),
        (10**9, True),
    ],
)
def test_a_token_holds_from_nbf_to_exp_with_thirty_seconds_of_leeway(
    offset: int, refused: bool
) -> None:
    assert is_refused(TOKEN, now=NOW + offset) is refused


def test_a_token_of_an_earlier_secret_holds_as_long_as_the_secret_is_listed() -> None:
    newer = b"a newer secret of thirty-two bytes or more"
    assert not is_refused(TOKEN, keys=ServerKeys.of(newer, [SECRET.encode()]))
    assert is_refused(TOKEN, keys=ServerKeys.of(newer))
    crossed = HEADER | {"kid": ServerKeys.of(newer).current.kid}
    both = ServerKeys.of(newer, [SECRET.encode()])
    assert is_refused(signed(crossed, PAYLOAD), keys=both)  # one kid, one key


# --- against a running server --------------------------------------------------------------------


async def use(device: Device, session: dict[str, Any] | None = None) -> tuple[int, str | None]:
    token = (session or device.session)["access_token"]
    return said(await device.call("GET", "/auth/devices", token=token))


REFUSED = (401, "not_authenticated")


async def test_tokens_survive_a_change_of_secret_while_the_earlier_one_is_listed(
    tmp_path: Path, clock: SetClock
) -> None:
    key, newest = new_key(), "the newest secret of thirty-two bytes or more"
    async with served(settings_for(tmp_path), clock) as http:
        device = Device(http, key, clock=clock)
        (await device.register()).raise_for_status()
        session = device.session
    listed = settings_for(tmp_path, jwt_secret=newest, jwt_secret_previous=f"other, {SECRET}")
    async with served(listed, clock) as http:
        device = Device(http, key, clock=clock, session=session)
        assert await use(device) == (200, None)
        assert (await device.refresh()).status_code == 200
        renewed = device.session
    async with served(settings_for(tmp_path, jwt_secret=newest), clock) as http:
        device = Device(http, key, clock=clock, session=session)
        assert await use(device) == REFUSED
        assert said(await device.refresh()) == (401, "refresh_invalid")
        device.session = renewed
        assert await use(device) == (200, None)
        assert (await device.log_in()).status_code == 200


async def test_a_token_of_another_public_origin_is_refused(tmp_path: Path, clock: SetClock) -> None:
    async with served(settings_for(tmp_path), clock) as http:
        device = Device(http, clock=clock)
        (await device.register()).raise_for_status()
        session = device.session
    async with served(settings_for(tmp_path, public_origin="https://a.example"), clock) as http:
        assert await use(Device(http, device.key, clock=clock, session=session)) == REFUSED


async def test_the_token_of_a_revoked_device_fails_at_once(device: Device) -> None:
    second = await paired(device, Device(device.http, clock=device.clock))
    assert await use(second) == (200, None)
    await device.call("DELETE", f"/auth/devices/{second.id}", proof=True)
    assert await use(second) == REFUSED
    assert said(await second.refresh()) == (401, "refresh_invalid")
    assert await use(device) == (200, None)


async def test_an_old_access_token_is_good_until_the_new_one_is_used(device: Device) -> None:
    old = device.session
    (await device.refresh()).raise_for_status()
    assert await use(device, old) == (200, None)
    assert await use(device, old) == (200, None)
    assert await use(device) == (200, None)
    assert await use(device, old) == REFUSED
    assert await use(device) == (200, None)


async def test_a_new_refresh_token_used_is_as_good_as_a_new_access_token(device: Device) -> None:
    oldest = device.session
    (await device.refresh()).raise_for_status()
    old = device.session
    (await device.refresh()).raise_for_status()
    assert await use(device, oldest) == REFUSED
    assert await use(device, old) == (200, None)
    assert await use(device) == (200, None)
    assert await use(device, old) == REFUSED


async def test_a_request_that_fails_after_authentication_has_used_its_token(
    device: Device,
) -> None:
    old = device.session
    (await device.refresh()).raise_for_status()
    assert said(await device.call("GET", f"/auth/pairings/{CLAIMS.family_id}")) == (
        404,
        "not_found",
    )
    assert await use(device, old) == REFUSED


async def test_logging_out_ends_this_session_alone(device: Device) -> None:
    other = device.session
    (await device.log_in()).raise_for_status()
    assert (await device.call("POST", "/auth/logout")).status_code == 204
    assert await use(device) == REFUSED
    assert said(await device.call("POST", "/auth/logout")) == REFUSED
    assert said(await device.refresh()) == (401, "refresh_invalid")
    assert await use(device, other) == (200, None)


async def test_tokens_end_with_their_session(
    running: Running, tmp_path: Path, clock: SetClock
) -> None:
    clock.now = int(clock.now)
    http = await running(settings_for(tmp_path, session_max_seconds=3600 * 2))
    device = Device(http, clock=clock)
    (await device.register()).raise_for_status()
    clock.advance(seconds=3600 * 2 - 60)
    device.nonce = None
    answer = await device.refresh()
    session = answer.raise_for_status().json()
    assert session["expires_in"] == session["refresh_expires_in"] == 60
    clock.advance(seconds=59)
    assert await use(device) == (200, None)
    clock.advance(seconds=1)
    assert await use(device) == REFUSED
    assert said(await device.refresh()) == (401, "refresh_invalid")


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", "Basic {}", "{}", "Bearer{}", "DPoP {}", "Bearer {} x", "Bearer,{}"],
)
async def test_only_a_bearer_token_authenticates(header: str, device: Device) -> None:
    sent = {"Authorization": header.format(device.session["access_token"])}
    answer = await device.http.get("/auth/devices", headers=sent)
    assert said(answer) == REFUSED


def test_a_kid_tells_nothing_of_its_secret() -> None:
    assert KEYS.current.kid == hashlib.sha256(KEYS.current.access).hexdigest()[:8]
    assert len({KEYS.current.kid, ServerKeys.of(b"x" * 32).current.kid}) == 2
