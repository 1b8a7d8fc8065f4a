"""No honest key is refused, and every weak or odd one is, at once and by name."""

import itertools
import json
import random
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from app.auth.key_errors import PublicKeyRefused
from app.auth.public_key import (
    MAX_PEM_CHARACTERS,
    MAX_RSA_BITS,
    MIN_RSA_BITS,
    validate_public_key,
    validate_wrapping_key,
)
from tests.conftest import NewDevice
from tests.kit.identity import said, vouched
from tests.kit.keys import DeviceKey, new_key
from tests.make_vectors.public_keys import p256_der, pem, rsa_der

VECTORS = Path(__file__).parents[2] / "spec" / "vectors" / "public_keys.json"
REFUSED: list[dict[str, Any]] = [
    entry for entry in json.loads(VECTORS.read_text()) if not entry["valid"]
]
MOST_CPU_SECONDS = 0.05
USUAL_BITS = (2048, 2048, 2048, 3072, 3072, 4096)


def honest_key(chance: random.Random) -> DeviceKey:
    """A key as devices make them: half of them RSA, of the usual sizes or of any between."""
    if chance.random() < 0.4:
        return DeviceKey(ec.generate_private_key(ec.SECP256R1()))
    odd = chance.random() < 0.4
    bits = chance.randint(MIN_RSA_BITS, MAX_RSA_BITS) if odd else chance.choice(USUAL_BITS)
    return DeviceKey(rsa.generate_private_key(public_exponent=65537, key_size=bits))


async def let_in(new_device: NewDevice, keys: list[DeviceKey]) -> None:
    """Each key opens an account, and can prove itself to the server afterwards."""
    for key in keys:
        device = new_device(key)
        wrapping = vouched(key, new_key(), device.origin)
        assert said(await device.register(**wrapping)) == (201, None)
        answer = await device.call("POST", "/auth/pairings", {}, proof=True)
        assert said(answer) == (201, None)
        assert validate_wrapping_key(key.pem).pem == key.pem


async def test_honest_keys_of_every_kind_are_let_in(new_device: NewDevice) -> None:
    sizes = (2048, 2049, 2055, 3072, 4096)
    keys = [DeviceKey(rsa.generate_private_key(65537, bits)) for bits in sizes]
    await let_in(new_device, keys + [new_key() for _ in range(20)])


@pytest.mark.soak
async def test_a_thousand_honest_keys_are_let_in(
    new_device: NewDevice, chance: random.Random
) -> None:
    kinds: Counter[str] = Counter()
    for _ in range(1000):
        key = honest_key(chance)
        await let_in(new_device, [key])
        kinds["P-256" if key.algorithm == "ES256" else "RSA"] += 1
    print(f"1000 keys let in, 0 refused: {dict(kinds)}")


def heavy_texts() -> dict[str, str]:
    """Keys made to cost the most before they are refused."""
    ones = 2**MAX_RSA_BITS - 1
    cube = (2 ** (MAX_RSA_BITS // 3) - 3) ** 3
    many = "-----BEGIN PUBLIC KEY-----\n" * 600
    return {
        "4096 ones": pem(rsa_der(ones)),
        "the largest modulus that fits": pem(rsa_der(2**11_000 - 1)),
        "an exponent of ten thousand bits": pem(rsa_der(3, 2**10_000 + 1)),
        "a cube of 4096 bits": pem(rsa_der(cube)),
        "16 KB of beginnings": many[: 16 * 1024],
        "16 KB of base64": "A" * (16 * 1024),
        "2 KB of base64": pem(b"\x30\x82\x05\xf0" + bytes(1400))[:MAX_PEM_CHARACTERS],
        "nested sequences": pem(b"\x30\x80" * 700),
        "a point of a kilobyte": pem(p256_der(b"\x04" + b"\xff" * 1200)),
    }


def refused_within(text: str, *, strict: bool) -> tuple[str, float]:
    """The code, and the least CPU time of three refusals: the machine is not ours alone."""
    code, seconds = "", float("inf")
    for _ in range(3):
        began = time.process_time()
        try:
            validate_public_key(text, strict=strict)
        except PublicKeyRefused as refused:
            code = refused.code
        seconds = min(seconds, time.process_time() - began)
    return code, seconds


def test_every_refusal_takes_a_moment_and_has_its_code() -> None:
    table = [(e["name"], e["pem"], e["code"], e.get("strict", False)) for e in REFUSED]
    heavy = [(name, text, None, False) for name, text in heavy_texts().items()]
    slowest = ("", 0.0)
    for name, text, code, strict in itertools.chain(table, heavy):
        found, seconds = refused_within(text, strict=strict)
        assert found, f"{name} was let in"
        assert code in (found, None), name
        assert seconds < MOST_CPU_SECONDS, name
        slowest = max(slowest, (name, seconds), key=lambda each: each[1])
    print(f"{len(table) + len(heavy)} keys refused; the slowest, {slowest[0]}: {slowest[1]:.4f} s")


def test_the_longest_examination_of_an_honest_key_takes_a_moment() -> None:
    key = DeviceKey(rsa.generate_private_key(65537, MAX_RSA_BITS))
    validate_public_key(key.pem)
    began = time.process_time()
    validate_public_key(key.pem)
    assert time.process_time() - began < MOST_CPU_SECONDS
