"""An account that holds very much: its file, filled past the server while that is stopped.

What comes out is what pushes of a hundred items each would have left: rows, indexes and sums of the
real schema, ids in no order, a tag for each commit. Only the server's work is left out.
"""

import hashlib
import os
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import orjson

from bench.account import Account

ENVELOPE_BYTES = 345
"""The smallest that a device seals (spec/sealing.md)."""
_PER_COMMIT = 100
_STEP = 50_000
_CACHE_KIB = 400_000
_TAG_BYTES = 8

_INSERT = """INSERT INTO synced_entries (id, slot, seq, device_id, counter, vector_clock,
 key_epoch, is_deleted, received_at, size, digest, encrypted_data)
 VALUES (?, 0, ?, ?, 1, ?, 1, 0, ?, ?, ?, ?)"""
_SUMS = """UPDATE sync_state SET seq = seq + ?1, tag = ?3, used_bytes = used_bytes + ?1 * ?2,
 live_entries = live_entries + ?1, versions = versions + ?1"""


def fill(data: Path, account: Account, count: int) -> None:
    """The account holds `count` entries more. Nobody else may have the file open."""
    path = data / "users" / account.user_id[:2] / f"user_{account.user_id}.db"
    db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        db.execute(f"PRAGMA cache_size = -{_CACHE_KIB}; PRAGMA synchronous = OFF")
        for done in range(0, count, _STEP):
            _fill_step(db, account.device_id, min(_STEP, count - done))
        db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    finally:
        db.close()
    with path.open("rb") as written:
        os.fsync(written.fileno())


def _fill_step(db: apsw.Connection, device_id: str, count: int) -> None:
    with db:
        seq = int(db.execute("SELECT seq FROM sync_state").get)
        db.executemany(_INSERT, _rows(device_id, seq, count))
        last = seq + count
        tags = {at: os.urandom(_TAG_BYTES) for at in range(seq + _PER_COMMIT, last, _PER_COMMIT)}
        tags[last] = os.urandom(_TAG_BYTES)
        db.executemany("INSERT INTO sync_commit (seq, tag) VALUES (?, ?)", tags.items())
        db.execute(_SUMS, (count, ENVELOPE_BYTES, tags[last]))


def _rows(device_id: str, seq: int, count: int) -> Iterator[tuple[Any, ...]]:
    clock, now = orjson.dumps({device_id: 1}).decode(), int(time.time())
    for at in range(seq + 1, seq + count + 1):
        data = os.urandom(ENVELOPE_BYTES)
        digest = hashlib.sha256(data).digest()
        yield str(uuid.uuid4()), at, device_id, clock, now, len(data), digest, data
