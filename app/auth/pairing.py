"""Pairing as a state machine: which step may follow which. Pure.

open → joined → revealed → approved → completed
  └────────┴─────────┴─────────┴→ cancelled, expired; conflict if joined twice

Nothing leaves `completed`, `cancelled` and `conflict`, but that time erases them.
"""

import hashlib
import uuid
from dataclasses import dataclass
from typing import Literal, TypeAlias

from app.auth.devices import Description, Device
from app.auth.errors import (
    CommitmentMismatch,
    PairingCancelled,
    PairingConflict,
    PairingExpired,
    PairingState,
)

State: TypeAlias = Literal[
    "open", "joined", "revealed", "approved", "completed", "cancelled", "conflict"
]

EXISTING_WAITS: tuple[State, ...] = ("open", "approved")
"""Where the existing device waits: for a join, and for the new device to be done."""
NEW_WAITS: tuple[State, ...] = ("joined", "revealed")
"""Where the new device waits: for the reveal, and for the approval."""
SETTLED: tuple[State, ...] = ("approved", "completed")
"""Where the existing device has decided: another join is refused and ends nothing."""

LIFE_SECONDS = 300
MAX_OPEN = 3
MAX_CIPHERTEXT_BYTES = 16 * 1024
NEW_NONCE_BYTES = range(16, 33)
EXISTING_NONCE_BYTES = 32


@dataclass(frozen=True, slots=True)
class Joiner:
    """The new device's side. Keys are SPKI DER."""

    public_key: bytes
    thumbprint: bytes
    wrapping_key: bytes | None
    wrapping_key_signature: bytes | None
    description: Description
    nonce: bytes
    signature: bytes
    mac: bytes

    def is_same(self, other: "Joiner") -> bool:
        """Whether a join is a repetition: same key and same nonce."""
        return self.thumbprint == other.thumbprint and self.nonce == other.nonce

    def device(self, user_id: str, now: int) -> Device:
        """A first, live row for this device, under a new id."""
        return Device(
            device_id=str(uuid.uuid4()),
            user_id=user_id,
            thumbprint=self.thumbprint,
            status="active",
            generation=1,
            public_key=self.public_key,
            wrapping_key=self.wrapping_key,
            wrapping_key_signature=self.wrapping_key_signature,
            description=self.description,
            created_at=now,
        )


@dataclass(frozen=True, slots=True)
class Approval:
    """What the existing device hands over, sealed."""

    wrapped_cek: bytes
    ciphertext: bytes
    signature: bytes

    def digest(self) -> bytes:
        """What is remembered of an approval that was carried out."""
        return hashlib.sha256(self.signature).digest()


@dataclass(frozen=True, slots=True)
class Pairing:
    """A pairing as stored."""

    pairing_id: str
    user_id: str
    device_id: str
    state: State
    commitment: bytes | None
    expires_at: int
    joiner: Joiner | None
    existing_nonce: bytes | None
    approval: Approval | None
    new_device_id: str | None
    approved_with: bytes | None = None
    """SHA-256 of the approval's signature, once the payload is erased: tells a repetition."""


@dataclass(frozen=True, slots=True)
class Collected:
    """What the new device carries away; opened by keys the server never had."""

    user_id: str
    existing_key: bytes
    approval: Approval


def check_alive(pairing: Pairing, now: int) -> None:
    """Raises what ended the pairing, if something did; a conflict is an end as well."""
    if pairing.state == "cancelled":
        raise PairingCancelled
    if now >= pairing.expires_at:
        raise PairingExpired
    if pairing.state == "conflict":
        raise PairingConflict


def cancel_is_new(pairing: Pairing, now: int) -> bool:
    """False if the pairing has ended anyway, and how it ended must stay visible. Raises
    PairingExpired."""
    if pairing.state == "cancelled":
        return False
    if now >= pairing.expires_at:
        raise PairingExpired
    return pairing.state not in ("completed", "conflict")


def joiner_of(pairing: Pairing) -> Joiner:
    """The new device's side. Raises PairingState before there is one."""
    if pairing.joiner is None:
        raise PairingState(state=pairing.state)
    return pairing.joiner


def join_is_new(pairing: Pairing, joiner: Joiner) -> bool:
    """True for the first join, False for its repetition. Raises PairingConflict for another."""
    if pairing.joiner is None:
        return True
    if not pairing.joiner.is_same(joiner):
        raise PairingConflict
    return False


def reveal_is_new(pairing: Pairing, nonce: bytes) -> bool:
    """True for the first reveal, False for its repetition. Raises PairingState before a join or
    for another nonce, CommitmentMismatch for a nonce that was not committed to."""
    if pairing.existing_nonce is not None:
        return _repeats(pairing, pairing.existing_nonce == nonce)
    if pairing.state != "joined":
        raise PairingState(state=pairing.state)
    if pairing.commitment not in (None, hashlib.sha256(nonce).digest()):
        raise CommitmentMismatch
    return True


def approval_is_new(pairing: Pairing, thumbprint: bytes, approval: Approval) -> bool:
    """True for the first approval, False for its repetition. Raises PairingState out of turn or
    for a key other than the one that joined."""
    if pairing.joiner is None or pairing.joiner.thumbprint != thumbprint:
        raise PairingState(state=pairing.state)
    if pairing.approval is not None:
        return _repeats(pairing, pairing.approval == approval)
    if pairing.state == "completed":
        return _repeats(pairing, pairing.approved_with == approval.digest())
    if pairing.state != "revealed":
        raise PairingState(state=pairing.state)
    return True


def check_collectable(pairing: Pairing) -> Approval:
    """The approval to hand out. Raises PairingState before it is there and after completion."""
    if pairing.approval is None or pairing.state != "approved":
        raise PairingState(state=pairing.state)
    return pairing.approval


def _repeats(pairing: Pairing, same: bool) -> Literal[False]:
    if not same:
        raise PairingState(state=pairing.state)
    return False
