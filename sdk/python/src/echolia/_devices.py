"""The account's devices, their names opened."""

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


def list_devices(vault: Vault) -> Exchange[list[Device]]:
    answer = yield Call("GET", "/auth/devices")
    return [_read(vault, one) for one in answer.objects("devices")]


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


def _name(vault: Vault, device_id: str, sealed: object) -> str | None:
    if not isinstance(sealed, str):
        return None
    try:
        return vault.open_name(device_id, unb64(sealed))
    except (ValueError, CannotOpen):
        return None
