"""Wire shapes of `/auth`."""

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints

from app.auth.candidates import Claim
from app.auth.challenge import LIFE_SECONDS, difficulty_of
from app.auth.devices import Description, DeviceType, ListedDevice, Platform, Session, Status
from app.auth.pairing import EXISTING_NONCE_BYTES, NEW_NONCE_BYTES, Collected, Pairing
from app.auth.proof_of_work import MAX_SOLUTION_BYTES
from app.auth.public_key import load_public_key, thumbprint_text
from app.auth.recovery import Recovery
from app.auth.security_events import SecurityEvent, SecurityKind
from app.http.fields import Base64, In, Out, Thumbprint, sized
from app.limits import MAX_DEVICE_NAME

MAX_WRAPPED_CEK_BYTES = 1024
MAX_APPROVE_BODY_BYTES = 64 * 1024

Pem = Annotated[str, StringConstraints(max_length=16 * 1024)]
DeviceName = Annotated[str, StringConstraints(max_length=MAX_DEVICE_NAME)]


class EmptyIn(In):
    """A body without fields."""


class ChallengeIn(In):
    """Ask for a challenge to sign with a known key."""

    key_thumbprint: Thumbprint
    purpose: Literal["login", "delete_account"] = "login"


class DeviceKeysIn(In):
    """The keys of a device and what it says of itself."""

    public_key: Pem
    signature: Base64
    wrapping_key: Pem | None = None
    wrapping_key_signature: Base64 | None = None
    device_type: DeviceType
    platform: Platform
    device_name: DeviceName | None = None

    def claim(self) -> Claim:
        """The keys as sent, not yet believed."""
        return Claim(
            public_key=self.public_key,
            wrapping_key=self.wrapping_key,
            wrapping_key_signature=self.wrapping_key_signature,
            description=Description(self.device_type, self.platform, self.device_name),
        )


class RegisterIn(DeviceKeysIn):
    """Open an account with a new key, or come back with one that is known."""

    challenge: Base64
    proof_of_work: Annotated[Base64, sized(0, MAX_SOLUTION_BYTES)] | None = None


class LoginIn(In):
    """Prove a known key."""

    key_thumbprint: Thumbprint
    challenge: Base64
    signature: Base64


class RefreshIn(In):
    """Continue a session."""

    refresh_token: Annotated[str, StringConstraints(max_length=512)]


class PairingIn(In):
    """Open a pairing; with the commitment the server can refuse a wrong reveal early."""

    commitment: Annotated[Base64, sized(32)] | None = None


class JoinIn(DeviceKeysIn):
    """The new device's side of the transcript."""

    nonce: Annotated[Base64, sized(NEW_NONCE_BYTES.start, NEW_NONCE_BYTES.stop - 1)]
    mac: Annotated[Base64, sized(32)]


class RevealIn(In):
    """The existing device's nonce, committed to in the QR code."""

    nonce: Annotated[Base64, sized(EXISTING_NONCE_BYTES)]


class ApproveIn(In):
    """The sealed vault keys for the device that joined."""

    key_thumbprint: Thumbprint
    wrapped_cek: Annotated[Base64, sized(1, MAX_WRAPPED_CEK_BYTES)]
    ciphertext: Annotated[Base64, sized(1, MAX_APPROVE_BODY_BYTES)]
    signature: Base64


class ProofOfWorkOut(Out):
    algorithm: Literal["sha256"] = "sha256"
    difficulty: int


class RegisterChallengeOut(Out):
    challenge: Base64
    proof_of_work: ProofOfWorkOut | None
    expires_in: int

    @classmethod
    def of(cls, challenge: bytes) -> Self:
        bits = difficulty_of(challenge)
        return cls(
            challenge=challenge,
            proof_of_work=ProofOfWorkOut(difficulty=bits) if bits else None,
            expires_in=LIFE_SECONDS,
        )


class ChallengeOut(Out):
    challenge: Base64
    expires_in: int


class SessionOut(Out):
    user_id: str
    device_id: str
    access_token: str
    refresh_token: str
    token_type: Literal["bearer"] = "bearer"  # noqa: S105
    expires_in: int
    refresh_expires_in: int
    server_time: int

    @classmethod
    def of(cls, session: Session) -> Self:
        return cls(
            user_id=session.user_id,
            device_id=session.device_id,
            access_token=session.access_token,
            refresh_token=session.refresh_token,
            expires_in=session.expires_in,
            refresh_expires_in=session.refresh_expires_in,
            server_time=session.server_time,
        )


