"""SQL of items and their sequence: statements out, rows in; nothing here runs anything."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from app.database.port import Many, Statement, Work, guard
from app.limits import MAX_VERSIONS
from app.sync import clock as clocks
from app.sync.plan import Items, PushPlan, Totals
from app.sync.render import sealed_version
from app.sync.versions import COLLECTIONS, Change, Collection, ItemKey, Version

Row = tuple[Any, ...]

_TABLES: Mapping[Collection, str] = {name: f"synced_{name}" for name in COLLECTIONS}
_ENTRY_ID: Mapping[Collection, str] = {
    name: "entry_id" if name == "tags" else "NULL" for name in COLLECTIONS
}


@dataclass(frozen=True, slots=True)
class State:
    """The account's sequence and sums; the highest place of an item that was purged, and the oldest
    commit whose tag is kept (0: all are)."""

    seq: int
    tag: bytes
    epoch: bytes
    key_epoch: int
    used_bytes: int
    live: Mapping[Collection, int]
    conflicts: int
    versions: int
    purged_seq: int
    kept_from: int


READ_STATE = Statement(
    "SELECT seq, tag, epoch, key_epoch, used_bytes, live_entries, live_memories, live_tags,"
    " conflicts, versions, purged_seq, kept_from FROM sync_state"
)
READ_DEVICES = Statement("SELECT device_id, created_at FROM device_info")
COUNT_DEVICES = Statement(
    "SELECT COUNT(*) FILTER (WHERE status = 'active'), MIN(created_at) FROM device_info"
)
"""An account is as old as its first device."""
NAME_EPOCH = Statement("UPDATE sync_state SET epoch = randomblob(8) WHERE epoch = x''")
"""A new database gets an epoch of its own when it is first opened."""


def state_of(row: Row) -> State:
    live = dict(zip(COLLECTIONS, row[5:8], strict=True))
    return State(row[0], row[1], row[2], row[3], row[4], live, *row[8:])


# --- push ---------------------------------------------------------------------------------------

_META = """id, device_id, vector_clock, key_epoch, is_deleted, {entry_id}, received_at, size,
 digest, slot"""
_IN_IDS = "unhex(id, '-') IN (SELECT unhex(value, '-') FROM json_each(?))"
"""Written as in the index, which holds ids as bytes."""
_SELECT_META = {
    name: f"SELECT {_META.format(entry_id=_ENTRY_ID[name])} FROM {_TABLES[name]} WHERE {_IN_IDS}"
    for name in COLLECTIONS
}
_DELETE = {
    name: f"DELETE FROM {_TABLES[name]} WHERE unhex(id, '-') = unhex(?, '-') AND slot = ?"
    for name in COLLECTIONS
}
_MOVE = {
    name: f"UPDATE {_TABLES[name]} SET seq = ? WHERE unhex(id, '-') = unhex(?, '-')"
    for name in COLLECTIONS
}
_COLUMNS = """id, slot, seq, device_id, counter, vector_clock, key_epoch, is_deleted, received_at,
 size, digest, encrypted_data"""
_INSERT = {
    name: f"INSERT INTO {_TABLES[name]} ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    for name in COLLECTIONS
}
_INSERT["tags"] = (
    f"INSERT INTO synced_tags ({_COLUMNS}, entry_id)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


def select_items(keys: Iterable[ItemKey]) -> list[tuple[Collection, Statement]]:
    """What is stored of these items, without content; one statement per collection concerned."""
    ids: dict[Collection, list[str]] = {}
    for collection, item_id in dict.fromkeys(keys):
        ids.setdefault(collection, []).append(item_id)
    return [
        (name, Statement(_SELECT_META[name], (orjson.dumps(wanted).decode(),)))
        for name, wanted in ids.items()
    ]


def items_of(found: Iterable[tuple[Collection, Sequence[Row]]]) -> Items:
    items: dict[ItemKey, list[Version]] = {}
    for collection, rows in found:
        for row in rows:
            items.setdefault((collection, row[0]), []).append(_version_of(row))
    return items


def _version_of(row: Row) -> Version:
    return Version(
        author=row[1],
        vector_clock=orjson.loads(row[2]),
        key_epoch=row[3],
        is_deleted=bool(row[4]),
        entry_id=row[5],
        received_at=row[6],
        size=row[7],
        digest=row[8],
        slot=row[9],
    )


def write_items(plan: PushPlan, totals: Totals, state: State, tag: bytes) -> list[Work]:
    """The changed items take the next sequence numbers, the sums follow, and all of it fails as a
    guard if the sequence has moved since `state` was read."""
    rows = _Rows()
    seq = state.seq
    for key, after in plan.after.items():
        seq += 1
        rows.replace(key, plan.stored.get(key, ()), after, seq)
    return [
        guard("(SELECT seq FROM sync_state) = ?", (state.seq,)),
        *rows.statements(),
        Statement(
            "UPDATE sync_state SET seq = ?, tag = ?, used_bytes = used_bytes + ?,"
            " live_entries = live_entries + ?, live_memories = live_memories + ?,"
            " live_tags = live_tags + ?, conflicts = conflicts + ?, versions = versions + ?",
            (
                seq,
                tag,
                totals.used_bytes,
                *(totals.live[name] for name in COLLECTIONS),
                totals.conflicts,
                totals.versions,
            ),
        ),
        Statement("INSERT INTO sync_commit (seq, tag) VALUES (?, ?)", (seq, tag)),
    ]


class _Rows:
    """The rows that go, that only move, and that come, by collection."""

    def __init__(self) -> None:
        self._gone: dict[Collection, list[Row]] = {name: [] for name in COLLECTIONS}
        self._moved: dict[Collection, list[Row]] = {name: [] for name in COLLECTIONS}
        self._new: dict[Collection, list[Row]] = {name: [] for name in COLLECTIONS}

    def replace(
        self, key: ItemKey, before: Sequence[Version], after: Sequence[Version], seq: int
    ) -> None:
        """An item's versions become those of `after`, all under the sequence number `seq`."""
        collection, item_id = key
        for version in after:
            if version.change is not None:
                self._new[collection].append(_row(item_id, version, version.change, seq))
        if before:
            kept = [version for version in before if version in after]
            gone = [version for version in before if version not in after]
            self._gone[collection] += [(item_id, each.slot) for each in gone]
            self._moved[collection] += [(seq, item_id)] if kept else []

    def statements(self) -> Iterator[Many]:
        """First what goes, so that nothing that comes is in its way."""
        for sql, rows in ((_DELETE, self._gone), (_MOVE, self._moved), (_INSERT, self._new)):
            for name in COLLECTIONS:
                if rows[name]:
                    yield Many(sql[name], rows[name])


