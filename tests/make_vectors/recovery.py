"""Makes spec/vectors/recovery.json and spec/vectors/wrapping.json, from HMAC, AES-GCM and ECDH
alone: a second writing of what the SDK does, for the two to be held against each other.

Run it as `python -m tests.make_vectors.recovery`.
"""

import base64
import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from mnemonic import Mnemonic

FOLDER = Path(__file__).parents[2] / "spec" / "vectors"
LABEL = "echolia/recovery/v1"
ENTROPIES = {
    "12 words, all bits clear": "00" * 16,
    "12 words, an example of BIP 39": "7f" * 16,
    "24 words, all bits set": "ff" * 32,
    "24 words": hashlib.sha256(b"echolia recovery vector").hexdigest(),
}
USER_ID = "11111111-1111-4111-8111-111111111111"


def list_of_words() -> list[str]:
    """BIP 39, English."""
    return list(Mnemonic("english").wordlist)


def words_of(entropy: bytes) -> str:
    """The bits of the entropy and, behind them, of its hash: 11 for each word."""
    length = len(entropy) * 8
    check = length // 32
    bits = int.from_bytes(entropy) << check | hashlib.sha256(entropy).digest()[0] >> (8 - check)
    count = (length + check) // 11
    listed = list_of_words()
    return " ".join(listed[bits >> (11 * at) & 2047] for at in reversed(range(count)))


