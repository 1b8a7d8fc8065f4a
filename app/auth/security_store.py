"""SQL of security events: what the master database knows, and each user's own list of it.

Every deed of the master database leaves its time in a row there; whatever a crash kept from the
user's list is taken from those rows when the database is opened next. Each event is kept once.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from app.auth.security_events import KEPT_EVENTS, KEPT_SECONDS, SecurityEvent
from app.database.port import Statement

Row = tuple[Any, ...]


def select_known(user_id: str) -> tuple[Statement, ...]:
    """In the master database: what `known_of` reads."""
    return (
        Statement(
            "SELECT device_id, created_at, revoked_at FROM device WHERE user_id = ?", (user_id,)
        ),
        Statement(
            "SELECT set_at, set_by, started_at, used_at, used_by, removed_at, removed_by"
            " FROM recovery WHERE user_id = ?",
            (user_id,),
        ),
    )


def known_of(rows: Sequence[Sequence[Row]]) -> list[SecurityEvent]:
    """Every event that the master database's rows still tell."""
    events: list[SecurityEvent] = []
    for device_id, created_at, revoked_at in rows[0]:
        events.append(SecurityEvent("device_added", created_at, device_id))
        if revoked_at is not None:
            events.append(SecurityEvent("device_revoked", revoked_at, device_id))
    for set_at, set_by, started_at, used_at, used_by, removed_at, removed_by in rows[1]:
        events.append(SecurityEvent("recovery_set", set_at, set_by))
        if started_at is not None:
            events.append(SecurityEvent("recovery_started", started_at, None))
        if used_at is not None:
            events.append(SecurityEvent("recovery_used", used_at, used_by))
        if removed_at is not None:
            events.append(SecurityEvent("recovery_removed", removed_at, removed_by))
    return events


def tell(events: Iterable[SecurityEvent], now: int) -> tuple[Statement, ...]:
    """In a user's own database: the events are in its list, once; what is too old or too much has
    left it."""
    young = now - KEPT_SECONDS
    told = (
        Statement(
            "INSERT OR IGNORE INTO security_event (kind, at, device_id) VALUES (?, ?, ?)",
            (event.kind, event.at, event.device_id),
        )
        for event in events
        if event.at > young
    )
    return (*told, *_forget(young))


def select_events() -> Statement:
    return Statement("SELECT kind, at, device_id FROM security_event ORDER BY at, kind, device_id")


def event_of(row: Row) -> SecurityEvent:
    return SecurityEvent(*row)


def _forget(young: int) -> tuple[Statement, ...]:
    return (
        Statement("DELETE FROM security_event WHERE at <= ?", (young,)),
        Statement(
            "DELETE FROM security_event WHERE at < (SELECT at FROM security_event"
            " ORDER BY at DESC LIMIT 1 OFFSET ?)",
            (KEPT_EVENTS - 1,),
        ),
    )
