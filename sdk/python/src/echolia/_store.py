"""The local store: sealed versions, the outbox, and where sync stands. No plaintext.

One SQLite file with a rollback journal and synchronous=FULL: what a call here has returned
from outlives a power cut. Freed pages are overwritten, so an erased text does not linger.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from itertools import groupby
from pathlib import Path
from typing import Any

from ._errors import StoreError
from ._rows import (
    COLUMNS,
    FORMAT,
    SCHEMA,
    item_values,
    read_queued,
    read_stored,
    read_version,
    row_of,
)
from ._sqlite import Connection
from ._versions import ItemKey, Kind, Queued, Stored, Version

# A page of a pull changes some thousand pages of a large store; with less room they would be
# written twice.
_CACHE_KIB = 16_000
# Versions that neither the server holds nor the outbox.
_LACKING = """held != 1 AND NOT EXISTS (SELECT 1 FROM outbox o WHERE o.collection = v.collection
 AND o.item_id = v.item_id AND o.clock = v.clock AND o.envelope = v.envelope)"""
_HELD_BESIDE = """EXISTS (SELECT 1 FROM versions b WHERE b.collection = v.collection
 AND b.item_id = v.item_id AND b.held = 1)"""


class Store:
    """The only writer of SQL in this library. Thread-bound, as its connection is."""

    def __init__(self, path: Path) -> None:
        try:
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
            os.chmod(path, 0o600)
            self._db = sqlite3.connect(path, timeout=15, isolation_level=None, factory=Connection)
            self._db.executescript(
                "PRAGMA journal_mode=DELETE; PRAGMA synchronous=FULL;"
                "PRAGMA secure_delete=ON; PRAGMA temp_store=MEMORY;"
                f"PRAGMA cache_size=-{_CACHE_KIB};"
            )
            self._depth = 0
            self._prepare()
        except (sqlite3.Error, OSError) as error:
            raise StoreError(f"the local store cannot be opened ({error})") from error

    def _prepare(self) -> None:
        with self.transaction():
            (found,) = self._db.execute("PRAGMA user_version").fetchone()
            if found > FORMAT:
                raise StoreError("the local store is from a newer version")
            if found == 0:
                # Not executescript: it would commit the transaction it runs in.
                for statement in SCHEMA.split(";"):
                    self._db.execute(statement)
                self._db.execute(f"PRAGMA user_version = {FORMAT}")

    def close(self) -> None:
        self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All that happens inside is on disk afterwards, or none of it; may be nested."""
        outermost = self._depth == 0
        if outermost:
            self._db.execute("BEGIN IMMEDIATE")
        self._depth += 1
        try:
            yield
            if outermost:
                self._db.execute("COMMIT")
        except BaseException:
            # A full disk makes SQLite roll back by itself.
            if outermost and self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise
        finally:
            self._depth -= 1

    # -- where sync stands

    def meta(self, name: str) -> bytes | None:
        row = self._db.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return None if row is None else bytes(row[0])

    def set_meta(self, name: str, value: bytes | None) -> None:
        if value is None:
            self._db.execute("DELETE FROM meta WHERE name = ?", (name,))
            return
        self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value))

    # -- the local view

    def versions_of(self, key: ItemKey) -> list[Stored]:
        return [read_stored(row) for row in self._of_item("versions", f"{COLUMNS}, held", key)]

    def items(self, collection: str) -> Iterator[tuple[ItemKey, list[Stored]]]:
        rows = self._db.execute(
            f"SELECT {COLUMNS}, held FROM versions WHERE collection = ? ORDER BY item_id, clock",
            (collection,),
        )
        for item_id, group in groupby(rows.fetchall(), key=lambda row: row[1]):
            yield ItemKey(collection, item_id), [read_stored(row) for row in group]

    def item_ids(self, collection: str, prefix: str) -> list[str]:
        """Ids that begin with `prefix`, deleted items included."""
        rows = self._db.execute(
            "SELECT DISTINCT item_id FROM versions WHERE collection = ? AND item_id >= ?"
            " AND item_id < ? ORDER BY item_id",
            # "g" sorts behind every character of an id.
            (collection, prefix, prefix + "g"),
        )
        return [row[0] for row in rows]

    def keep(self, version: Version, *, held: bool) -> None:
        """In the view afterwards; `held` never falls back to false."""
        self._db.execute(
            f"INSERT INTO versions ({COLUMNS}, digest, held) VALUES (?,?,?,?,?,?,?,?,?)"
            " ON CONFLICT DO UPDATE SET held = CASE WHEN excluded.held THEN 1 ELSE held END",
            (*row_of(version), version.digest, int(held)),
        )

    def drop(self, version: Version) -> None:
        self._db.execute(
            "DELETE FROM versions WHERE collection=? AND item_id=? AND clock=? AND digest=?",
            (*item_values(version.key), version.clock.as_text(), version.digest),
        )

    def sibling_keys(self) -> list[ItemKey]:
        """Items with more than one version."""
        rows = self._db.execute(
            "SELECT collection, item_id FROM versions GROUP BY 1, 2 HAVING COUNT(*) > 1"
        )
        return [ItemKey(*row) for row in rows]

    def doubt_held(self) -> None:
        """Before pulling from the start: what the server held is to be shown again."""
        self._db.execute("UPDATE versions SET held = 2 WHERE held = 1")

    def count_lost(self) -> int:
        """Versions that the server held once and does not any more, nor the outbox."""
        return self._count(f"SELECT COUNT(*) FROM versions v WHERE held = 2 AND {_LACKING}")

    def drop_lost(self) -> int:
        """They are not in the view; how many they were."""
        return self._db.execute(f"DELETE FROM versions AS v WHERE held = 2 AND {_LACKING}").rowcount

    def enqueue_lacking(self, kind: Kind, *, whole_items: bool) -> None:
        """Versions that neither the server holds nor the outbox wait there; with `whole_items`
        only those of items of which the server holds no version."""
        only = f"AND NOT {_HELD_BESIDE}" if whole_items else ""
        self._db.execute(
            f"INSERT INTO outbox ({COLUMNS}, kind) SELECT {COLUMNS}, ? FROM versions v"
            f" WHERE {_LACKING} {only} ORDER BY rowid",
            (kind.value,),
        )

    def was_ever_shared(self) -> bool:
        """Whether a server ever held anything of this, or may hold it."""
        return bool(
            self._count(
                "SELECT EXISTS (SELECT 1 FROM versions WHERE held != 0)"
                " OR EXISTS (SELECT 1 FROM outbox WHERE sent) OR EXISTS (SELECT 1 FROM aside)"
            )
        )

    def held(self, collection: str) -> Iterator[Version]:
        """Versions that the server is known to hold, those set aside among them."""
        rows = self._db.execute(
            f"SELECT {COLUMNS} FROM versions WHERE collection = ? AND held = 1"
            f" UNION ALL SELECT {COLUMNS} FROM aside WHERE collection = ?",
            (collection, collection),
        )
        for row in rows:
            yield read_version(row)

    def count_items(self, collection: str) -> int:
        return self._count(
            "SELECT COUNT(DISTINCT item_id) FROM versions WHERE collection=? AND NOT is_deleted",
            collection,
        )

    # -- the outbox

    def enqueue(self, version: Version, kind: Kind) -> None:
        self._db.execute(
            f"INSERT INTO outbox ({COLUMNS}, kind) VALUES (?,?,?,?,?,?,?,?)",
            (*row_of(version), kind.value),
        )

    def queued_of(self, key: ItemKey) -> list[Queued]:
        """Oldest first."""
        columns = f"{COLUMNS}, position, kind, sent, blocked"
        return [read_queued(row) for row in self._of_item("outbox", columns, key, "position")]

    def sendable(self, after: int) -> Iterator[Queued]:
        """The oldest queued version of each item, unless blocked, behind position `after`; read as
        far as they are asked for.

        One of an item at a time: a later one may have to be made anew by the answer.
        """
        columns = f"{COLUMNS}, position, kind, sent, blocked"
        with closing(self._sendable(columns, after)) as rows:
            for row in rows:
                yield read_queued(row)

    def sendable_keys(self) -> Iterator[tuple[int, ItemKey]]:
        """Position and item of all that is sendable."""
        with closing(self._sendable("position, collection, item_id", 0)) as rows:
            for position, *key in rows:
                yield position, ItemKey(*key)

    def _sendable(self, columns: str, after: int) -> sqlite3.Cursor:
        return self._db.execute(
            f"SELECT {columns} FROM outbox o"
            " WHERE position > ? AND blocked IS NULL AND NOT EXISTS (SELECT 1 FROM outbox e"
            " WHERE e.collection = o.collection AND e.item_id = o.item_id"
            " AND e.position < o.position) ORDER BY position",
            (after,),
        )

    def blocked(self) -> list[Queued]:
        rows = self._db.execute(
            f"SELECT {COLUMNS}, position, kind, sent, blocked FROM outbox"
            " WHERE blocked IS NOT NULL ORDER BY position"
        )
        return [read_queued(row) for row in rows.fetchall()]

    def is_any_blocked(self, *codes: str) -> bool:
        """Whether one of these is what something waits for."""
        marks = ", ".join("?" * len(codes))
        return bool(
            self._count(f"SELECT EXISTS (SELECT 1 FROM outbox WHERE blocked IN ({marks}))", *codes)
        )

    def is_queued(self, position: int) -> bool:
        return bool(self._count("SELECT COUNT(*) FROM outbox WHERE position = ?", position))

    def mark_sent(self, positions: Iterable[int]) -> None:
        """On disk before the bytes leave: from here on the server may have them."""
        self._db.executemany(
            "UPDATE outbox SET sent = 1 WHERE position = ?", [(at,) for at in positions]
        )

    def unsend(self) -> None:
        """The server has refused whoever sent it: nothing that waits here was taken."""
        self._db.execute("UPDATE outbox SET sent = 0")

    def block(self, position: int, code: str | None) -> None:
        """Answered with a refusal (so not stored): wait for whatever `code` needs; None ends it."""
        self._db.execute(
            "UPDATE outbox SET blocked = ?, sent = 0 WHERE position = ?", (code, position)
        )

    def offer(self, position: int) -> None:
        """What was refused goes once more, as it is, with all that the server lost."""
        self._db.execute(
            "UPDATE outbox SET kind = ?, blocked = NULL WHERE position = ?",
            (Kind.RESET.value, position),
        )

    def dequeue(self, position: int) -> None:
        self._db.execute("DELETE FROM outbox WHERE position = ?", (position,))

    def count_queued(self) -> int:
        return self._count("SELECT COUNT(*) FROM outbox")

    def count_queued_deletes(self) -> int:
        return self._count("SELECT COUNT(*) FROM outbox WHERE is_deleted")

    def count_kind(self, kind: Kind) -> int:
        return self._count("SELECT COUNT(*) FROM outbox WHERE kind = ?", kind.value)

    # -- versions that cannot be opened

    def set_aside(self, version: Version, reason: str) -> None:
        self._db.execute(
            f"INSERT OR REPLACE INTO aside ({COLUMNS}, digest, reason)"
            " VALUES (?,?,?,?,?,?,?,?,?)",
            (*row_of(version), version.digest, reason),
        )

    def aside(self) -> list[tuple[Version, str]]:
        rows = self._db.execute(f"SELECT {COLUMNS}, reason FROM aside ORDER BY 1, 2")
        return [(read_version(row), row[7]) for row in rows.fetchall()]

    def count_aside(self) -> int:
        return self._count("SELECT COUNT(*) FROM aside")

    def aside_of(self, key: ItemKey) -> list[Version]:
        return [read_version(row) for row in self._of_item("aside", COLUMNS, key)]

    def take_back(self, version: Version) -> None:
        self._db.execute(
            "DELETE FROM aside WHERE collection=? AND item_id=? AND clock=? AND digest=?",
            (*item_values(version.key), version.clock.as_text(), version.digest),
        )

    # -- counters and merges to come

    def issued(self, key: ItemKey) -> int:
        """The highest counter this device ever put into a clock of this item; 0 for none."""
        return self._count(
            "SELECT COALESCE(MAX(counter), 0) FROM counters WHERE collection=? AND item_id=?",
            *item_values(key),
        )

    def note_issued(self, key: ItemKey, counter: int) -> None:
        """`issued` is at least `counter` afterwards."""
        if not counter:
            return  # most of what others wrote: a row for each would say nothing
        self._db.execute(
            "INSERT INTO counters VALUES (?,?,?) ON CONFLICT DO UPDATE"
            " SET counter = MAX(counter, excluded.counter)",
            (*item_values(key), counter),
        )

    def merge_due(self, key: ItemKey) -> tuple[bytes, float] | None:
        """Which siblings are to be merged, and when (Unix seconds)."""
        row = self._db.execute(
            "SELECT siblings, due_at FROM merges WHERE collection=? AND item_id=?", item_values(key)
        ).fetchone()
        return None if row is None else (bytes(row[0]), float(row[1]))

    def plan_merge(self, key: ItemKey, siblings: bytes, due_at: float) -> None:
        self._db.execute(
            "INSERT OR REPLACE INTO merges VALUES (?,?,?,?)", (*item_values(key), siblings, due_at)
        )

    def forget_merge(self, key: ItemKey) -> None:
        self._db.execute("DELETE FROM merges WHERE collection=? AND item_id=?", item_values(key))

    def _of_item(self, table: str, columns: str, key: ItemKey, order: str = "clock") -> list[Any]:
        return self._db.execute(
            f"SELECT {columns} FROM {table} WHERE collection=? AND item_id=? ORDER BY {order}",
            item_values(key),
        ).fetchall()

    def _count(self, sql: str, *values: str | int) -> int:
        return int(self._db.execute(sql, values).fetchone()[0])
