"""Pairing without I/O: link, transcript, MAC, code, wrapped payload (spec/pairing.md)."""

from __future__ import annotations

import hmac
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ._canonical import (
    b64,
    b64url,
    id_bytes,
    id_text,
    is_id,
    lp,
    origin_of,
    sha256,
    unb64,
    unb64url,
)
from ._errors import LinkInvalid, PairingForged
from ._keys import PrivateKey, PublicKey, Signer, wrapping_statement
from ._sealing import hkdf

LINK_PREFIX = "echolia://pair#"
_MAGIC = b"ECH1"
_LABEL = b"echolia/pair/v1"
_FIXED_BYTES = 4 + 16 + 32 + 32 + 32
_MAX_ORIGIN_BYTES = 255


@dataclass(frozen=True, slots=True)
class Invitation:
    """What the QR carries from the existing device to the new one. `secret` stays off the wire."""

    origin: str
    pairing_id: str
    secret: bytes = field(repr=False)
    existing_thumbprint: bytes
    commitment: bytes

    def link(self) -> str:
        data = b"".join(
            (
                _MAGIC,
                id_bytes(self.pairing_id),
                self.secret,
                self.existing_thumbprint,
                self.commitment,
                self.origin.encode("ascii"),
            )
        )
        return LINK_PREFIX + b64url(data)

    @classmethod
    def parse(cls, link: str) -> Invitation:
        """LinkInvalid unless this is a whole pairing link in its one spelling."""
        text = link.strip()
        try:
            if not text.startswith(LINK_PREFIX):
                raise ValueError("prefix")
            data = unb64url(text[len(LINK_PREFIX) :])
            origin = data[_FIXED_BYTES:].decode("ascii")
            if data[:4] != _MAGIC or not 0 < len(origin) <= _MAX_ORIGIN_BYTES:
                raise ValueError("layout")
            if origin_of(origin) != origin:
                raise ValueError("origin")
        except ValueError:
            raise LinkInvalid("this is not a whole pairing link") from None
        return cls(origin, id_text(data[4:20]), data[20:52], data[52:84], data[84:116])


@dataclass(frozen=True)
class Transcript:
    """Everything both devices must agree on before the code is compared."""

    secret: bytes = field(repr=False)
    origin: str
    pairing_id: bytes
    existing_thumbprint: bytes
    new_thumbprint: bytes
    new_nonce: bytes

    @cached_property
    def first(self) -> bytes:
        """T, which the new device signs and authenticates when it joins."""
        return sha256(
            lp(
                _LABEL,
                self.origin.encode(),
                self.pairing_id,
                self.existing_thumbprint,
                self.new_thumbprint,
                self.new_nonce,
            )
        )

    def mac(self) -> bytes:
        """Proof that the joiner has seen the QR, which the server has not."""
        key = hkdf(self.secret, self.first, _LABEL + b"/mac", 32)
        return hmac.digest(key, self.first, "sha256")

    def reveal(self, existing_nonce: bytes) -> Agreement:
        second = sha256(lp(_LABEL + b"/2", self.first, existing_nonce))
        okm = hkdf(self.secret, second, _LABEL + b"/keys", 40)
        code = int.from_bytes(okm[32:], "big") % 10**6
        return Agreement(second, okm[:32], f"{code:06d}")


