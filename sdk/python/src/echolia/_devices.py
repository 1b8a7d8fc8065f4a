"""The account's devices, their names opened, and what happened to them lately."""

from __future__ import annotations

from dataclasses import dataclass

from ._answers import Answer
from ._calls import Call, Exchange
from ._canonical import unb64
from ._errors import CannotOpen, Refused
from ._vault import Vault


@dataclass(frozen=True, slots=True)
class Device:
    """One device. `name` is None if this device cannot open it; days are Unix seconds."""

    id: str
    name: str | None
    platform: str
    status: str
    is_current: bool
    created_at: int
    last_seen_day: int | None
    key_thumbprint: str


@dataclass(frozen=True, slots=True)
class SecurityEvent:
    """Something that happened to the account, as the server tells it. `at` in Unix seconds;
    `device_id` is whose deed it was, None if it was no device's yet."""

    kind: str
    at: int
    device_id: str | None


@dataclass(frozen=True, slots=True)
class RecoveryStatus:
    """The account's recovery phrase: when, by which device it was made, how long others may object.
    `available_at` is set while somebody waits to come in by it."""

    created_at: int
    device_id: str
    delay_seconds: int
    available_at: int | None


@dataclass(frozen=True, slots=True)
class Overview:
    """All that the server says about who is in the account; events oldest first."""

    devices: list[Device]
    events: list[SecurityEvent]
    recovery: RecoveryStatus | None


def overview(vault: Vault) -> Exchange[Overview]:
    answer = yield Call("GET", "/auth/devices")
    return Overview(
        devices=[_read(vault, one) for one in answer.objects("devices")],
        events=(
            [_event(one) for one in answer.objects("security_events")]
            if answer.has("security_events")
            else []
        ),
        recovery=_recovery(answer.object("recovery")) if answer.has("recovery") else None,
    )


def revoke_device(device_id: str) -> Exchange[None]:
    """The device's tokens and key fail from now on. What it has read it keeps."""
    try:
        yield Call("DELETE", f"/auth/devices/{device_id}")
    except Refused as refusal:
        if refusal.code != "device_revoked":
            raise


def _read(vault: Vault, answer: Answer) -> Device:
    device_id = answer.id("device_id")
    return Device(
        id=device_id,
        name=_name(vault, device_id, answer.fields.get("device_name")),
        platform=answer.text("platform"),
        status=answer.text("status"),
        is_current=answer.flag("current"),
        created_at=answer.number("created_at"),
        last_seen_day=answer.number("last_seen_day") if answer.has("last_seen_day") else None,
        key_thumbprint=answer.text("key_thumbprint"),
    )


def _event(answer: Answer) -> SecurityEvent:
    device_id = answer.id("device_id") if answer.has("device_id") else None
    return SecurityEvent(answer.text("kind"), answer.number("at"), device_id)


def _recovery(answer: Answer) -> RecoveryStatus:
    return RecoveryStatus(
        created_at=answer.number("created_at"),
        device_id=answer.id("device_id"),
        delay_seconds=answer.number("delay_seconds"),
        available_at=answer.number("available_at") if answer.has("available_at") else None,
    )


def _name(vault: Vault, device_id: str, sealed: object) -> str | None:
    if not isinstance(sealed, str):
        return None
    try:
        return vault.open_name(device_id, unb64(sealed))
    except (ValueError, CannotOpen):
        return None
