"""SQL of accounts, devices and sessions: statements out, rows in; nothing here runs anything."""

from collections.abc import Sequence
from typing import Any, cast

from app.auth.deletion import UNUSED_SECONDS
from app.auth.devices import CurrentDevice, Description, Device, ListedDevice, Status
from app.auth.refresh import Family
from app.database.port import Statement, Value, guard

Row = tuple[Any, ...]

# Two rows of a device become one: revoked is for good, and the higher generation counts.
JOINED = (
    "status = CASE WHEN 'revoked' IN (status, excluded.status) THEN 'revoked' ELSE 'active' END,"
    " generation = MAX(generation, excluded.generation)"
)
ADDS = "(excluded.generation > generation OR excluded.status = 'revoked' AND status = 'active')"

DEVICE = """device_id, user_id, key_thumbprint, status, generation, public_key, wrapping_key,
 wrapping_key_signature, device_type, platform, device_name, created_at"""

# --- master database ----------------------------------------------------------------------------


def select_device_by_key(thumbprint: bytes) -> Statement:
    return Statement(f"SELECT {DEVICE} FROM device WHERE key_thumbprint = ?", (thumbprint,))


def select_nearest_device(thumbprint: bytes) -> Statement:
    """The device with this key, or a neighbour of where it would be: a key that is nobody's reads
    a row too, and so takes as long."""
    return Statement(
        f"SELECT {DEVICE} FROM device WHERE key_thumbprint = COALESCE("
        "(SELECT MIN(key_thumbprint) FROM device WHERE key_thumbprint >= ?),"
        " (SELECT MIN(key_thumbprint) FROM device))",
        (thumbprint,),
    )


def select_devices_of(user_id: str) -> Statement:
    return Statement(f"SELECT {DEVICE} FROM device WHERE user_id = ?", (user_id,))


def device_of(row: Row) -> Device:
    return Device(
        device_id=row[0],
        user_id=row[1],
        thumbprint=row[2],
        status=row[3],
        generation=row[4],
        public_key=row[5],
        wrapping_key=row[6],
        wrapping_key_signature=row[7],
        description=Description(type=row[8], platform=row[9], name=row[10]),
        created_at=row[11],
    )


def insert_device(device: Device) -> Statement:
    return Statement(
        f"INSERT INTO device ({DEVICE}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row_of(device)
    )


def row_of(device: Device) -> tuple[Value, ...]:
    return (
        device.device_id,
        device.user_id,
        device.thumbprint,
        device.status,
        device.generation,
        device.public_key,
        device.wrapping_key,
        device.wrapping_key_signature,
        device.description.type,
        device.description.platform,
        device.description.name,
        device.created_at,
    )


def update_description(device_id: str, description: Description) -> Statement:
    return Statement(
        "UPDATE device SET device_type = ?, platform = ?, device_name = ? WHERE device_id = ?",
        (description.type, description.platform, description.name, device_id),
    )


def set_wrapping_key(device_id: str, key: bytes, signature: bytes) -> Statement:
    return Statement(
        "UPDATE device SET wrapping_key = ?, wrapping_key_signature = ?"
        " WHERE device_id = ? AND wrapping_key IS NULL",
        (key, signature, device_id),
    )


def revoke_device(device_id: str, now: int) -> Statement:
    return Statement(
        "UPDATE device SET status = 'revoked', generation = generation + 1, revoked_at = ?"
        " WHERE device_id = ? AND status = 'active'",
        (now, device_id),
    )


def device_lives(device_id: str) -> Statement:
    """A guard: the master database holds the device for live."""
    return guard(
        "EXISTS (SELECT 1 FROM device WHERE device_id = ? AND status = 'active')", (device_id,)
    )


def insert_account(user_id: str, now: int) -> Statement:
    return Statement(
        "INSERT INTO account (user_id, state, created_at, look_at) VALUES (?, 'creating', ?, ?)",
        (user_id, now, now + UNUSED_SECONDS),
    )


def select_account_state(user_id: str) -> Statement:
    return Statement("SELECT state FROM account WHERE user_id = ?", (user_id,))


