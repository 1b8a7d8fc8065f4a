"""Proofs of possession: every claim wrong in turn, and clocks and nonces of every kind."""

import base64
import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, PSS, PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256, SHA512
from hypothesis import given, settings
from hypothesis import strategies as st

from app.auth import proof as dpop
from app.auth.errors import ProofInvalid
from app.auth.origins import accepted_origins, normalised
from app.auth.proof import NONCE_SECONDS, WINDOW_SECONDS, Nonces, SeenProofs, digest_of
from app.auth.server_keys import ServerKeys
from tests.conftest import NewDevice, Running, settings_for
from tests.kit.clock import SetClock
from tests.kit.device import ORIGIN, Device
from tests.kit.identity import Pairing, said, served
from tests.kit.keys import b64url, new_key, rsa_key
from tests.kit.pair import paired

unhurried = settings(deadline=None)
PATH = "/auth/devices/00000000-0000-4000-8000-000000000000"
HTU = ORIGIN + PATH
TAKEN = (404, "not_found")
"""The answer of the call behind the proof: there is no such device."""
INVALID = (401, "proof_invalid")
ASKED = (401, "use_dpop_nonce")


def jws(header: object, payload: object, device: Device, signature: bytes | None = None) -> str:
    text = f"{b64url(json.dumps(header).encode())}.{b64url(json.dumps(payload).encode())}"
    made = device.key.sign(text.encode()) if signature is None else signature
    return f"{text}.{b64url(made)}"


