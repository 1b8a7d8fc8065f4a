"""What an account may forget: deletions that every device has seen, and old tags. Pure.

A deletion is forgotten when it is old and no device that still comes could have missed it. A
device that stayed away for longer than that is told so by its cursor (`cursor_expired`).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

from app.sync.versions import Collection, ItemKey


@dataclass(frozen=True, slots=True)
class Retention:
    """How long deletions are kept at least, and after how much silence a device is not waited
    for any more."""

    tombstone_seconds: int
    idle_seconds: int


class Follower(NamedTuple):
    """A device as far as purging is concerned; `pulled_seq` is the highest place that it is known
    to have pulled from."""

    device_id: str
    is_live: bool
    last_seen_day: int
    pulled_seq: int


class PlacedVersion(NamedTuple):
    """A stored version: where, whether it is a tombstone, since when, and its size."""

    collection: Collection
    item_id: str
    seq: int
    is_deleted: bool
    received_at: int
    size: int

    @property
    def key(self) -> ItemKey:
        return (self.collection, self.item_id)


@dataclass(frozen=True, slots=True)
class Purge:
    """The items that go, and by how much the sums over all items fall."""

    keys: Sequence[ItemKey]
    used_bytes: int
    versions: int
    conflicts: int
    highest_seq: int


def moved_marks(
    followers: Iterable[Follower], pulled: Mapping[str, int], seq: int
) -> dict[str, int]:
    """The devices whose mark is behind what they pulled from; never beyond the sequence's end."""
    return {
        each.device_id: min(pulled[each.device_id], seq)
        for each in followers
        if min(pulled.get(each.device_id, 0), seq) > each.pulled_seq
    }


def horizon(
    followers: Iterable[Follower], pulled: Mapping[str, int], seq: int, now: int, idle_seconds: int
) -> int:
    """The place up to which every device that counts has pulled: the sequence's end if none does.
    Revoked devices do not count, nor those silent for `idle_seconds`."""
    marks = [
        max(each.pulled_seq, pulled.get(each.device_id, 0))
        for each in followers
        if each.is_live and now - each.last_seen_day < idle_seconds
    ]
    return min([seq, *marks])


def plan_purge(versions: Iterable[PlacedVersion], horizon: int, before: int) -> Purge:
    """Of these items, which are given whole, those that go: all versions are tombstones, received
    at `before` or earlier, at a place that every device has passed."""
    ordered = sorted(versions, key=lambda each: (each.key, each.seq))
    items = [list(group) for _, group in groupby(ordered, key=lambda each: each.key)]
    gone = [item for item in items if all(_is_over(each, horizon, before) for each in item)]
    return Purge(
        keys=[item[0].key for item in gone],
        used_bytes=sum(each.size for item in gone for each in item),
        versions=sum(len(item) for item in gone),
        conflicts=sum(len(item) > 1 for item in gone),
        highest_seq=max((each.seq for item in gone for each in item), default=0),
    )


def _is_over(version: PlacedVersion, horizon: int, before: int) -> bool:
    return version.is_deleted and version.seq <= horizon and version.received_at <= before
