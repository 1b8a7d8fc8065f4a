"""Devices as values."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

DeviceType: TypeAlias = Literal["desktop", "mobile"]
Platform: TypeAlias = Literal["macos", "windows", "linux", "ios", "android", "web"]
Status: TypeAlias = Literal["active", "revoked"]


@dataclass(frozen=True, slots=True)
class Description:
    """What a device says of itself; `name` is opaque to the server."""

    type: DeviceType
    platform: Platform
    name: str | None


@dataclass(frozen=True, slots=True)
class Device:
    """A device as the master database knows it. Keys are SPKI DER."""

    device_id: str
    user_id: str
    thumbprint: bytes
    status: Status
    generation: int
    public_key: bytes
    wrapping_key: bytes | None
    wrapping_key_signature: bytes | None
    description: Description
    created_at: int


@dataclass(frozen=True, slots=True)
class CurrentDevice:
    """Who sent this request, as of its arrival."""

    user_id: str
    device_id: str
    generation: int
    family_id: str
    thumbprint: bytes
    public_key: bytes


@dataclass(frozen=True, slots=True)
class ListedDevice:
    """A device as its account's list shows it."""

    device_id: str
    status: Status
    public_key: bytes
    wrapping_key: bytes | None
    wrapping_key_signature: bytes | None
    description: Description
    created_at: int
    last_seen_day: int


@dataclass(frozen=True, slots=True)
class Session:
    """What a device that proved its key gets. Lives in seconds."""

    user_id: str
    device_id: str
    access_token: str
    refresh_token: str
    expires_in: int
    refresh_expires_in: int
    server_time: int
