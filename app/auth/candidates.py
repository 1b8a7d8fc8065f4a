"""A device that asks to be let in: its keys and what it says of itself, checked."""

import asyncio
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from app.auth.devices import Description, Device
from app.auth.errors import SignatureInvalid, WrappingKeySignatureInvalid
from app.auth.public_key import PublicKey, validate_public_key, validate_wrapping_key
from app.auth.signed_bytes import wrapping_key_message


@dataclass(frozen=True, slots=True)
class Claim:
    """What was sent: PEM keys, not yet believed."""

    public_key: str
    wrapping_key: str | None
    wrapping_key_signature: bytes | None
    description: Description


@dataclass(frozen=True, slots=True)
class Candidate:
    """Keys that are sound, the wrapping key vouched for by the signing key."""

    key: PublicKey
    wrapping_key: PublicKey | None
    wrapping_key_signature: bytes | None
    description: Description

    @property
    def wrapping_der(self) -> bytes | None:
        return self.wrapping_key.der if self.wrapping_key else None

    def device(self, user_id: str, now: int) -> Device:
        """A first, live row for these keys, under a new id."""
        return Device(
            device_id=str(uuid.uuid4()),
            user_id=user_id,
            thumbprint=self.key.thumbprint,
            status="active",
            generation=1,
            public_key=self.key.der,
            wrapping_key=self.wrapping_der,
            wrapping_key_signature=self.wrapping_key_signature,
            description=self.description,
            created_at=now,
        )


async def examine(claim: Claim, origins: Sequence[str]) -> Candidate:
    """The candidate, its keys examined on a thread. Raises a leaf of PublicKeyRefused, or
    WrappingKeySignatureInvalid."""
    return await asyncio.to_thread(_examine, claim, origins)


def _examine(claim: Claim, origins: Sequence[str]) -> Candidate:
    key = validate_public_key(claim.public_key)
    signature = claim.wrapping_key_signature
    if claim.wrapping_key is None:
        if signature is not None:
            raise WrappingKeySignatureInvalid
        return Candidate(key, None, None, claim.description)
    # Before the signature is missed: whoever sent a private key must hear of that first.
    wrapping = validate_wrapping_key(claim.wrapping_key)
    if signature is None or not any(
        key.verify(signature, wrapping_key_message(origin, key.thumbprint, wrapping.der))
        for origin in origins
    ):
        raise WrappingKeySignatureInvalid
    return Candidate(key, wrapping, signature, claim.description)


def signed_origin(
    key: PublicKey, signature: bytes, origins: Sequence[str], message: Callable[[str], bytes]
) -> str:
    """The origin under which `key` signed the message. Raises SignatureInvalid if none."""
    for origin in origins:
        if key.verify(signature, message(origin)):
            return origin
    raise SignatureInvalid
