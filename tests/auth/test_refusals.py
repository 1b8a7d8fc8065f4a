"""A stranger and a known device are refused alike: the same words, the same work."""

import os
from typing import Any

import pytest

from app.auth import refusals
from app.auth.public_key import PublicKey, open_public_key
from app.auth.refusals import verified_alike
from tests.conftest import NewDevice
from tests.kit.device import Device
from tests.kit.identity import said
from tests.kit.keys import DeviceKey, b64, new_key, p256_key, rsa_key
from tests.kit.pair import paired

VARIES = {"x-request-id", "dpop-nonce", "date"}
KEYS = {
    "P-256": p256_key(),
    "RSA-2048": rsa_key(1, 2048),
    "RSA-2560": rsa_key(1, 2560),
    "RSA-3072": rsa_key(),
    "RSA-4096": rsa_key(1, 4096),
}
MESSAGE = b"a message"


class Work:
    """Which kinds of keys were opened and used, in any order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.done: list[str] = []
        verify, open_key = PublicKey.verify_in_full, open_public_key

        def counted(key: PublicKey, signature: bytes, message: bytes) -> bool:
            self.done.append(f"verify {_usual(key)}")
            return verify(key, signature, message)

        def opened(der: bytes) -> PublicKey:
            key = open_key(der)
            self.done.append(f"open {_usual(key)}")
            return key

        monkeypatch.setattr(PublicKey, "verify_in_full", counted)
        monkeypatch.setattr(refusals, "open_public_key", opened)

    def of(self, *arguments: Any) -> list[str]:
        self.done = []
        assert not verified_alike(*arguments)
        return sorted(self.done)


def _usual(key: PublicKey) -> str:
    return "P-256" if key.kind == "P-256" else f"RSA-{-(-key.bits // 1024) * 1024}"


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS.keys())
@pytest.mark.parametrize("length", [0, 64, 256, 384, 512])
def test_a_refusal_does_the_same_for_every_key_and_for_none(
    key: DeviceKey, length: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    work, signature = Work(monkeypatch), os.urandom(length)
    stranger = work.of(None, signature, [MESSAGE])
    assert work.of(key.der, signature, [MESSAGE]) == stranger
    assert len(stranger) == 8


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS.keys())
def test_what_the_key_signed_is_good_under_any_of_the_origins(key: DeviceKey) -> None:
    assert verified_alike(key.der, key.sign(MESSAGE), [b"another", MESSAGE])
    assert not verified_alike(key.der, key.sign(b"another"), [MESSAGE])


@pytest.mark.parametrize("key", [KEYS["RSA-2048"], KEYS["RSA-3072"]], ids=["2048", "3072"])
def test_a_number_that_no_signature_can_be_is_no_signature(key: DeviceKey) -> None:
    length = len(key.sign(b""))
    assert not verified_alike(key.der, b"\xff" * length, [MESSAGE])
    assert not verified_alike(key.der, key.sign(MESSAGE) + b"\0", [MESSAGE])


@pytest.mark.parametrize("kind", ["P-256", "RSA-2048", "RSA-3072", "RSA-4096"])
async def test_a_stranger_and_a_device_get_the_same_answers_but_for_what_is_random(
    kind: str, new_device: NewDevice
) -> None:
    known, stranger = new_device(KEYS[kind]), new_device()
    (await known.register()).raise_for_status()
    seen: list[list[Any]] = []
    for who in (known, stranger):
        asked = {"key_thumbprint": who.key.thumbprint_text}
        challenge = await who.call("POST", "/auth/challenge", asked, token=None)
        body = challenge.json()
        assert set(body) == {"challenge", "expires_in"}
        login = asked | {"challenge": body["challenge"], "signature": b64(os.urandom(256))}
        refused = await who.call("POST", "/auth/login", login, token=None)
        assert said(refused) == (401, "login_failed")
        heads = [
            {name: value for name, value in answer.headers.items() if name not in VARIES}
            for answer in (challenge, refused)
        ]
        lengths = len(challenge.content), len(body["challenge"])
        seen.append([heads, lengths, body["expires_in"], refused.content])
    assert seen[0] == seen[1]


@pytest.mark.parametrize("wrong", ["key", "signature", "challenge", "spent", "revoked"])
async def test_every_failed_log_in_is_one_answer(
    wrong: str, device: Device, new_device: NewDevice
) -> None:
    second = new_device()

    await paired(device, second)
    who = Device(second.http, new_key(), clock=second.clock) if wrong == "key" else second
    asked = {"key_thumbprint": who.key.thumbprint_text}
    challenge = (await who.call("POST", "/auth/challenge", asked, token=None)).json()["challenge"]
    body = asked | {
        "challenge": challenge,
        "signature": who.answer_to("echolia/login/v1", challenge),
    }
    if wrong == "signature":
        body["signature"] = who.answer_to("echolia/register/v1", challenge)
    if wrong == "challenge":
        body["challenge"] = b64(os.urandom(72))
    if wrong == "spent":
        (await who.call("POST", "/auth/login", body, token=None)).raise_for_status()
    if wrong == "revoked":
        await device.call("DELETE", f"/auth/devices/{second.id}", proof=True)
    refused = await who.call("POST", "/auth/login", body, token=None)
    assert said(refused) == (401, "login_failed")
    assert refused.json() == {
        "type": "urn:echolia:problem:login_failed",
        "title": "This key and signature open nothing; take a fresh challenge and sign it.",
        "status": 401,
        "detail": "This key and signature open nothing; take a fresh challenge and sign it.",
        "code": "login_failed",
    }
