"""SQL of what an account may forget: statements out, rows in; nothing here runs anything."""

from collections.abc import Iterable, Mapping, Sequence

import orjson

from app.database.port import Many, Statement, Work, guard
from app.sync.purge import Follower, PlacedVersion, Purge
from app.sync.versions import COLLECTIONS, Collection

READ_FOLLOWERS = Statement(
    "SELECT device_id, status = 'active', last_seen_day, pulled_seq FROM device_info",
    (),
    Follower,
)
READ_SEQ = Statement("SELECT seq FROM sync_state")

_DEAD = """SELECT id FROM synced_{name} AS dead
 WHERE is_deleted = 1 AND received_at <= ?1 AND seq <= ?2 AND NOT EXISTS (
 SELECT 1 FROM synced_{name} AS other WHERE unhex(other.id, '-') = unhex(dead.id, '-')
 AND (other.is_deleted = 0 OR other.received_at > ?1)) LIMIT ?3"""
_PLACED = """SELECT '{name}', id, seq, is_deleted, received_at, size FROM synced_{name}
 WHERE unhex(id, '-') IN (SELECT unhex(value, '-') FROM json_each(?))"""


def select_dead(before: int, horizon: int, limit: int) -> list[Statement]:
    """Ids of items that may be forgotten, at most so many of each collection, in the collections'
    order."""
    return [
        Statement(_DEAD.format(name=name), (before, horizon, limit), _text) for name in COLLECTIONS
    ]


def select_placed(ids: Mapping[Collection, Sequence[str]]) -> list[Statement]:
    """All versions of these items."""
    return [
        Statement(_PLACED.format(name=name), (orjson.dumps(wanted).decode(),), PlacedVersion)
        for name, wanted in ids.items()
    ]


def write_marks(marks: Mapping[str, int]) -> list[Work]:
    """The devices' marks become these where they were lower."""
    rows = [(seq, device_id, seq) for device_id, seq in marks.items()]
    sql = "UPDATE device_info SET pulled_seq = ? WHERE device_id = ? AND pulled_seq < ?"
    return [Many(sql, rows)] if rows else []


def forget_tags(horizon: int, limit: int) -> list[Work]:
    """Tags of commits that end before the one at `horizon` go, the oldest `limit` of them, and
    the oldest tag that is left is noted."""
    return [
        Statement(
            "DELETE FROM sync_commit WHERE seq IN (SELECT seq FROM sync_commit WHERE seq <"
            " (SELECT MIN(seq) FROM sync_commit WHERE seq >= ?) ORDER BY seq LIMIT ?)",
            (horizon, limit),
        ),
        Statement(
            "UPDATE sync_state SET kept_from = (SELECT MIN(seq) FROM sync_commit)"
            " WHERE EXISTS (SELECT 1 FROM sync_commit)"
        ),
    ]


def write_purge(purge: Purge, seq: int) -> list[Work]:
    """The items are gone, the sums follow, and the highest place is noted; fails as a guard if
    the sequence has moved since `seq` was read."""
    ids: dict[Collection, list[str]] = {}
    for collection, item_id in purge.keys:
        ids.setdefault(collection, []).append(item_id)
    return [
        guard("(SELECT seq FROM sync_state) = ?", (seq,)),
        *(_delete(name, gone) for name, gone in ids.items()),
        Statement(
            "UPDATE sync_state SET used_bytes = used_bytes - ?, versions = versions - ?,"
            " conflicts = conflicts - ?, purged_seq = MAX(purged_seq, ?)",
            (purge.used_bytes, purge.versions, purge.conflicts, purge.highest_seq),
        ),
    ]


def _delete(name: Collection, ids: Iterable[str]) -> Many:
    sql = f"DELETE FROM synced_{name} WHERE unhex(id, '-') = unhex(?, '-')"
    return Many(sql, [(item_id,) for item_id in ids])


def _text(value: str) -> str:
    return value
