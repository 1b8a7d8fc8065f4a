"""What a push does, as a pure function of what is stored and what was sent.

No stored version is ever lost unless a new one dominates it; a replay changes nothing; the order
in which changes arrive does not change which versions remain.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeAlias

from app.limits import MAX_TOMBSTONE_BYTES, MAX_VERSIONS
from app.sync import clock as clocks
from app.sync.versions import COLLECTIONS, Change, Collection, ItemKey, Version

Verdict: TypeAlias = Literal["applied", "replayed", "stale", "conflict", "rejected"]
Rejection: TypeAlias = Literal[
    "clock_reuse",
    "clock_invalid",
    "too_many_versions",
    "too_large",
    "stale_key_epoch",
    "unknown_key_epoch",
    "unknown_device",
]
Items: TypeAlias = Mapping[ItemKey, Sequence[Version]]

FREE_DELETES = 100


@dataclass(frozen=True, slots=True)
class Account:
    """What a push is judged against, beside the items themselves."""

    devices: frozenset[str]
    key_epoch: int
    max_item_bytes: int


@dataclass(frozen=True, slots=True)
class Reset:
    """A push after `reset_required`: other devices' counters are not held against the server's
    memory. `everywhere` False lifts the rule only for items the server holds nothing of."""

    everywhere: bool


class Result(NamedTuple):
    """What became of one change."""

    change: Change
    verdict: Verdict
    code: Rejection | None = None

    @property
    def shows_versions(self) -> bool:
        """Whether the client needs to see the item's versions."""
        return self.verdict in ("stale", "conflict")


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over all items that a push changes."""

    used_bytes: int = 0
    live: Mapping[Collection, int] = field(default_factory=dict)
    conflicts: int = 0
    versions: int = 0
    deletes: int = 0


@dataclass(frozen=True, slots=True)
class PushPlan:
    """The results in request order; the items as they are stored, and those that change as they
    will be."""

    results: Sequence[Result]
    stored: Items
    after: Items

    @property
    def failures(self) -> tuple[Result, ...]:
        """What makes an atomic push fail."""
        return tuple(each for each in self.results if each.verdict in ("rejected", "stale"))

    @property
    def remaining(self) -> Items:
        """The items as they will be, changed or not."""
        return {**self.stored, **self.after} if self.stored else self.after

    def totals(self) -> Totals:
        """By how much the sums over all items change; `deletes` counts items that are live now and
        would not be."""
        used = conflicts = versions = deletes = 0
        live = dict.fromkeys(COLLECTIONS, 0)
        for key, after in self.after.items():
            before = self.stored.get(key, ())
            if not before and len(after) == 1:  # a new item, by far the most common
                used += after[0].size
                versions += 1
                live[key[0]] += not after[0].is_deleted
                continue
            used += _size(after) - _size(before)
            versions += len(after) - len(before)
            conflicts += (len(after) > 1) - (len(before) > 1)
            change = _is_live(after) - _is_live(before)
            live[key[0]] += change
            deletes += change < 0
        return Totals(used, live, conflicts, versions, deletes)


def plan_push(
    account: Account,
    stored: Items,
    changes: Sequence[Change],
    *,
    now: int,
    reset: Reset | None = None,
) -> PushPlan:
    """Judge the changes one after another, each against what those before it left."""
    results: list[Result] = []
    after: dict[ItemKey, Sequence[Version]] = {}
    for change in changes:
        key = (change.collection, change.id)
        versions = after.get(key) or stored.get(key)
        if not versions:
            result = _judge_new(account, change, reset)
            if result.verdict == "applied":
                after[key] = (_version_of(change, now, 0),)
        else:
            result = _judge(account, versions, change, reset)
            if result.verdict in ("applied", "conflict"):
                after.pop(key, None)  # an item's last change decides its place in the sequence
                kept = _undominated(versions, change)
                after[key] = [*kept, _version_of(change, now, _free_slot(kept))]
        results.append(result)
    return PushPlan(results=results, stored=stored, after=after)


def _judge_new(account: Account, change: Change, reset: Reset | None) -> Result:
    """As `_judge`, for an item of which nothing is stored: by far the most common."""
    code = _structural_fault(account, change) or _epoch_fault(account, change)
    if code is None and not _first_counters_are_honest(change, reset):
        code = "clock_invalid"
    return Result(change, "applied") if code is None else Result(change, "rejected", code)


def _judge(
    account: Account, versions: Sequence[Version], change: Change, reset: Reset | None
) -> Result:
    """In the protocol's order: structure, unknown device, equal clock, dominated, key epoch,
    counters, number of versions."""
    if code := _structural_fault(account, change):
        return Result(change, "rejected", code)
    orders = [clocks.compare(change.vector_clock, each.vector_clock) for each in versions]
    if "equal" in orders:
        same = versions[orders.index("equal")].is_content_of(change)
        return Result(change, "replayed") if same else Result(change, "rejected", "clock_reuse")
    if "before" in orders:
        return Result(change, "stale")
    if code := _epoch_fault(account, change):
        return Result(change, "rejected", code)
    if not _counters_are_honest(versions, change, reset):
        return Result(change, "rejected", "clock_invalid")
    if orders.count("concurrent") >= MAX_VERSIONS:
        return Result(change, "rejected", "too_many_versions")
    return Result(change, "conflict" if "concurrent" in orders else "applied")


def _structural_fault(account: Account, change: Change) -> Rejection | None:
    most = MAX_TOMBSTONE_BYTES if change.is_deleted else account.max_item_bytes
    if not 1 <= len(change.encrypted_data) <= most:
        return "too_large"
    if not clocks.is_well_formed(change.vector_clock):
        return "clock_invalid"
    if not change.vector_clock.keys() <= account.devices or change.author not in account.devices:
        return "unknown_device"
    return None


def _epoch_fault(account: Account, change: Change) -> Rejection | None:
    if change.key_epoch == account.key_epoch:
        return None
    return "stale_key_epoch" if change.key_epoch < account.key_epoch else "unknown_key_epoch"


def _first_counters_are_honest(change: Change, reset: Reset | None) -> bool:
    clock = change.vector_clock
    return change.author in clock and (len(clock) == 1 or reset is not None)


def _counters_are_honest(versions: Sequence[Version], change: Change, reset: Reset | None) -> bool:
    """The author's own counter is new for this item; others' do not exceed what is stored, so
    that nobody can claim to have seen what was never there."""
    clock = change.vector_clock
    own = clock.get(change.author, 0)
    known = clocks.highest(version.vector_clock for version in versions)
    if own <= known.get(change.author, 0):
        return False
    if reset is not None and reset.everywhere:
        return True
    return all(
        counter <= known.get(device_id, 0)
        for device_id, counter in clock.items()
        if device_id != change.author
    )


def _undominated(versions: Sequence[Version], change: Change) -> list[Version]:
    return [
        version
        for version in versions
        if clocks.compare(version.vector_clock, change.vector_clock) != "before"
    ]


def _free_slot(kept: Sequence[Version]) -> int:
    taken = {version.slot for version in kept}
    return next(slot for slot in range(MAX_VERSIONS + 1) if slot not in taken)


def _version_of(change: Change, now: int, slot: int) -> Version:
    return Version(
        change.author,
        change.vector_clock,
        change.key_epoch,
        change.is_deleted,
        change.entry_id,
        now,
        len(change.encrypted_data),
        change.digest(),
        slot,
        change,
    )


def _size(versions: Sequence[Version]) -> int:
    return sum([version.size for version in versions])


def _is_live(versions: Sequence[Version]) -> bool:
    return not all(version.is_deleted for version in versions)