@dataclass(frozen=True, slots=True)
class Agreement:
    """What holds once the existing device has shown its nonce: T2, wrap key, six digits."""

    transcript: bytes
    wrap_key: bytes = field(repr=False)
    code: str = field(repr=False)

    def approval_statement(self, wrapped_cek: bytes, ciphertext: bytes) -> bytes:
        """What the existing device signs over the whole parcel."""
        return lp(_LABEL + b"/approve", self.transcript, sha256(wrapped_cek + ciphertext))

    def _aead(self, cek: bytes) -> tuple[AESGCM, bytes]:
        okm = hkdf(cek + self.wrap_key, self.transcript, _LABEL + b"/payload", 44)
        return AESGCM(okm[:32]), okm[32:]

    def close(
        self, payload: bytes, recipient: PublicKey, signer: Signer, *, cek: bytes | None = None
    ) -> Parcel:
        cek = os.urandom(32) if cek is None else cek
        aead, nonce = self._aead(cek)
        wrapped = recipient.wrap(cek, self.transcript)
        ciphertext = aead.encrypt(nonce, payload, self.transcript)
        signature = signer.sign(self.approval_statement(wrapped, ciphertext))
        return Parcel(wrapped, ciphertext, signature)

    def open(self, parcel: Parcel, recipient: PrivateKey, sender: PublicKey) -> bytes:
        """The payload; PairingForged unless `sender` made it for `recipient` in this pairing."""
        statement = self.approval_statement(parcel.wrapped_cek, parcel.ciphertext)
        if not sender.verifies(parcel.signature, statement):
            raise PairingForged("the parcel is not signed by the device that showed the link")
        try:
            cek = recipient.unwrap(parcel.wrapped_cek, self.transcript)
            aead, nonce = self._aead(cek)
            return aead.decrypt(nonce, parcel.ciphertext, self.transcript)
        except (ValueError, InvalidTag):
            raise PairingForged("the parcel was not made for this device") from None


@dataclass(frozen=True, slots=True)
class Parcel:
    """The vault keys on their way to the new device."""

    wrapped_cek: bytes
    ciphertext: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Joiner:
    """A new device as its join shows it, not yet believed."""

    public_key: PublicKey
    wrapping_key: PublicKey | None
    wrapping_key_signature: bytes
    nonce: bytes
    signature: bytes
    mac: bytes

    def recipient(self, origin: str) -> PublicKey:
        """The key to wrap to; PairingForged for a wrapping key its owner did not sign, or a P-256
        key in both roles, which only RSA is made for."""
        wrapping = self.wrapping_key or self.public_key
        if wrapping.is_p256 and wrapping.thumbprint == self.public_key.thumbprint:
            raise PairingForged("the new device would receive secrets with the key it signs with")
        if self.wrapping_key is None:
            return self.public_key
        statement = wrapping_statement(origin, self.public_key, self.wrapping_key)
        if not self.public_key.verifies(self.wrapping_key_signature, statement):
            raise PairingForged("the new device's wrapping key is not signed by its own key")
        return self.wrapping_key


def check_join(transcript: Transcript, joiner: Joiner) -> None:
    """PairingForged unless the joiner saw the QR and holds the key it shows."""
    if not 16 <= len(joiner.nonce) <= 32:
        raise PairingForged("the new device's nonce has a wrong length")
    if not hmac.compare_digest(joiner.mac, transcript.mac()):
        raise PairingForged("the device that answered has not seen this link")
    if not joiner.public_key.verifies(joiner.signature, transcript.first):
        raise PairingForged("the device that answered does not hold the key it shows")


def check_commitment(invitation: Invitation, existing_nonce: bytes) -> None:
    """PairingForged unless the nonce is the one the link promised."""
    if len(existing_nonce) != 32 or sha256(existing_nonce) != invitation.commitment:
        raise PairingForged("the server showed another nonce than the link promised")


def encode_payload(user_id: str, key_epochs: Mapping[int, bytes]) -> bytes:
    epochs = {str(epoch): b64(key) for epoch, key in sorted(key_epochs.items())}
    payload = {"user_id": user_id, "key_epochs": epochs, "roster": None, "checkpoint": None}
    return json.dumps(payload, separators=(",", ":")).encode()


def decode_payload(data: bytes) -> tuple[str, dict[int, bytes]]:
    """User id and vault keys; PairingForged for anything a device of ours would not send."""
    try:
        payload: Any = json.loads(data)
        user_id = payload["user_id"]
        epochs = {int(epoch): unb64(key) for epoch, key in payload["key_epochs"].items()}
        lengths = {len(key) for key in epochs.values()}
        if not is_id(user_id) or lengths != {32} or not all(0 < e < 2**32 for e in epochs):
            raise ValueError("shape")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise PairingForged("the parcel holds no vault keys") from None
    return user_id, epochs