def _row(item_id: str, version: Version, change: Change, seq: int) -> Row:
    row = (
        item_id,
        version.slot,
        seq,
        version.author,
        version.counter,
        clocks.to_text(version.vector_clock),
        version.key_epoch,
        version.is_deleted,
        version.received_at,
        version.size,
        version.digest,
        change.encrypted_data,
    )
    return (*row, version.entry_id) if change.collection == "tags" else row


# --- versions with content ----------------------------------------------------------------------

_CONTENT = """seq, '{name}', id, device_id, vector_clock, key_epoch, is_deleted, received_at,
 encrypted_data, {entry_id}"""


def _content(name: Collection) -> str:
    columns = _CONTENT.format(name=name, entry_id=_ENTRY_ID[name])
    return f"SELECT {columns} FROM {_TABLES[name]}"


def select_contents(keys: Iterable[ItemKey]) -> list[Statement]:
    """All versions of these items, as `SealedVersion`s."""
    ids: dict[Collection, list[str]] = {}
    for collection, item_id in keys:
        ids.setdefault(collection, []).append(item_id)
    return [
        Statement(
            f"{_content(name)} WHERE {_IN_IDS} ORDER BY seq",
            (orjson.dumps(wanted).decode(),),
            sealed_version,
        )
        for name, wanted in ids.items()
    ]


# --- pull ---------------------------------------------------------------------------------------


def select_head(collections: Sequence[Collection], after: int, limit: int) -> Statement:
    """Number and size of the next versions of these collections, in order: a `Head`, which looks
    further than `limit` by the most versions that an item can have."""
    heads = " UNION ALL ".join(
        f"SELECT seq, size FROM {_TABLES[name]} WHERE seq > ?1" for name in collections
    )
    return Statement(f"{heads} ORDER BY seq LIMIT ?2", (after, limit + MAX_VERSIONS))


def select_page(collections: Sequence[Collection], after: int, end: int) -> Statement:
    """The items of these collections after one place and up to another, as `SealedVersion`s."""
    contents = " UNION ALL ".join(
        f"{_content(name)} WHERE seq > ?1 AND seq <= ?2" for name in collections
    )
    return Statement(f"{contents} ORDER BY seq", (after, end), sealed_version)


def select_commit_at(seq: int) -> Statement:
    """The commit that a place in the sequence belongs to."""
    return Statement("SELECT seq, tag FROM sync_commit WHERE seq >= ? ORDER BY seq LIMIT 1", (seq,))
