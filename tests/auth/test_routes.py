"""Calls of `/auth` with input that does not fit: refused by name, nothing kept or echoed."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from app.config import Settings
from tests.conftest import NewDevice
from tests.kit.device import Device
from tests.kit.identity import Pairing, said, tables
from tests.kit.keys import b64, new_key
from tests.kit.pair import paired

CANARY = "Zq7canary7qZ"
UNKNOWN_ID = "00000000-0000-4000-8000-000000000000"
BAD_IDS = (UNKNOWN_ID, UNKNOWN_ID.replace("4", "1"), CANARY, "A" * 300, "%00", "%0a", "..%2f")

Send = Callable[[bytes, dict[str, str]], Awaitable[httpx.Response]]


@dataclass
class Call:
    """A call that would succeed with `body`; `fields` says what each field must look like."""

    send: Send
    body: dict[str, Any]
    fields: dict[str, str] = field(default_factory=dict)
    optional: frozenset[str] = frozenset()


NEITHER_TEXT: tuple[object, ...] = (7, 7.5, True, [], ["x"], {}, {CANARY: CANARY})
NOT_BASE64 = ("!", "AAA", "AA=", "A A=", "AAAA\n", "_-8=", "AB==", "AAB=", "====", "AAé=", "\x00")
BY_KIND: dict[str, tuple[object, ...]] = {
    "base64": (*NOT_BASE64, CANARY + "="),
    "base64 of 32": (*NOT_BASE64, "", b64(bytes(31)), b64(bytes(33))),
    "base64 of 16 to 32": (*NOT_BASE64, b64(bytes(15)), b64(bytes(33))),
    "base64, not empty": (*NOT_BASE64, ""),
    "thumbprint": ("", CANARY, "A" * 42, "A" * 44, "A" * 42 + "=", "A" * 42 + "B", "\x00" * 43),
    "device_type": ("", CANARY, "Desktop", "desktop\x00", "tablet"),
    "platform": ("", CANARY, "Linux", " linux", "beos"),
    "purpose": ("", CANARY, "register"),
    "name": ("x" * 513,),
    "text": (),
}


def faulty_bodies(call: Call) -> list[tuple[bytes, dict[str, str], tuple[int, str]]]:
    """Bodies with one fault each, with the answer each must get."""
    good = json.dumps(call.body)
    as_json = {"Content-Type": "application/json"}
    invalid = (422, "invalid")
    malformed = (400, "malformed")
    made: list[tuple[bytes, dict[str, str], tuple[int, str]]] = [
        (b"", as_json, malformed),
        (b" ", as_json, malformed),
        (b"{", as_json, malformed),
        (good.encode()[:-1], as_json, malformed),
        (good.encode() + b"{}", as_json, malformed),
        (good.encode("utf-16"), as_json, malformed),
        (b"\xef\xbb\xbf" + good.encode(), as_json, malformed),
        (b'{"\xff": 1}', as_json, malformed),
        (b'{"a": NaN}', as_json, malformed),
        (b'{"a": "\\ud800"}', as_json, malformed),
        (b'{"a": 1, "a": 1}', as_json, malformed),
        (b"[" * 300 + b"]" * 300, as_json, malformed),
        (b"[]", as_json, invalid),
        (b"null", as_json, invalid),
        (b"7", as_json, invalid),
        (b'"' + CANARY.encode() + b'"', as_json, invalid),
        (b"[" + good.encode() + b"]", as_json, invalid),
        (json.dumps(call.body | {CANARY: CANARY}).encode(), as_json, invalid),
        (json.dumps(call.body | {"": 1}).encode(), as_json, invalid),
        (json.dumps(call.body | {"a": "x" * 70_000}).encode(), as_json, (413, "body_too_large")),
        (good.encode(), {}, (415, "unsupported_media_type")),
        (good.encode(), {"Content-Type": "text/plain"}, (415, "unsupported_media_type")),
        (good.encode(), {"Content-Type": CANARY}, (415, "unsupported_media_type")),
        (
            good.encode(),
            {"Content-Type": "application/x-www-form-urlencoded"},
            (415, "unsupported_media_type"),
        ),
        (
            good.encode(),
            {"Content-Type": "application/json; charset=utf-16"},
            (415, "unsupported_media_type"),
        ),
        (good.encode(), as_json | {"Content-Encoding": "gzip"}, (415, "unsupported_media_type")),
    ]
    for name, kind in call.fields.items():
        wrong = [*NEITHER_TEXT, *BY_KIND[kind]]
        if name not in call.optional:
            rest = {key: value for key, value in call.body.items() if key != name}
            made.append((json.dumps(rest).encode(), as_json, invalid))
            wrong.append(None)
        made += [
            (json.dumps(call.body | {name: each}).encode(), as_json, invalid) for each in wrong
        ]
    return made


async def assert_all_refused(call: Call, settings: Settings) -> None:
    before = tables(settings.data_dir / "master.db")
    for body, headers, expected in faulty_bodies(call):
        answer = await call.send(body, headers)
        assert said(answer) == expected, body[:300]
        assert CANARY not in answer.text, body[:300]
        assert len(answer.content) < 4096
    assert tables(settings.data_dir / "master.db") == before


def plain(device: Device, path: str) -> Send:
    """Without token or proof."""

    async def send(body: bytes, headers: dict[str, str]) -> httpx.Response:
        return await device.http.post(path, content=body, headers=headers)

    return send


def authorised(device: Device, path: str) -> Send:
    """With token and proof."""

    async def send(body: bytes, headers: dict[str, str]) -> httpx.Response:
        token = device.session["access_token"]
        sent = {"Authorization": f"Bearer {token}", "DPoP": device.proof("POST", path, token)}
        return await device.http.post(path, content=body, headers=sent | headers)

    return send


def proven(device: Device, path: str) -> Send:
    """With a proof and no token: the new device of a pairing."""

    async def send(body: bytes, headers: dict[str, str]) -> httpx.Response:
        sent = {"DPoP": device.proof("POST", path, None)}
        return await device.http.post(path, content=body, headers=sent | headers)

    return send


KEY_FIELDS = {
    "public_key": "text",
    "signature": "base64",
    "wrapping_key": "text",
    "wrapping_key_signature": "base64",
    "device_type": "device_type",
    "platform": "platform",
    "device_name": "name",
}
KEY_OPTIONAL = frozenset({"wrapping_key", "wrapping_key_signature", "device_name"})


async def test_register_refuses_what_does_not_fit(
    device: Device, new_device: NewDevice, settings: Settings
) -> None:
    new = new_device()
    fields = KEY_FIELDS | {"challenge": "base64", "proof_of_work": "base64"}
    call = Call(
        plain(new, "/auth/register"),
        await new.registration(),
        fields,
        KEY_OPTIONAL | {"proof_of_work"},
    )
    await assert_all_refused(call, settings)


async def test_register_challenge_refuses_what_does_not_fit(
    device: Device, settings: Settings
) -> None:
    await assert_all_refused(Call(plain(device, "/auth/register/challenge"), {}), settings)


async def test_challenge_refuses_what_does_not_fit(device: Device, settings: Settings) -> None:
    body = {"key_thumbprint": device.key.thumbprint_text, "purpose": "login"}
    fields = {"key_thumbprint": "thumbprint", "purpose": "purpose"}
    call = Call(plain(device, "/auth/challenge"), body, fields, frozenset({"purpose"}))
    await assert_all_refused(call, settings)


async def test_login_refuses_what_does_not_fit(device: Device, settings: Settings) -> None:
    fields = {"key_thumbprint": "thumbprint", "challenge": "base64", "signature": "base64"}
    body = {
        "key_thumbprint": device.key.thumbprint_text,
        "challenge": b64(bytes(72)),
        "signature": b64(bytes(64)),
    }
    await assert_all_refused(Call(plain(device, "/auth/login"), body, fields), settings)


async def test_refresh_refuses_what_does_not_fit(device: Device, settings: Settings) -> None:
    body = {"refresh_token": device.session["refresh_token"]}
    call = Call(plain(device, "/auth/refresh"), body, {"refresh_token": "text"})
    await assert_all_refused(call, settings)
    too_long = json.dumps({"refresh_token": "x" * 513}).encode()
    answer = await call.send(too_long, {"Content-Type": "application/json"})
    assert said(answer) == (422, "invalid")


async def test_opening_a_pairing_refuses_what_does_not_fit(
    device: Device, settings: Settings
) -> None:
    call = Call(
        authorised(device, "/auth/pairings"),
        {"commitment": b64(bytes(32))},
        {"commitment": "base64 of 32"},
        frozenset({"commitment"}),
    )
    await assert_all_refused(call, settings)


@pytest.fixture
async def pairing(device: Device, new_device: NewDevice) -> Pairing:
    return await Pairing.open(device, new_device())


async def test_join_refuses_what_does_not_fit(pairing: Pairing, settings: Settings) -> None:
    call = Call(
        plain(pairing.new, f"{pairing.path}/join"),
        pairing.join_fields,
        KEY_FIELDS | {"nonce": "base64 of 16 to 32", "mac": "base64 of 32"},
        KEY_OPTIONAL,
    )
    await assert_all_refused(call, settings)


async def test_reveal_refuses_what_does_not_fit(pairing: Pairing, settings: Settings) -> None:
    await pairing.until("joined")
    call = Call(
        authorised(pairing.existing, f"{pairing.path}/reveal"),
        {"nonce": pairing.nonce},
        {"nonce": "base64 of 32"},
    )
    await assert_all_refused(call, settings)


async def test_approve_refuses_what_does_not_fit(pairing: Pairing, settings: Settings) -> None:
    await pairing.until("revealed")
    call = Call(
        authorised(pairing.existing, f"{pairing.path}/approve"),
        pairing.approval,
        {
            "key_thumbprint": "thumbprint",
            "wrapped_cek": "base64, not empty",
            "ciphertext": "base64, not empty",
            "signature": "base64",
        },
    )
    await assert_all_refused(call, settings)


@pytest.mark.parametrize("step", ["collect", "complete"])
async def test_the_new_devices_steps_refuse_what_does_not_fit(
    step: str, pairing: Pairing, settings: Settings
) -> None:
    await pairing.until("approved")
    await assert_all_refused(Call(proven(pairing.new, f"{pairing.path}/{step}"), {}), settings)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"public_key": ""}, "public_key_malformed"),
        ({"public_key": CANARY}, "public_key_malformed"),
        ({"public_key": "\x00"}, "public_key_malformed"),
        ({"public_key": "-----BEGIN PRIVATE KEY-----" + CANARY}, "public_key_is_private"),
        ({"public_key": CANARY * 300}, "public_key_too_long"),
        ({"wrapping_key": CANARY, "wrapping_key_signature": ""}, "public_key_malformed"),
        ({"wrapping_key": CANARY}, "public_key_malformed"),
        ({"wrapping_key": "-----BEGIN PRIVATE KEY-----"}, "public_key_is_private"),
        ({"wrapping_key": new_key().pem}, "wrapping_key_signature_invalid"),
        ({"wrapping_key_signature": b64(bytes(64))}, "wrapping_key_signature_invalid"),
    ],
)
async def test_keys_that_are_none_are_refused_by_name_and_not_echoed(
    fields: dict[str, str], code: str, device: Device, new_device: NewDevice, settings: Settings
) -> None:
    before = tables(settings.data_dir / "master.db")
    answer = await new_device().register(**fields)
    assert answer.status_code == 422
    assert answer.json()["code"] == code
    assert CANARY not in answer.text
    assert tables(settings.data_dir / "master.db") == before


async def test_parameters_that_a_call_does_not_have_are_refused(
    device: Device, pairing: Pairing
) -> None:
    for method, path in (
        ("GET", "/auth/devices"),
        ("POST", "/auth/logout"),
        ("GET", pairing.path),
        ("DELETE", pairing.path),
    ):
        answer = await device.call(method, path, params={CANARY: CANARY})
        assert said(answer) == (422, "invalid"), path
        assert CANARY not in answer.text
    for wait in ("", "-1", "26", "1.5", "x", "9" * 400, "\x00"):
        answer = await device.call("GET", pairing.path, params={"wait": wait})
        assert said(answer) == (422, "invalid"), wait
    assert (await device.call("GET", "/auth/devices")).is_success


async def test_ids_of_another_account_answer_as_unknown_ones(
    device: Device, new_device: NewDevice
) -> None:
    stranger = new_device()
    (await stranger.register()).raise_for_status()
    second = await paired(device, new_device())
    pairing = await (await Pairing.open(device, new_device())).until("joined")
    foreign = [
        ("DELETE", "/auth/devices/{}", second.id, None),
        ("GET", "/auth/pairings/{}", pairing.id, None),
        ("POST", "/auth/pairings/{}/reveal", pairing.id, {"nonce": pairing.nonce}),
        ("POST", "/auth/pairings/{}/approve", pairing.id, pairing.approval),
        ("DELETE", "/auth/pairings/{}", pairing.id, None),
    ]
    for method, path, real, body in foreign:
        answers = {
            (await stranger.call(method, path.format(each), body, proof=True)).text
            for each in (real, UNKNOWN_ID)
        }
        assert len(answers) == 1, path
        assert json.loads(answers.pop())["code"] == "not_found"
    assert (await pairing.see()).json()["state"] == "joined"
    assert (await second.call("GET", "/auth/devices")).is_success


@pytest.mark.parametrize("bad", BAD_IDS)
async def test_an_id_that_is_none_is_not_found(bad: str, device: Device) -> None:
    for method, path, body in (
        ("DELETE", f"/auth/devices/{bad}", None),
        ("GET", f"/auth/pairings/{bad}", None),
        ("POST", f"/auth/pairings/{bad}/reveal", {"nonce": b64(bytes(32))}),
        ("DELETE", f"/auth/pairings/{bad}", None),
    ):
        token = device.session["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        unquoted = str(httpx.URL(f"http://localhost{path}").path)
        headers["DPoP"] = device.proof(method, unquoted, token)
        answer = await device.http.request(method, path, json=body, headers=headers)
        assert answer.status_code in (401, 404), path  # a proof for such a path fits no URL
        assert CANARY not in answer.text


async def test_every_401_names_its_scheme_and_brings_a_nonce(
    device: Device, pairing: Pairing
) -> None:
    calls = [
        ("GET", "/auth/devices", "Bearer"),
        ("POST", "/auth/logout", "Bearer"),
        ("GET", pairing.path, "Bearer"),
        ("DELETE", pairing.path, "Bearer"),
        ("GET", "/sync/status", "Bearer"),
    ]
    for method, path, scheme in calls:
        answer = await device.call(method, path, token=None)
        assert said(answer) == (401, "not_authenticated"), path
        assert answer.headers["WWW-Authenticate"].startswith(scheme)
        assert answer.headers["DPoP-Nonce"]
    for path in ("/auth/pairings", f"/auth/pairings/{pairing.id}/approve"):
        answer = await device.call("POST", path, pairing.approval)
        assert said(answer) == (401, "proof_required"), path
        assert answer.headers["WWW-Authenticate"].startswith("DPoP")
        assert answer.headers["DPoP-Nonce"]
