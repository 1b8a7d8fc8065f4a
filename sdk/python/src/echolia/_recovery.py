"""Recovery without I/O: what a phrase is split into, and the bundle it opens (spec/recovery.md).

The server is given the locator and a hash of the authenticator. The bundle key stays here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ._canonical import b64, lp, sha256, unb64
from ._errors import CannotOpen, PairingForged, RecoveryForged
from ._pairing import decode_payload, encode_payload
from ._sealing import hkdf, open_bytes, seal_bytes

_LABEL = b"echolia/recovery/v1"
_NO_EPOCH = 0
"""The bundle is sealed under no vault key."""


@dataclass(frozen=True, slots=True)
class RecoveryKeys:
    """The three parts of a phrase."""

    locator: bytes
    authenticator: bytes = field(repr=False)
    bundle_key: bytes = field(repr=False)

    @classmethod
    def of(cls, entropy: bytes) -> RecoveryKeys:
        """From the 16 or 32 bytes that the words hold."""
        return cls(
            locator=hkdf(entropy, b"", _LABEL + b"/locator", 16),
            authenticator=hkdf(entropy, b"", _LABEL + b"/authenticator", 32),
            bundle_key=hkdf(entropy, b"", _LABEL + b"/bundle", 32),
        )

    def kept(self) -> KeptRecovery:
        return KeptRecovery(self.locator, sha256(self.authenticator), self.bundle_key)

    def open_bundle(self, bundle: bytes) -> tuple[str, dict[int, bytes]]:
        """User id and vault keys; RecoveryForged unless this phrase sealed them."""
        try:
            keys = {_NO_EPOCH: self.bundle_key}
            payload = open_bytes(keys, _NO_EPOCH, _aad(self.locator), bundle)
            return decode_payload(payload)
        except (CannotOpen, PairingForged):
            raise RecoveryForged("what the server gave was not sealed by this phrase") from None


@dataclass(frozen=True, slots=True)
class KeptRecovery:
    """What a device keeps of a phrase, to seal newer bundles. It cannot come in with that."""

    locator: bytes
    authenticator_hash: bytes
    bundle_key: bytes = field(repr=False)

    @classmethod
    def from_json(cls, fields: Mapping[str, str]) -> KeptRecovery:
        names = ("locator", "authenticator_hash", "bundle_key")
        return cls(*(unb64(fields[name]) for name in names))

    def to_json(self) -> dict[str, str]:
        return {
            "locator": b64(self.locator),
            "authenticator_hash": b64(self.authenticator_hash),
            "bundle_key": b64(self.bundle_key),
        }

    def seal_bundle(
        self, user_id: str, key_epochs: Mapping[int, bytes], *, salt: bytes | None = None
    ) -> bytes:
        """An envelope of suite 1. `salt` is for vectors only: it must never be used twice."""
        payload = encode_payload(user_id, key_epochs)
        return seal_bytes(self.bundle_key, _NO_EPOCH, _aad(self.locator), payload, salt=salt)


def _aad(locator: bytes) -> bytes:
    return lp(_LABEL + b"/bundle", locator)
