"""The shape of the local store: its tables, and values to rows and back."""

from __future__ import annotations

from typing import Any

from ._clocks import VectorClock
from ._versions import ItemKey, Kind, Queued, Stored, Version

FORMAT = 1
SCHEMA = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE versions (
    collection TEXT NOT NULL, item_id TEXT NOT NULL, clock TEXT NOT NULL, digest BLOB NOT NULL,
    device_id TEXT NOT NULL, key_epoch INTEGER NOT NULL, is_deleted INTEGER NOT NULL,
    envelope BLOB NOT NULL, held INTEGER NOT NULL,
    PRIMARY KEY (collection, item_id, clock, digest)
);
CREATE TABLE outbox (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    collection TEXT NOT NULL, item_id TEXT NOT NULL, clock TEXT NOT NULL,
    device_id TEXT NOT NULL, key_epoch INTEGER NOT NULL, is_deleted INTEGER NOT NULL,
    envelope BLOB NOT NULL, kind TEXT NOT NULL, sent INTEGER NOT NULL DEFAULT 0, blocked TEXT
);
CREATE INDEX outbox_item ON outbox (collection, item_id, position);
CREATE TABLE aside (
    collection TEXT NOT NULL, item_id TEXT NOT NULL, clock TEXT NOT NULL, digest BLOB NOT NULL,
    device_id TEXT NOT NULL, key_epoch INTEGER NOT NULL, is_deleted INTEGER NOT NULL,
    envelope BLOB NOT NULL, reason TEXT NOT NULL,
    PRIMARY KEY (collection, item_id, clock, digest)
);
CREATE TABLE counters (
    collection TEXT NOT NULL, item_id TEXT NOT NULL, counter INTEGER NOT NULL,
    PRIMARY KEY (collection, item_id)
) WITHOUT ROWID;
CREATE TABLE merges (
    collection TEXT NOT NULL, item_id TEXT NOT NULL, siblings BLOB NOT NULL, due_at REAL NOT NULL,
    PRIMARY KEY (collection, item_id)
) WITHOUT ROWID;
"""
COLUMNS = "collection, item_id, device_id, clock, key_epoch, is_deleted, envelope"


def item_values(key: ItemKey) -> tuple[str, str]:
    return key.collection, key.item_id


def row_of(version: Version) -> tuple[Any, ...]:
    return (
        *item_values(version.key),
        version.device_id,
        version.clock.as_text(),
        version.key_epoch,
        int(version.is_deleted),
        version.envelope,
    )


def read_version(row: Any) -> Version:
    return Version(
        key=ItemKey(row[0], row[1]),
        device_id=row[2],
        clock=VectorClock.parse(row[3]),
        key_epoch=row[4],
        is_deleted=bool(row[5]),
        envelope=bytes(row[6]),
    )


def read_stored(row: Any) -> Stored:
    return Stored(read_version(row), held=row[7] == 1)


def read_queued(row: Any) -> Queued:
    return Queued(row[7], read_version(row), Kind(row[8]), bool(row[9]), row[10])
