"""SQL of pairings, in the master database."""

from typing import Any

from app.auth.devices import Description
from app.auth.pairing import LIFE_SECONDS, Approval, Joiner, Pairing, State
from app.database.port import Statement, guard

_ENDED_KEPT_SECONDS = 3600
_COLUMNS = """pairing_id, user_id, device_id, state, commitment, expires_at, public_key,
 key_thumbprint, wrapping_key, wrapping_key_signature, device_type, platform, device_name, nonce,
 signature, mac, existing_nonce, wrapped_cek, ciphertext, approval, new_device_id"""


def select(pairing_id: str) -> Statement:
    return Statement(f"SELECT {_COLUMNS} FROM pairing WHERE pairing_id = ?", (pairing_id,))


def pairing_of(row: tuple[Any, ...]) -> Pairing:
    return Pairing(
        pairing_id=row[0],
        user_id=row[1],
        device_id=row[2],
        state=row[3],
        commitment=row[4],
        expires_at=row[5],
        joiner=_joiner_of(row[6:16]) if row[6] is not None else None,
        existing_nonce=row[16],
        approval=Approval(*row[17:20]) if row[17] is not None else None,
        new_device_id=row[20],
        approved_with=row[19] if row[17] is None else None,
    )


def _joiner_of(row: tuple[Any, ...]) -> Joiner:
    return Joiner(
        public_key=row[0],
        thumbprint=row[1],
        wrapping_key=row[2],
        wrapping_key_signature=row[3],
        description=Description(type=row[4], platform=row[5], name=row[6]),
        nonce=row[7],
        signature=row[8],
        mac=row[9],
    )


def insert(pairing: Pairing, now: int) -> Statement:
    return Statement(
        "INSERT INTO pairing (pairing_id, user_id, device_id, state, commitment, created_at,"
        " expires_at) VALUES (?, ?, ?, 'open', ?, ?, ?)",
        (
            pairing.pairing_id,
            pairing.user_id,
            pairing.device_id,
            pairing.commitment,
            now,
            pairing.expires_at,
        ),
    )


def count_open(user_id: str, now: int) -> Statement:
    """Those that end later than any could are left over from before the clock was set back."""
    return Statement(
        "SELECT COUNT(*) FROM pairing WHERE user_id = ? AND expires_at > ? AND expires_at <= ?"
        " AND state IN ('open', 'joined', 'revealed')",
        (user_id, now, now + LIFE_SECONDS),
    )


def forget_ended(now: int) -> tuple[Statement, ...]:
    """Expired pairings keep no payload, and after an hour nothing."""
    return (
        Statement(
            "UPDATE pairing SET wrapped_cek = NULL, ciphertext = NULL, approval = NULL"
            " WHERE expires_at <= ? AND approval IS NOT NULL",
            (now,),
        ),
        Statement("DELETE FROM pairing WHERE expires_at <= ?", (now - _ENDED_KEPT_SECONDS,)),
    )


def still(pairing: Pairing) -> Statement:
    """A guard: the pairing is in the state the plan saw."""
    return guard(
        "EXISTS (SELECT 1 FROM pairing WHERE pairing_id = ? AND state = ?)",
        (pairing.pairing_id, pairing.state),
    )


def set_joined(pairing_id: str, joiner: Joiner) -> Statement:
    return Statement(
        "UPDATE pairing SET state = 'joined', public_key = ?, key_thumbprint = ?,"
        " wrapping_key = ?, wrapping_key_signature = ?, device_type = ?, platform = ?,"
        " device_name = ?, nonce = ?, signature = ?, mac = ? WHERE pairing_id = ?",
        (
            joiner.public_key,
            joiner.thumbprint,
            joiner.wrapping_key,
            joiner.wrapping_key_signature,
            joiner.description.type,
            joiner.description.platform,
            joiner.description.name,
            joiner.nonce,
            joiner.signature,
            joiner.mac,
            pairing_id,
        ),
    )


def set_revealed(pairing_id: str, nonce: bytes) -> Statement:
    return Statement(
        "UPDATE pairing SET state = 'revealed', existing_nonce = ? WHERE pairing_id = ?",
        (nonce, pairing_id),
    )


def set_approved(pairing_id: str, approval: Approval, new_device_id: str) -> Statement:
    return Statement(
        "UPDATE pairing SET state = 'approved', wrapped_cek = ?, ciphertext = ?, approval = ?,"
        " new_device_id = ? WHERE pairing_id = ?",
        (
            approval.wrapped_cek,
            approval.ciphertext,
            approval.signature,
            new_device_id,
            pairing_id,
        ),
    )


def set_completed(pairing_id: str, approved_with: bytes) -> Statement:
    """The new device has what it came for: of the payload only a digest is left."""
    return Statement(
        "UPDATE pairing SET state = 'completed', wrapped_cek = NULL, ciphertext = NULL,"
        " approval = ? WHERE pairing_id = ?",
        (approved_with, pairing_id),
    )


def set_ended(pairing_id: str, state: State) -> Statement:
    """The pairing is over and its payload erased."""
    return Statement(
        "UPDATE pairing SET state = ?, wrapped_cek = NULL, ciphertext = NULL, approval = NULL"
        " WHERE pairing_id = ?",
        (state, pairing_id),
    )


def cancel_all_of_device(device_id: str) -> Statement:
    return Statement(
        "UPDATE pairing SET state = 'cancelled', wrapped_cek = NULL, ciphertext = NULL,"
        " approval = NULL WHERE state NOT IN ('completed', 'cancelled', 'conflict')"
        " AND (device_id = ?1 OR new_device_id = ?1)",
        (device_id,),
    )
