"""Suite 1: how a plaintext becomes an envelope (spec/sealing.md).

Every seal draws a fresh salt, and with it a fresh key and nonce: there is no nonce budget to
keep. The commitment in the envelope stops one ciphertext from opening under two keys.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ._canonical import id_bytes, lp, u32
from ._clocks import VectorClock
from ._errors import CannotOpen

MAGIC = b"ECH1"
SUITE = 1
SCHEMA = 1
KEY_BYTES = 32
HEADER_BYTES = 73  # magic 4, suite 1, epoch 4, salt 32, commitment 32
TAG_BYTES = 16
MIN_PADDED_BYTES = 256

_INFO = b"echolia/v1/item-aead"
_LABEL = b"echolia/item/v1"


@dataclass(frozen=True, slots=True)
class ItemContext:
    """What an envelope is bound to; every field is part of its AAD."""

    user_id: str
    collection: str
    item_id: str
    device_id: str
    clock: VectorClock
    is_deleted: bool
    key_epoch: int

    def aad(self) -> bytes:
        return b"".join(
            (
                lp(_LABEL),
                u32(SUITE),
                u32(SCHEMA),
                u32(self.key_epoch),
                lp(
                    id_bytes(self.user_id),
                    self.collection.encode(),
                    id_bytes(self.item_id),
                    id_bytes(self.device_id),
                    self.clock.encode(),
                ),
                bytes([self.is_deleted]),
            )
        )


def hkdf(key: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    """HKDF-SHA-256 (RFC 5869)."""
    return HKDF(algorithm=hashes.SHA256(), length=length, salt=salt, info=info).derive(key)


def padded_length(length: int) -> int:
    """The Padmé size (Nikitin et al., PURBs, 2019) that holds `length` bytes, at least 256.

    Only 257 sizes exist between 256 bytes and 1 MiB; the overhead stays under 6.4 %.
    """
    if length <= MIN_PADDED_BYTES:
        return MIN_PADDED_BYTES
    exponent = length.bit_length() - 1
    low_bits = exponent - exponent.bit_length()
    mask = (1 << low_bits) - 1
    return (length + mask) & ~mask


def seal(key: bytes, context: ItemContext, plaintext: bytes, *, salt: bytes | None = None) -> bytes:
    """The envelope of `plaintext`. `salt` is for vectors only: it must never be used twice."""
    return seal_bytes(key, context.key_epoch, context.aad(), plaintext, salt=salt)


def open_envelope(keys: Mapping[int, bytes], context: ItemContext, envelope: bytes) -> bytes:
    """The plaintext; CannotOpen unless every byte and every part of `context` fits."""
    return open_bytes(keys, context.key_epoch, context.aad(), envelope)


def seal_bytes(
    key: bytes, epoch: int, aad: bytes, plaintext: bytes, *, salt: bytes | None = None
) -> bytes:
    salt = os.urandom(32) if salt is None else salt
    aead_key, nonce, commitment = _derive(key, salt)
    body = AESGCM(aead_key).encrypt(nonce, _pad(plaintext), aad)
    return b"".join((MAGIC, bytes([SUITE]), u32(epoch), salt, commitment, body))


def open_bytes(keys: Mapping[int, bytes], epoch: int, aad: bytes, envelope: bytes) -> bytes:
    key = _key_for(keys, epoch, envelope)
    salt, commitment, body = envelope[9:41], envelope[41:73], envelope[73:]
    aead_key, nonce, expected = _derive(key, salt)
    if not hmac.compare_digest(commitment, expected):
        raise CannotOpen("commitment")
    try:
        padded = AESGCM(aead_key).decrypt(nonce, body, aad)
    except InvalidTag:
        raise CannotOpen("authentication") from None
    return _unpad(padded)


def _key_for(keys: Mapping[int, bytes], epoch: int, envelope: bytes) -> bytes:
    if len(envelope) < HEADER_BYTES + TAG_BYTES or envelope[:4] != MAGIC:
        raise CannotOpen("magic")
    if envelope[4] != SUITE:
        raise CannotOpen("suite")
    if int.from_bytes(envelope[5:9], "big") != epoch or epoch not in keys:
        raise CannotOpen("epoch")
    return keys[epoch]


def _derive(key: bytes, salt: bytes) -> tuple[bytes, bytes, bytes]:
    okm = hkdf(key, salt, _INFO, 76)
    return okm[:32], okm[32:44], okm[44:]


def _pad(plaintext: bytes) -> bytes:
    framed = lp(plaintext)
    return framed + bytes(padded_length(len(framed)) - len(framed))


def _unpad(padded: bytes) -> bytes:
    end = 4 + int.from_bytes(padded[:4], "big")
    if len(padded) < 4 or padded_length(end) != len(padded) or any(padded[end:]):
        raise CannotOpen("padding")
    return padded[4:end]