def parts(device: Device, **claims: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims of a good proof for PATH."""
    made = device.proof("DELETE", PATH, device.session["access_token"], **claims)
    head, body, _ = made.split(".")
    return _object(head), _object(body)


def _object(part: str) -> dict[str, Any]:
    return dict(json.loads(base64.urlsafe_b64decode(part + "==")))


async def ask(device: Device, *proofs: str) -> httpx.Response:
    token = device.session["access_token"]
    headers = [("Authorization", f"Bearer {token}"), *(("DPoP", each) for each in proofs)]
    return await device.http.delete(PATH, headers=headers)


async def ask_with(device: Device, **claims: Any) -> tuple[int, str | None]:
    header, payload = parts(device)
    payload = {key: value for key, value in (payload | claims).items() if value is not ...}
    return said(await ask(device, jws(header, payload, device)))


@pytest.mark.parametrize("key", [rsa_key(), new_key()], ids=["PS256", "ES256"])
async def test_a_proof_opens_a_call_once(key: Any, new_device: NewDevice) -> None:
    device = new_device(key)
    await device.register()
    proof = jws(*parts(device), device)
    assert said(await ask(device, proof)) == TAKEN
    answer = await ask(device, proof)
    assert said(answer) == (401, "proof_replayed")
    assert answer.headers["WWW-Authenticate"].startswith("DPoP")
    assert answer.headers["DPoP-Nonce"]


WRONG_CLAIMS: dict[str, dict[str, Any]] = {
    "htm other": {"htm": "POST"},
    "htm in lower case": {"htm": "delete"},
    "htm missing": {"htm": ...},
    "htm null": {"htm": None},
    "htm list": {"htm": ["DELETE"]},
    "htu other path": {"htu": ORIGIN + "/auth/devices"},
    "htu other case in path": {"htu": HTU.replace("auth", "Auth")},
    "htu trailing slash": {"htu": HTU + "/"},
    "htu double slash": {"htu": HTU.replace("/auth", "//auth")},
    "htu with dots": {"htu": ORIGIN + "/auth/x/.." + PATH.removeprefix("/auth")},
    "htu query": {"htu": HTU + "?a=1"},
    "htu empty query": {"htu": HTU + "?"},
    "htu fragment": {"htu": HTU + "#a"},
    "htu empty fragment": {"htu": HTU + "#"},
    "htu other scheme": {"htu": HTU.replace("http:", "https:")},
    "htu other host": {"htu": "http://evil.example:8000" + PATH},
    "htu host as a suffix": {"htu": "http://localhost:8000.evil.example" + PATH},
    "htu host as a user": {"htu": "http://localhost:8000@evil.example" + PATH},
    "htu with a user": {"htu": "http://user@localhost:8000" + PATH},
    "htu with an empty user": {"htu": "http://@localhost:8000" + PATH},
    "htu other port": {"htu": "http://localhost:8001" + PATH},
    "htu default port": {"htu": "http://localhost" + PATH},
    "htu port 80": {"htu": "http://localhost:80" + PATH},
    "htu leading blank": {"htu": " " + HTU},
    "htu trailing blank": {"htu": HTU + " "},
    "htu tab inside": {"htu": HTU.replace("localhost", "local\thost")},
    "htu line break": {"htu": HTU + "\n"},
    "htu backslash": {"htu": HTU.replace("8000/", "8000\\/")},
    "htu path alone": {"htu": PATH},
    "htu without scheme": {"htu": "//localhost:8000" + PATH},
    "htu bad port": {"htu": "http://localhost:x" + PATH},
    "htu bad host": {"htu": "http://[::1" + PATH},
    "htu empty": {"htu": ""},
    "htu missing": {"htu": ...},
    "htu null": {"htu": None},
    "htu list": {"htu": [HTU]},
    "ath missing": {"ath": ...},
    "ath of another token": {"ath": b64url(sha256(b"other").digest())},
    "ath empty": {"ath": ""},
    "ath null": {"ath": None},
    "ath in hex": {"ath": sha256(b"other").hexdigest()},
    "jti missing": {"jti": ...},
    "jti empty": {"jti": ""},
    "jti null": {"jti": None},
    "jti a number": {"jti": 7},
    "jti too long": {"jti": "x" * 257},
    "jti NUL": {"jti": "\x00"},
    "iat missing": {"iat": ...},
    "iat null": {"iat": None},
    "iat text": {"iat": "1"},
    "iat true": {"iat": True},
}


@pytest.mark.parametrize("claims", WRONG_CLAIMS.values(), ids=WRONG_CLAIMS)
async def test_a_proof_with_a_wrong_claim_is_refused(
    claims: dict[str, Any], device: Device
) -> None:
    assert await ask_with(device, **claims) == INVALID


SAME_URL = {
    "as it is": HTU,
    "host in capitals": HTU.replace("localhost", "LocalHost"),
    "scheme in capitals": HTU.replace("http:", "HTTP:"),
}


@pytest.mark.parametrize("htu", SAME_URL.values(), ids=SAME_URL)
async def test_a_url_is_compared_after_normalisation(htu: str, device: Device) -> None:
    assert await ask_with(device, htu=htu) == TAKEN


async def test_the_query_of_a_call_is_no_part_of_its_url(device: Device) -> None:
    path = "/auth/devices"
    token = device.session["access_token"]
    headers = {"Authorization": f"Bearer {token}", "DPoP": device.proof("GET", path, token)}
    answer = await device.http.get(path + "?", headers=headers)
    assert answer.is_success


async def test_a_proof_is_taken_at_the_longest_jti_and_not_above(device: Device) -> None:
    assert await ask_with(device, jti="x" * 256) == TAKEN
    assert await ask_with(device, jti="x" * 256) == (401, "proof_replayed")
    assert await ask_with(device, jti="é") == TAKEN


def changed_headers(device: Device) -> dict[str, dict[str, Any]]:
    good, _ = parts(device)
    jwk = device.key.jwk
    return {
        "typ missing": {k: v for k, v in good.items() if k != "typ"},
        "typ JWT": good | {"typ": "JWT"},
        "typ of an access token": good | {"typ": "at+jwt"},
        "typ in capitals": good | {"typ": "DPOP+JWT"},
        "alg missing": {k: v for k, v in good.items() if k != "alg"},
        "alg none": good | {"alg": "none"},
        "alg of another key": good | {"alg": "PS256"},
        "alg RS256": good | {"alg": "RS256"},
        "alg ES384": good | {"alg": "ES384"},
        "alg HS256": good | {"alg": "HS256"},
        "alg list": good | {"alg": ["ES256"]},
        "crit": good | {"crit": ["b64"]},
        "crit empty": good | {"crit": []},
        "jwk missing": {k: v for k, v in good.items() if k != "jwk"},
        "jwk null": good | {"jwk": None},
        "jwk text": good | {"jwk": json.dumps(jwk)},
        "jwk empty": good | {"jwk": {}},
        "jwk of another key": good | {"jwk": new_key().jwk},
        "jwk of another kind": good | {"jwk": rsa_key().jwk},
        "jwk without y": good | {"jwk": {k: v for k, v in jwk.items() if k != "y"}},
        "jwk with numbers": good | {"jwk": jwk | {"x": 7}},
        "jwk symmetric": good | {"jwk": {"kty": "oct", "k": "AAAA"}},
        "jwk OKP": good | {"jwk": {"kty": "OKP", "crv": "Ed25519", "x": "AAAA"}},
        **{
            f"jwk with private {name}": good | {"jwk": jwk | {name: "AAAA"}}
            for name in ("d", "p", "q", "dp", "dq", "qi", "oth", "k")
        },
        "kid instead": {"typ": "dpop+jwt", "alg": "ES256", "kid": "1"},
    }


async def test_a_proof_with_a_wrong_header_is_refused(device: Device) -> None:
    for what, header in changed_headers(device).items():
        _, payload = parts(device)
        assert said(await ask(device, jws(header, payload, device))) == INVALID, what


async def test_members_of_the_jwk_that_do_not_matter_are_taken(device: Device) -> None:
    header, payload = parts(device)
    extra = header | {"jwk": device.key.jwk | {"kid": "1", "use": "sig"}, "other": 1}
    assert said(await ask(device, jws(extra, payload, device))) == TAKEN


async def test_a_proof_that_is_no_jws_is_refused(device: Device) -> None:
    good = jws(*parts(device), device)
    head, body, signature = good.split(".")
    broken = [
        "x",
        "..",
        "...",
        "a.b.c",
        f"{head}.{body}",
        f"{head}.{body}.",
        f"{good}.",
        f"{good}=",
        f"{head}=.{body}.{signature}",
        f"{head}.{body}.{signature[:-2]}",
        f" {head} . {body} . {signature} ",
        f"{head}.{body}.{signature}{'A' * 9000}",
        f"{b64url(b'null')}.{body}.{signature}",
        f"{b64url(b'[' * 1000)}.{body}.{signature}",
        f"{head}.{b64url(b'[]')}.{signature}",
        f"{head}.{b64url(b'NaN')}.{signature}",
        f"{b64url(b'{' + b'{' * 9)}.{body}.{signature}",
        f"{head}.{body}.{signature}, {head}.{body}.{signature}",
    ]
    for proof in broken:
        assert said(await ask(device, proof)) == INVALID, proof[:50]
    doubled = b'{"htm":"DELETE","htm":"POST"}'
    text = f"{head}.{b64url(doubled)}"
    twice = f"{text}.{b64url(device.key.sign(text.encode()))}"
    assert said(await ask(device, twice)) == INVALID
    assert said(await ask(device, good)) == TAKEN  # nothing before has spent it


async def test_two_proofs_are_none(device: Device) -> None:
    first, second = jws(*parts(device), device), jws(*parts(device), device)
    assert said(await ask(device, first, second)) == (401, "proof_required")
    assert said(await ask(device, first, first)) == (401, "proof_required")
    assert said(await ask(device)) == (401, "proof_required")
    assert said(await ask(device, first)) == TAKEN


async def test_a_signature_in_another_form_is_refused(
    device: Device, new_device: NewDevice
) -> None:
    header, payload = parts(device)
    text = jws(header, payload, device).rpartition(".")[0].encode()
    private = device.key.private
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    raw = device.key.sign(text)
    forms = {
        "DER": private.sign(text, ec.ECDSA(SHA256())),
        "another digest": private.sign(text, ec.ECDSA(SHA512())),
        "of another key": new_key().sign(text),
        "s and r": raw[32:] + raw[:32],
        "empty": b"",
        "zeros": bytes(64),
        "longer": raw + b"\0",
        "of other bytes": device.key.sign(text + b"x"),
    }
    for what, signature in forms.items():
        assert said(await ask(device, jws(header, payload, device, signature))) == INVALID, what
    with_rsa = new_device(rsa_key())
    await with_rsa.register()
    header, payload = parts(with_rsa)
    text = jws(header, payload, with_rsa).rpartition(".")[0].encode()
    rsa_private = rsa_key().private
    assert not isinstance(rsa_private, ec.EllipticCurvePrivateKey)
    for rsa_form in (
        rsa_private.sign(text, PKCS1v15(), SHA256()),
        rsa_private.sign(text, PSS(MGF1(SHA256()), 20), SHA256()),
        rsa_private.sign(text, PSS(MGF1(SHA512()), 64), SHA512()),
    ):
        assert said(await ask(with_rsa, jws(header, payload, with_rsa, rsa_form))) == INVALID


async def test_a_proof_of_another_device_of_the_account_is_refused(
    device: Device, new_device: NewDevice
) -> None:
    second = await paired(device, new_device())
    token = device.session["access_token"]
    headers = {"Authorization": f"Bearer {token}", "DPoP": second.proof("DELETE", PATH, token)}
    assert said(await device.http.delete(PATH, headers=headers)) == INVALID


# --- time ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("offset", "expected"),
    [
        (0, TAKEN),
        (-WINDOW_SECONDS, TAKEN),
        (WINDOW_SECONDS, TAKEN),
        (-WINDOW_SECONDS - 1, ASKED),
        (WINDOW_SECONDS + 1, ASKED),
        (-(10 * 365 * 86400), ASKED),
        (2**60, ASKED),
    ],
)
async def test_without_a_nonce_a_proof_holds_for_300_seconds_around_its_date(
    offset: int, expected: tuple[int, str], device: Device, clock: SetClock
) -> None:
    clock.advance(seconds=3000)
    device.session = (await device.log_in()).json()
    claims = {"iat": int(clock()) + offset, "nonce": ...}
    assert await ask_with(device, **claims) == expected


@pytest.mark.parametrize("years", [-60, -10, 10, 100])
async def test_with_a_nonce_the_date_of_a_proof_does_not_matter(
    years: int, device: Device, clock: SetClock
) -> None:
    wrong = {"iat": int(clock()) + years * 365 * 86400}
    asked = jws(*_without_nonce(device, wrong), device)
    answer = await ask(device, asked)
    assert said(answer) == ASKED
    assert 'error="use_dpop_nonce"' in answer.headers["WWW-Authenticate"]
    assert await ask_with(device, nonce=answer.headers["DPoP-Nonce"], **wrong) == TAKEN


def _without_nonce(device: Device, claims: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    header, payload = parts(device)
    return header, {k: v for k, v in payload.items() if k != "nonce"} | claims


async def test_a_nonce_works_for_five_minutes_and_any_number_of_proofs(
    device: Device, clock: SetClock
) -> None:
    nonce = device.nonce
    for _ in range(3):
        assert await ask_with(device, nonce=nonce) == TAKEN
    clock.advance(seconds=NONCE_SECONDS)
    assert await ask_with(device, nonce=nonce) == TAKEN
    clock.advance(seconds=1)
    assert await ask_with(device, nonce=nonce) == ASKED


async def test_a_forged_nonce_is_answered_with_a_good_one(device: Device) -> None:
    assert device.nonce is not None
    raw = base64.urlsafe_b64decode(device.nonce)
    forged = [b64url(raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]) for at in range(len(raw))]
    answer = await ask(device)
    others = ["", "x", "é", device.nonce + "=", device.nonce[:-1], b64url(raw + b"\0"), 7, [], {}]
    for nonce in (*forged, *others):
        header, payload = parts(device)
        answer = await ask(device, jws(header, payload | {"nonce": nonce}, device))
        assert said(answer) == ASKED
        assert answer.headers["DPoP-Nonce"] not in forged
    assert await ask_with(device, nonce=answer.headers["DPoP-Nonce"]) == TAKEN


async def test_a_proof_that_was_answered_with_a_nonce_is_not_spent(
    device: Device, clock: SetClock
) -> None:
    clock.advance(seconds=1000)
    stale = _without_nonce(device, {"iat": 1})
    proof = jws(*stale, device)
    assert said(await ask(device, proof)) == ASKED
    assert said(await ask(device, proof)) == ASKED


@pytest.mark.parametrize("ahead", [-299, 0, 299])
async def test_what_was_sent_before_a_restart_does_not_work_after_it(
    ahead: int, tmp_path: Path, clock: SetClock
) -> None:
    settings = settings_for(tmp_path)
    async with served(settings, clock) as http:
        device = Device(http, clock=clock)
        (await device.register()).raise_for_status()
        clock.advance(seconds=700)
        answer = await device.call("GET", "/auth/devices")
        assert answer.is_success
        plain = jws(*_without_nonce(device, {"iat": int(clock()) + ahead}), device)
        with_nonce = jws(*parts(device), device)
        assert said(await ask(device, plain)) == TAKEN
        assert said(await ask(device, with_nonce)) == TAKEN
    for seconds in (0, 1, 250, 40, 300, 9, 1):
        clock.advance(seconds=seconds)
        async with served(settings, clock) as http:
            device.http = http
            assert said(await ask(device, with_nonce)) == ASKED
            assert said(await ask(device, plain)) in ((401, "proof_replayed"), ASKED)


@pytest.mark.parametrize("fraction", [0.0, 0.5, 0.999])
@pytest.mark.parametrize("ahead", [-300, 0, 300])
async def test_no_proof_works_twice_however_late_its_copy_comes(
    ahead: int, fraction: float, device: Device, clock: SetClock
) -> None:
    clock.now = int(clock.now) + 1000 + fraction
    proof = jws(*_without_nonce(device, {"iat": int(clock()) + ahead}), device)
    assert said(await ask(device, proof)) == TAKEN
    began = clock.now
    for later in (1, 300, 599, 599.999 - fraction, 600, 600.4, 600.999 - fraction, 601, 602):
        clock.now = began + later
        answer = said(await ask(device, proof))
        assert answer in ((401, "proof_replayed"), ASKED), later


def test_seen_proofs_are_forgotten_when_they_could_not_hold_any_more() -> None:
    clock = SetClock()
    seen = SeenProofs(clock)
    assert seen.add(digest_of(b"a", "1"))
    assert not seen.add(digest_of(b"a", "1"))
    assert seen.add(digest_of(b"b", "1"))
    clock.advance(seconds=2 * WINDOW_SECONDS + 2)
    assert seen.add(digest_of(b"a", "2"))
    assert len(seen._until) == 1


def test_a_nonce_is_dated_by_our_own_clock() -> None:
    clock = SetClock(1_800_000_000.7)
    nonces = Nonces(ServerKeys.of(b"k" * 32), clock)
    nonce = nonces.issue()
    clock.advance(seconds=100)
    assert nonces.dated(nonce) == 1_800_000_000
    assert Nonces(ServerKeys.of(b"o" * 32), SetClock(1.0)).dated(nonce) is None


# --- which calls need one -----------------------------------------------------------------------


async def test_calls_that_change_who_may_read_need_a_proof(
    device: Device, new_device: NewDevice
) -> None:
    pairing = await (await Pairing.open(device, new_device())).until("revealed")
    sensitive = [
        ("DELETE", f"/auth/devices/{device.id}", None),
        ("POST", "/auth/pairings", {}),
        ("POST", f"{pairing.path}/approve", pairing.approval),
        ("POST", f"{pairing.path}/collect", {}),
        ("POST", f"{pairing.path}/complete", {}),
        ("POST", "/auth/refresh", {"refresh_token": device.session["refresh_token"]}),
    ]
    for method, path, body in sensitive:
        answer = await device.call(method, path, body)
        assert said(answer) == (401, "proof_required"), path
        assert answer.headers["WWW-Authenticate"].startswith("DPoP")
        assert answer.headers["DPoP-Nonce"]
    assert (await pairing.see()).json()["state"] == "revealed"


async def test_a_setting_asks_every_authenticated_call_for_a_proof(
    running: Running, tmp_path: Path, clock: SetClock
) -> None:
    http = await running(settings_for(tmp_path, proof_required="always"))
    device = Device(http, clock=clock)
    assert (await device.register()).status_code == 201
    assert (await device.log_in()).status_code == 200
    assert (await device.refresh()).status_code == 200
    push = {"changes": [device.change()]}
    new = Device(http, clock=clock)
    pairing = await (await Pairing.open(device, new)).until("joined")
    calls: list[tuple[str, str, object]] = [
        ("GET", "/auth/devices", None),
        ("GET", "/sync/status", None),
        ("GET", "/sync/pull", None),
        ("POST", "/sync/push", push),
        ("GET", pairing.path, None),
        ("POST", f"{pairing.path}/reveal", {"nonce": pairing.nonce}),
        ("POST", f"{pairing.path}/approve", pairing.approval),
        ("DELETE", pairing.path, None),
        ("POST", "/auth/logout", None),
    ]
    for method, path, body in calls:
        assert said(await device.call(method, path, body)) == (401, "proof_required"), path
        assert (await device.call(method, path, body, proof=True)).is_success, path


async def test_a_call_that_waits_is_asked_for_one_proof(
    running: Running, tmp_path: Path, clock: SetClock
) -> None:
    http = await running(settings_for(tmp_path, proof_required="always"))
    device = Device(http, clock=clock)
    (await device.register()).raise_for_status()
    await device.call("POST", "/sync/push", {"changes": [device.change()]}, proof=True)
    answer = await device.call("GET", "/sync/pull", proof=True, params={"wait": 5})
    assert answer.status_code == 200
    assert len(answer.json()["changes"]) == 1


# --- parsing ------------------------------------------------------------------------------------


@unhurried
@given(st.text(max_size=400))
def test_any_header_parses_or_is_refused(header: str) -> None:
    with pytest.raises(ProofInvalid):
        dpop.parse(header)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=8,
)
HEADERS = st.fixed_dictionaries(
    {"typ": st.just("dpop+jwt"), "alg": JSON, "jwk": JSON | st.just(new_key().jwk)}
)


@unhurried
@given(HEADERS | JSON, JSON, st.binary(max_size=80))
def test_any_json_in_a_proof_parses_or_is_refused(
    header: object, payload: object, signature: bytes
) -> None:
    encoded = [b64url(json.dumps(each).encode()) for each in (header, payload)]
    try:
        parsed = dpop.parse(".".join((*encoded, b64url(signature))))
    except ProofInvalid:
        return
    assert isinstance(payload, dict)
    assert parsed.claims == payload
    assert parsed.signature == signature


@unhurried
@given(st.text(max_size=60) | st.text(alphabet="htp:/[]@.?#%8 0a", max_size=30))
def test_a_normal_form_is_its_own_normal_form(url: str) -> None:
    once = normalised(url)
    if once is not None:
        assert normalised(once) == once
        assert "?" not in once
        assert "#" not in once


@pytest.mark.parametrize("url", ["//0", "//a.example/x", "://a.example", "a.example/x", "/x", ""])
def test_what_names_no_scheme_or_no_host_is_no_absolute_url(url: str) -> None:
    assert normalised(url) is None


def test_the_default_port_and_an_empty_path_are_no_difference() -> None:
    for url in ("https://a.example", "https://A.example:443/", "HTTPS://a.example:443"):
        assert normalised(url) == "https://a.example/"
    assert normalised("http://[::1]:80/x") == "http://[::1]/x"
    assert normalised("https://a.example:80/") == "https://a.example:80/"


def test_the_origins_of_development_are_no_origins_of_production() -> None:
    public = "https://sync.example"
    assert accepted_origins(public, development=False, listening_port=8000) == (public,)
    assert accepted_origins(public, development=True, listening_port=None) == (public,)
    assert accepted_origins("http://localhost", development=True, listening_port=80) == (
        "http://localhost",
        "http://127.0.0.1",
        "http://[::1]",
    )
