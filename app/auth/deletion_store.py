"""SQL of accounts that end, in the master database, and of what locks an unused one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from app.auth.devices import Device
from app.database.port import Statement, guard

CENTRAL_TABLES = ("pairing", "recovery", "device", "account")
"""Every table of the master database that says something about an account, by `user_id`."""


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A deletion that was begun; `user_id` is None once the account's database is gone."""

    account_hash: bytes
    user_id: str | None


def erase_central_rows(user_id: str) -> list[Statement]:
    return [
        Statement(f"DELETE FROM {table} WHERE user_id = ?", (user_id,)) for table in CENTRAL_TABLES
    ]


def insert(account_hash: bytes, user_id: str, now: int) -> Statement:
    return Statement(
        "INSERT INTO deletion (account_hash, user_id, begun_at) VALUES (?, ?, ?)",
        (account_hash, user_id, now),
    )


def select_known(hashes: Sequence[bytes]) -> Statement:
    """A row if the account was deleted."""
    return Statement(f"SELECT 1 FROM deletion WHERE {_is_one_of(hashes)}", hashes)


def is_not_deleted(hashes: Sequence[bytes]) -> Statement:
    """A guard: what is written with it never brings back a deleted account."""
    return guard(f"NOT EXISTS (SELECT 1 FROM deletion WHERE {_is_one_of(hashes)})", hashes)


def _is_one_of(hashes: Sequence[bytes]) -> str:
    return f"account_hash IN ({', '.join('?' * len(hashes))})"


def select_unfinished() -> Statement:
    return Statement(
        "SELECT account_hash, user_id FROM deletion WHERE erased_at IS NULL ORDER BY begun_at",
        (),
        Unfinished,
    )


def drop_id(account_hash: bytes) -> Statement:
    return Statement(
        "UPDATE deletion SET user_id = NULL WHERE account_hash = ? AND user_id IS NOT NULL",
        (account_hash,),
    )


def set_erased(hashes: Sequence[bytes], now: int) -> Statement:
    return Statement(
        f"UPDATE deletion SET erased_at = ? WHERE erased_at IS NULL AND {_is_one_of(hashes)}",
        (now, *hashes),
    )


def select_pairings_of(user_id: str) -> Statement:
    return Statement("SELECT pairing_id FROM pairing WHERE user_id = ?", (user_id,))


# --- accounts that nobody uses ------------------------------------------------------------------


def select_created_at(user_id: str) -> Statement:
    return Statement("SELECT created_at FROM account WHERE user_id = ?", (user_id,))


def select_due(now: int, limit: int) -> Statement:
    return Statement(
        "SELECT user_id FROM account WHERE look_at <= ? ORDER BY look_at LIMIT ?", (now, limit)
    )


def look_again(user_id: str, at: int | None) -> Statement:
    """None: never."""
    return Statement("UPDATE account SET look_at = ? WHERE user_id = ?", (at, user_id))


def devices_are_still(devices: Sequence[Device], user_id: str) -> Statement:
    """A guard: no device came, went or was let in anew since these were read."""
    known = sorted([each.device_id, each.generation] for each in devices)
    return guard(
        "(SELECT json_group_array(json_array(device_id, generation)) FROM"
        " (SELECT device_id, generation FROM device WHERE user_id = ? ORDER BY device_id)) = ?",
        (user_id, orjson.dumps(known).decode()),
    )


def is_being_created(user_id: str) -> Statement:
    """A guard: the account's registration was cut off before it had a database."""
    return guard("(SELECT state FROM account WHERE user_id = ?) = 'creating'", (user_id,))


SELECT_LAST_SEEN_DAY = Statement(
    "SELECT MAX(last_seen_day) FROM device_info WHERE status = 'active'"
)
"""In a user's own database."""


def lock_out(seen_before: int) -> tuple[Statement, ...]:
    """In a user's own database: no session is good afterwards and none can begin, unless a device
    was seen since, which fails as a guard."""
    return (
        guard(
            "NOT EXISTS (SELECT 1 FROM device_info WHERE status = 'active' AND last_seen_day >= ?)",
            (seen_before,),
        ),
        Statement("UPDATE token_family SET status = 'ended' WHERE status = 'active'"),
        Statement("UPDATE device_info SET generation = generation + 1 WHERE status = 'active'"),
    )


def last_seen_of(rows: Sequence[tuple[Any, ...]]) -> int:
    return int(rows[0][0] or 0)