def hkdf(key: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    """RFC 5869, extract and expand."""
    return expand(hmac.digest(salt or bytes(32), key, "sha256"), info, length)


def expand(prk: bytes, info: bytes, length: int) -> bytes:
    blocks, block = b"", b""
    for number in range(1, -(-length // 32) + 1):
        block = hmac.digest(prk, block + info + bytes([number]), "sha256")
        blocks += block
    return blocks[:length]


def lp(*parts: bytes) -> bytes:
    return b"".join(len(part).to_bytes(4) + part for part in parts)


# --- recovery -----------------------------------------------------------------------------------


def phrase(name: str, entropy: bytes) -> dict[str, Any]:
    locator = hkdf(entropy, b"", f"{LABEL}/locator".encode(), 16)
    authenticator = hkdf(entropy, b"", f"{LABEL}/authenticator".encode(), 32)
    bundle_key = hkdf(entropy, b"", f"{LABEL}/bundle".encode(), 32)
    epochs = {number: hashlib.sha256(f"epoch {number}".encode()).digest() for number in (1, 3)}
    return {
        "name": name,
        "words": words_of(entropy),
        "entropy": entropy.hex(),
        "locator": locator.hex(),
        "authenticator": authenticator.hex(),
        "authenticator_hash": hashlib.sha256(authenticator).hexdigest(),
        "bundle_key": bundle_key.hex(),
        "bundle": bundle(locator, bundle_key, epochs),
    }


def bundle(locator: bytes, key: bytes, epochs: dict[int, bytes]) -> dict[str, Any]:
    salt = hashlib.sha256(b"salt" + locator).digest()
    listed = {str(number): base64.b64encode(each).decode() for number, each in epochs.items()}
    fields = {"user_id": USER_ID, "key_epochs": listed, "roster": None, "checkpoint": None}
    payload = json.dumps(fields, separators=(",", ":")).encode()
    okm = hkdf(key, salt, b"echolia/v1/item-aead", 76)
    framed = lp(payload)
    padded = framed + bytes(256 - len(framed))
    aad = lp(f"{LABEL}/bundle".encode(), locator)
    body = AESGCM(okm[:32]).encrypt(okm[32:44], padded, aad)
    sealed = b"ECH1\x01" + bytes(4) + salt + okm[44:] + body
    return {
        "user_id": USER_ID,
        "key_epochs": {str(number): each.hex() for number, each in epochs.items()},
        "payload": payload.decode(),
        "salt": salt.hex(),
        "aad": aad.hex(),
        "sealed": sealed.hex(),
    }


def refused() -> list[dict[str, Any]]:
    about = " ".join(["abandon"] * 11 + ["about"])
    return [
        _refused("wrong checksum", " ".join(["abandon"] * 12)),
        _refused(
            "two words in each other's place", about.replace("abandon about", "about abandon")
        ),
        _refused("a word that is not in the list", about.replace("about", "abaout"), 12),
        _refused("a longer word than is in the list", about.replace("about", "aboutt"), 12),
        _refused("too short a prefix", about.replace("about", "abo"), 12),
        _refused("11 words", " ".join(["abandon"] * 11)),
        _refused("15 words, which BIP 39 has and this does not", words_of(bytes(20))),
        _refused("no words", ""),
    ]


def _refused(name: str, words: str, position: int | None = None) -> dict[str, Any]:
    return {"name": name, "words": words, "position": position}


def recovery() -> dict[str, Any]:
    cases = [phrase(name, bytes.fromhex(entropy)) for name, entropy in ENTROPIES.items()]
    first = str(cases[0]["words"])
    return {
        "about": "Recovery phrases (spec/recovery.md). Bytes are hex. `same` are other spellings of"
        " a phrase; `position` is the word at fault, from 1.",
        "phrases": cases,
        "same": [
            {"name": "capitals and spaces", "words": f"  {first.upper()} \n", "as": first},
            {
                "name": "four letters of each word",
                "words": " ".join(word[:4] for word in first.split()),
                "as": first,
            },
        ],
        "refused": refused(),
    }


# --- wrapping, suite 2 --------------------------------------------------------------------------

KEM, SUITE = b"KEM\x00\x10", b"HPKE\x00\x10\x00\x01\x00\x02"


def labeled_extract(suite: bytes, salt: bytes, label: bytes, ikm: bytes) -> bytes:
    """RFC 9180, section 4."""
    return hmac.digest(salt or bytes(32), b"HPKE-v1" + suite + label + ikm, "sha256")


def labeled_expand(suite: bytes, prk: bytes, label: bytes, info: bytes, length: int) -> bytes:
    return expand(prk, length.to_bytes(2) + b"HPKE-v1" + suite + label + info, length)


def point_of(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def hpke_keys(shared: bytes, kem_context: bytes, info: bytes) -> tuple[bytes, bytes]:
    """Key and nonce of base mode (RFC 9180, sections 4.1 and 5.1) for DHKEM(P-256, HKDF-SHA256),
    HKDF-SHA256 and AES-256-GCM."""
    prk = labeled_extract(KEM, b"", b"eae_prk", shared)
    secret = labeled_expand(KEM, prk, b"shared_secret", kem_context, 32)
    psk_id_hash = labeled_extract(SUITE, b"", b"psk_id_hash", b"")
    context = b"\x00" + psk_id_hash + labeled_extract(SUITE, b"", b"info_hash", info)
    schedule = labeled_extract(SUITE, secret, b"secret", b"")
    key = labeled_expand(SUITE, schedule, b"key", context, 32)
    return key, labeled_expand(SUITE, schedule, b"base_nonce", context, 12)


def wrap(
    secret: bytes,
    label: bytes,
    to: ec.EllipticCurvePublicKey,
    ephemeral: ec.EllipticCurvePrivateKey,
) -> bytes:
    enc = point_of(ephemeral.public_key())
    info = lp(b"echolia/wrap/v2", label)
    key, nonce = hpke_keys(ephemeral.exchange(ec.ECDH(), to), enc + point_of(to), info)
    return enc + AESGCM(key).encrypt(nonce, secret, b"")


def key_of(seed: str) -> ec.EllipticCurvePrivateKey:
    number = int.from_bytes(hashlib.sha256(seed.encode()).digest())
    return ec.derive_private_key(number, ec.SECP256R1())


def published() -> ec.EllipticCurvePrivateKey:
    """The P-256 key of signatures.json, which no device may use."""
    keys = json.loads((FOLDER / "signatures.json").read_text())["keys"]
    private = next(key["private_jwk"]["d"] for key in keys if key["name"] == "p256")
    number = int.from_bytes(base64.urlsafe_b64decode(private + "=="))
    return ec.derive_private_key(number, ec.SECP256R1())


def wrapping() -> dict[str, Any]:
    recipient, ephemeral = published(), key_of("echolia wrapping vector, ephemeral")
    cek, label = bytes(range(128, 160)), hashlib.sha256(b"echolia wrapping vector, T2").digest()
    wrapped = wrap(cek, label, recipient.public_key(), ephemeral)
    cases = [
        {"name": "as it was made", "label": label.hex(), "wrapped_cek": wrapped.hex()},
        {"name": "another label", "label": bytes(32).hex(), "wrapped_cek": wrapped.hex()},
        {"name": "a bit of the ephemeral key", "wrapped_cek": _flipped(wrapped, 64)},
        {"name": "a bit of the secret", "wrapped_cek": _flipped(wrapped, 65)},
        {"name": "a bit of the tag", "wrapped_cek": _flipped(wrapped, 112)},
        {
            "name": "a compressed point",
            "wrapped_cek": (b"\x02" + wrapped[1:33] + wrapped[65:]).hex(),
        },
        {"name": "cut off", "wrapped_cek": wrapped[:-1].hex()},
        {"name": "empty", "wrapped_cek": ""},
    ]
    for case in cases:
        case.setdefault("label", label.hex())
    return {
        "about": "Wrapping to P-256, suite 2 (spec/pairing.md). Bytes are hex. The recipient is the"
        " P-256 key of signatures.json. Only the first case opens.",
        "recipient": point_of(recipient.public_key()).hex(),
        "cek": cek.hex(),
        "info": lp(b"echolia/wrap/v2", label).hex(),
        "cases": [case | {"valid": at == 0} for at, case in enumerate(cases)],
    }


def _flipped(raw: bytes, at: int) -> str:
    return (raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]).hex()


def main() -> None:
    for name, made in (("recovery", recovery()), ("wrapping", wrapping())):
        text = json.dumps(made, indent=1, ensure_ascii=False)
        (FOLDER / f"{name}.json").write_text(text + "\n", "utf-8")


if __name__ == "__main__":
    main()
