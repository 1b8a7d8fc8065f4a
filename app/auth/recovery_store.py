"""SQL of recovery phrases, in the master database."""

from typing import Any

from app.auth.recovery import Offered, Recovery
from app.database.port import Statement, guard

_COLUMNS = """user_id, locator, authenticator_hash, delay_seconds, set_at, set_by,
 CASE WHEN is_pending THEN started_at END"""


def select_nearest(locator: bytes) -> Statement:
    """The phrase with this locator, or a neighbour's: a locator that is nobody's reads a row too,
    and so takes as long."""
    return Statement(
        f"SELECT {_COLUMNS} FROM recovery WHERE locator = COALESCE("
        "(SELECT MIN(locator) FROM recovery WHERE locator >= ?),"
        " (SELECT MIN(locator) FROM recovery))",
        (locator,),
    )


def select_of(user_id: str) -> Statement:
    """The account's phrase, unless it was removed."""
    return Statement(
        f"SELECT {_COLUMNS} FROM recovery WHERE user_id = ? AND locator IS NOT NULL", (user_id,)
    )


def select_owner(locator: bytes) -> Statement:
    return Statement("SELECT user_id FROM recovery WHERE locator = ?", (locator,))


def select_bundle(user_id: str) -> Statement:
    return Statement("SELECT bundle FROM recovery WHERE user_id = ?", (user_id,))


def recovery_of(row: tuple[Any, ...]) -> Recovery:
    return Recovery(*row)


def replace(user_id: str, offered: Offered, by: str, now: int) -> tuple[Statement, ...]:
    """This is the account's only phrase; nothing is left of the one before. Guarded by the locator
    being nobody else's."""
    return (
        guard(
            "NOT EXISTS (SELECT 1 FROM recovery WHERE locator = ? AND user_id <> ?)",
            (offered.locator, user_id),
        ),
        Statement("DELETE FROM recovery WHERE user_id = ?", (user_id,)),
        Statement(
            "INSERT INTO recovery (user_id, locator, authenticator_hash, delay_seconds, set_at,"
            " set_by, bundle) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                user_id,
                offered.locator,
                offered.authenticator_hash,
                offered.delay_seconds or 0,
                now,
                by,
                offered.bundle,
            ),
        ),
    )


def renew(recovery: Recovery, bundle: bytes) -> tuple[Statement, ...]:
    """The same phrase opens a newer bundle; all else stays."""
    return (
        still(recovery),
        Statement("UPDATE recovery SET bundle = ? WHERE user_id = ?", (bundle, recovery.user_id)),
    )


def remove(recovery: Recovery, by: str, now: int) -> Statement:
    """Nothing is left of the phrase but who removed it."""
    return Statement(
        "UPDATE recovery SET locator = NULL, authenticator_hash = NULL, bundle = NULL,"
        " is_pending = 0, removed_at = ?, removed_by = ? WHERE user_id = ?",
        (now, by, recovery.user_id),
    )


def begin_wait(recovery: Recovery, now: int) -> tuple[Statement, ...]:
    return (
        still(recovery),
        Statement(
            "UPDATE recovery SET started_at = ?, is_pending = 1 WHERE user_id = ?",
            (now, recovery.user_id),
        ),
    )


def end_wait(user_id: str) -> Statement:
    return Statement("UPDATE recovery SET is_pending = 0 WHERE user_id = ?", (user_id,))


def use(recovery: Recovery, device_id: str, now: int) -> tuple[Statement, ...]:
    """Somebody came in by the phrase, which stays good."""
    return (
        still(recovery),
        Statement(
            "UPDATE recovery SET is_pending = 0, used_at = ?, used_by = ? WHERE user_id = ?",
            (now, device_id, recovery.user_id),
        ),
    )


def still(recovery: Recovery) -> Statement:
    """A guard: the phrase is the one the plan saw."""
    return guard(
        "EXISTS (SELECT 1 FROM recovery WHERE user_id = ? AND locator = ?"
        " AND authenticator_hash = ?)",
        (recovery.user_id, recovery.locator, recovery.authenticator_hash),
    )
