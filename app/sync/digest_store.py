"""SQL of comparing stores: statements out, rows in; nothing here runs anything."""

from functools import partial
from typing import TypeAlias

from app.database.port import Statement
from app.sync.digest import HashedVersion, bucket_of, version_hash
from app.sync.versions import Collection

Sized: TypeAlias = tuple[int, int, str]
"""A version's number in the sequence and size, and its item's id if that is in the bucket."""


def select_hashed(collection: Collection, after: int, limit: int) -> Statement:
    """The next versions of a collection, in order, as `HashedVersion`s; all if `limit` is -1."""
    return Statement(
        "SELECT seq, id, device_id, vector_clock, key_epoch, is_deleted, digest"
        f" FROM synced_{collection} WHERE seq > ? ORDER BY seq LIMIT ?",
        (after, limit),
        partial(_hashed, collection),
    )


def select_sized(collection: Collection, bucket: int, after: int, limit: int) -> Statement:
    """The next versions of a collection, in order, as `Sized`."""
    return Statement(
        f"SELECT seq, size, id FROM synced_{collection} WHERE seq > ? ORDER BY seq LIMIT ?",
        (after, limit),
        partial(_sized, bucket),
    )


def _hashed(
    collection: Collection,
    seq: int,
    item_id: str,
    device_id: str,
    vector_clock: str,
    key_epoch: int,
    is_deleted: int,
    content: bytes,
) -> HashedVersion:
    found = version_hash(
        collection, item_id, device_id, vector_clock, key_epoch, is_deleted, content
    )
    return HashedVersion(seq, bucket_of(item_id), found)


def _sized(bucket: int, seq: int, size: int, item_id: str) -> Sized:
    return (seq, size, item_id if bucket_of(item_id) == bucket else "")
