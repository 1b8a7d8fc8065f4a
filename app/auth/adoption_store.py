"""SQL by which the master database learns from a user's own."""

from typing import Any

from app.auth import store
from app.auth.deletion import UNUSED_SECONDS
from app.auth.devices import Device
from app.database.port import Statement


def adopt_device(device: Device, now: int) -> Statement:
    """What a user's own database knows of a device comes into the master; a key that meanwhile
    belongs to another device stays with that one."""
    return Statement(
        f"INSERT INTO device ({store.DEVICE}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        f" ON CONFLICT (device_id) DO UPDATE SET {store.JOINED}, revoked_at = CASE excluded.status"
        " WHEN 'revoked' THEN COALESCE(revoked_at, ?) ELSE revoked_at END"
        f" WHERE user_id = excluded.user_id AND {store.ADDS}"
        " ON CONFLICT (key_thumbprint) DO NOTHING",
        (*store.row_of(device), now),
    )


def adopt_account(user_id: str, created_at: int, now: int) -> Statement:
    """An account that only its own database remembers is known again."""
    return Statement(
        "INSERT INTO account (user_id, state, created_at, look_at) VALUES (?, 'active', ?, ?)"
        " ON CONFLICT (user_id) DO NOTHING",
        (user_id, created_at, now + UNUSED_SECONDS),
    )


def own_device_of(user_id: str, row: tuple[Any, ...]) -> Device:
    """A row of `select_listed_devices` as the master would hold it."""
    return store.device_of((row[0], user_id, *row[1:11]))