class DeviceOut(Out):
    device_id: str
    device_name: str | None
    device_type: DeviceType
    platform: Platform
    public_key: str
    key_thumbprint: str
    wrapping_key: str | None
    wrapping_key_signature: Base64 | None
    created_at: int
    last_seen_day: int
    status: Status
    current: bool

    @classmethod
    def of(cls, device: ListedDevice, *, current: bool) -> Self:
        key = load_public_key(device.public_key)
        return cls(
            device_id=device.device_id,
            device_name=device.description.name,
            device_type=device.description.type,
            platform=device.description.platform,
            public_key=key.pem,
            key_thumbprint=thumbprint_text(key.thumbprint),
            wrapping_key=_pem(device.wrapping_key),
            wrapping_key_signature=device.wrapping_key_signature,
            created_at=device.created_at,
            last_seen_day=device.last_seen_day,
            status=device.status,
            current=current,
        )


class SecurityEventOut(Out):
    kind: SecurityKind
    at: int
    device_id: str | None

    @classmethod
    def of(cls, event: SecurityEvent) -> Self:
        return cls(kind=event.kind, at=event.at, device_id=event.device_id)


class RecoveryOut(Out):
    """The account's phrase, as far as the server knows it."""

    created_at: int
    device_id: str
    delay_seconds: int
    available_at: Annotated[
        int | None, Field(description="Somebody waits to come in by it, and may from then on.")
    ]

    @classmethod
    def of(cls, recovery: Recovery) -> Self:
        return cls(
            created_at=recovery.set_at,
            device_id=recovery.set_by,
            delay_seconds=recovery.delay_seconds,
            available_at=recovery.available_at,
        )


class DevicesOut(Out):
    devices: list[DeviceOut]
    security_events: list[SecurityEventOut]
    recovery: RecoveryOut | None


class PairingOut(Out):
    """A pairing as either side of it sees it; `state` says which fields are there."""

    pairing_id: str
    state: str
    expires_in: int
    conflict: bool
    public_key: str | None = None
    key_thumbprint: str | None = None
    wrapping_key: str | None = None
    wrapping_key_signature: Base64 | None = None
    nonce: Base64 | None = None
    signature: Base64 | None = None
    mac: Base64 | None = None
    device_type: DeviceType | None = None
    platform: Platform | None = None
    device_name: str | None = None
    existing_nonce: Base64 | None = None
    device_id: Annotated[str | None, Field(description="The new device, once it is added.")] = None

    @classmethod
    def of(cls, pairing: Pairing, expires_in: int) -> Self:
        joiner = pairing.joiner
        common = {
            "pairing_id": pairing.pairing_id,
            "state": pairing.state,
            "expires_in": expires_in,
            "conflict": pairing.state == "conflict",
            "existing_nonce": pairing.existing_nonce,
            "device_id": pairing.new_device_id,
        }
        if joiner is None:
            return cls.model_validate(common)
        return cls.model_validate(
            common
            | {
                "public_key": _pem(joiner.public_key),
                "key_thumbprint": thumbprint_text(joiner.thumbprint),
                "wrapping_key": _pem(joiner.wrapping_key),
                "wrapping_key_signature": joiner.wrapping_key_signature,
                "nonce": joiner.nonce,
                "signature": joiner.signature,
                "mac": joiner.mac,
                "device_type": joiner.description.type,
                "platform": joiner.description.platform,
                "device_name": joiner.description.name,
            }
        )


class CollectedOut(Out):
    """The sealed vault keys, for the device that joined."""

    user_id: str
    public_key: str
    wrapped_cek: Base64
    ciphertext: Base64
    signature: Base64

    @classmethod
    def of(cls, collected: Collected) -> Self:
        return cls(
            user_id=collected.user_id,
            public_key=load_public_key(collected.existing_key).pem,
            wrapped_cek=collected.approval.wrapped_cek,
            ciphertext=collected.approval.ciphertext,
            signature=collected.approval.signature,
        )


def _pem(der: bytes | None) -> str | None:
    return None if der is None else load_public_key(der).pem