def activate_account(user_id: str) -> tuple[Statement, ...]:
    """Fails as a guard if there is no such account any more."""
    return (
        guard("EXISTS (SELECT 1 FROM account WHERE user_id = ?)", (user_id,)),
        Statement("UPDATE account SET state = 'active' WHERE user_id = ?", (user_id,)),
    )


def select_spent(digest: bytes) -> Statement:
    return Statement("SELECT 1 FROM spent_challenge WHERE digest = ?", (digest,))


def spend(digest: bytes, expires_at: int, now: int) -> tuple[Statement, ...]:
    """Remember a challenge until it would have expired; forget those that have."""
    return (
        guard("NOT EXISTS (SELECT 1 FROM spent_challenge WHERE digest = ?)", (digest,)),
        Statement("DELETE FROM spent_challenge WHERE expires_at <= ?", (now,)),
        Statement(
            "INSERT INTO spent_challenge (digest, expires_at) VALUES (?, ?)", (digest, expires_at)
        ),
    )


def spend_proof(digest: bytes, expires_at: int, now: int) -> tuple[Statement, ...]:
    """Remember a proof while it could be sent again; forget those that could not."""
    return (
        guard("NOT EXISTS (SELECT 1 FROM spent_proof WHERE digest = ?)", (digest,)),
        Statement("DELETE FROM spent_proof WHERE expires_at <= ?", (now,)),
        Statement(
            "INSERT INTO spent_proof (digest, expires_at) VALUES (?, ?)", (digest, expires_at)
        ),
    )


# --- a user's own database ----------------------------------------------------------------------

_INFO = """device_id, key_thumbprint, status, generation, public_key, wrapping_key,
 wrapping_key_signature, device_type, platform, device_name, created_at, last_seen_day"""


def copy_device(device: Device, seen_day: int) -> Statement:
    """Bring the working copy up to the master's row; never back from a later generation, and never
    back from being revoked."""
    return Statement(
        f"INSERT INTO device_info ({_INFO}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        f" ON CONFLICT (device_id) DO UPDATE SET {JOINED}, wrapping_key = excluded.wrapping_key,"
        " wrapping_key_signature = excluded.wrapping_key_signature,"
        " device_type = excluded.device_type, platform = excluded.platform,"
        " device_name = excluded.device_name"
        f" WHERE {ADDS} OR excluded.generation = generation AND"
        " (device_type, platform, device_name, wrapping_key) IS NOT (excluded.device_type,"
        " excluded.platform, excluded.device_name, excluded.wrapping_key)",
        (
            device.device_id,
            device.thumbprint,
            device.status,
            device.generation,
            device.public_key,
            device.wrapping_key,
            device.wrapping_key_signature,
            device.description.type,
            device.description.platform,
            device.description.name,
            device.created_at,
            seen_day,
        ),
    )


def end_sessions_of_revoked() -> Statement:
    return Statement(
        "UPDATE token_family SET status = 'ended' WHERE status = 'active' AND device_id IN"
        " (SELECT device_id FROM device_info WHERE status = 'revoked')"
    )


def select_last_seen(other_than: bytes) -> Statement:
    """The last day on which a live device with another key than this thumbprint's was seen."""
    return Statement(
        "SELECT MAX(last_seen_day) FROM device_info"
        " WHERE status = 'active' AND key_thumbprint <> ?",
        (other_than,),
    )


def select_listed_devices() -> Statement:
    return Statement(f"SELECT {_INFO} FROM device_info ORDER BY created_at, device_id")


def listed_device_of(row: Row) -> ListedDevice:
    return ListedDevice(
        device_id=row[0],
        status=row[2],
        public_key=row[4],
        wrapping_key=row[5],
        wrapping_key_signature=row[6],
        description=Description(type=row[7], platform=row[8], name=row[9]),
        created_at=row[10],
        last_seen_day=row[11],
    )


_FAMILY = """f.family_id, f.device_id, f.generation, f.current_hash, f.previous_hash,
 f.confirmed_at, f.refreshed_at, f.ends_at, f.status"""


def select_session(device_id: str, family_id: str) -> Statement:
    """The device and the session a request names, in one row."""
    return Statement(
        f"SELECT d.status, d.generation, d.key_thumbprint, d.public_key, d.last_seen_day, {_FAMILY}"
        " FROM device_info d JOIN token_family f ON f.device_id = d.device_id"
        " WHERE d.device_id = ? AND f.family_id = ?",
        (device_id, family_id),
    )


def select_family(family_id: str) -> Statement:
    """The session, and the status, generation, thumbprint and key of its device."""
    return Statement(
        f"SELECT d.status, d.generation, d.key_thumbprint, d.public_key, d.last_seen_day, {_FAMILY}"
        " FROM token_family f JOIN device_info d ON f.device_id = d.device_id"
        " WHERE f.family_id = ?",
        (family_id,),
    )


def family_of(row: Row) -> Family:
    return Family(*row[5:])


def status_of(row: Row) -> tuple[Status, int, bytes, bytes, int]:
    """Status, generation, thumbprint, public key and last day seen of a session's device."""
    return cast("tuple[Status, int, bytes, bytes, int]", row[:5])


def current_device_of(user_id: str, row: Row) -> CurrentDevice:
    """The device of a session, which speaks through that session."""
    family = family_of(row)
    _, generation, thumbprint, public_key, _ = status_of(row)
    return CurrentDevice(
        user_id=user_id,
        device_id=family.device_id,
        generation=generation,
        family_id=family.family_id,
        thumbprint=thumbprint,
        public_key=public_key,
    )


def insert_family(family: Family, created_at: int) -> Statement:
    return Statement(
        "INSERT INTO token_family (family_id, number, device_id, generation, current_hash,"
        " created_at, refreshed_at, ends_at, status) VALUES"
        " (?, (SELECT COALESCE(MAX(number), 0) + 1 FROM token_family), ?, ?, ?, ?, ?, ?, ?)",
        (
            family.family_id,
            family.device_id,
            family.generation,
            family.current_hash,
            created_at,
            family.refreshed_at,
            family.ends_at,
            family.status,
        ),
    )


def keep_newest_families(device_id: str, count: int) -> Statement:
    """Ended sessions and all but the `count` newest live ones of a device are forgotten."""
    return Statement(
        "DELETE FROM token_family WHERE device_id = ?1 AND (status = 'ended' OR family_id NOT IN"
        " (SELECT family_id FROM token_family WHERE device_id = ?1 AND status = 'active'"
        " ORDER BY number DESC LIMIT ?2))",
        (device_id, count),
    )


def rotate_family(family: Family, successor_hash: bytes, now: int) -> tuple[Statement, ...]:
    """The successor becomes current; fails as a guard if somebody rotated first."""
    return (
        guard(
            "EXISTS (SELECT 1 FROM token_family WHERE family_id = ? AND generation = ?"
            " AND status = 'active')",
            (family.family_id, family.generation),
        ),
        Statement(
            "UPDATE token_family SET generation = generation + 1, previous_hash = current_hash,"
            " current_hash = ?, confirmed_at = NULL, refreshed_at = ? WHERE family_id = ?",
            (successor_hash, now, family.family_id),
        ),
    )


def confirm_family(family_id: str, generation: int, now: int) -> Statement:
    return Statement(
        "UPDATE token_family SET confirmed_at = ?"
        " WHERE family_id = ? AND generation = ? AND confirmed_at IS NULL",
        (now, family_id, generation),
    )


def end_family(family_id: str) -> Statement:
    return Statement("UPDATE token_family SET status = 'ended' WHERE family_id = ?", (family_id,))


def see_device(device_id: str, day: int) -> Statement:
    return Statement(
        "UPDATE device_info SET last_seen_day = ? WHERE device_id = ? AND last_seen_day < ?",
        (day, device_id, day),
    )


def device_is_live(device: CurrentDevice) -> Statement:
    """A guard: the device that authenticated is still allowed to write."""
    return guard(
        "EXISTS (SELECT 1 FROM device_info WHERE device_id = ? AND generation = ?"
        " AND status = 'active')",
        (device.device_id, device.generation),
    )


def devices_of(rows: Sequence[Row]) -> list[Device]:
    return [device_of(row) for row in rows]
