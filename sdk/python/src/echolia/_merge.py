"""What is shown when several devices wrote at once: pure, and the same on every device.

No text is ever dropped here. A deletion yields to an edit that had not seen it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ._clocks import VectorClock
from ._payload import Payload, edited_at, merged_set

MARK = "\n\n---\n*Written at the same time on another device:*\n\n"


# When and where from, not what.
_CIRCUMSTANCES = frozenset({"created_at", "edited_at", "merged", "source"})


@dataclass(frozen=True, slots=True)
class Sibling:
    """One opened version of an item."""

    clock: VectorClock
    is_deleted: bool
    payload: Payload


MergePolicy = Callable[[Sequence[Sibling]], Payload]
"""Two or more live siblings, newest first, to one payload. Must be pure: every device runs it."""


def significant(siblings: Sequence[Sibling]) -> list[Sibling]:
    """The siblings that carry something of their own, newest first.

    Of those that say the same (two devices imported one folder), the newest. Deletions yield to
    anything alive. A machine's merge yields to every sibling that has seen all it merged: it
    holds no word that the other's writer did not have before them.
    """
    alive = [one for one in siblings if not one.is_deleted]
    chosen: list[Sibling] = []
    # People's versions first, then merges of more before merges of less.
    for one in sorted(alive or siblings, key=_widest_first):
        merged = merged_set(one.payload)
        if not merged or not any(_has_seen(other, merged) for other in chosen):
            chosen.append(one)
    newest_first = sorted(chosen, key=_newest_first)
    return [
        one
        for at, one in enumerate(newest_first)
        if not any(_says_the_same(one, newer) for newer in newest_first[:at])
    ]


def merge(siblings: Sequence[Sibling], policy: MergePolicy) -> Sibling:
    """One version's worth of content, however many siblings there are."""
    chosen = significant(siblings)
    newest = chosen[0]
    if len(chosen) == 1 or newest.is_deleted:
        return newest
    payload = {name: value for name, value in policy(chosen).items() if name != "merged"}
    return Sibling(newest.clock, False, payload)


def sources(siblings: Sequence[Sibling]) -> frozenset[VectorClock]:
    """The clocks of the versions that people wrote, looking through merges of merges."""
    return frozenset(
        clock for one in siblings for clock in (merged_set(one.payload) or {one.clock})
    )


def keep_both(siblings: Sequence[Sibling]) -> Payload:
    """The default policy: all texts, newest first, each behind a visible mark."""
    merged: dict[str, Any] = {}
    for one in reversed(siblings):
        merged.update(one.payload)
    for name, joint in (("text", MARK), ("title", " / "), ("name", " / ")):
        values = (one.payload.get(name) for one in siblings)
        texts = [value for value in values if isinstance(value, str) and value]
        if texts:
            merged[name] = joint.join(_blocks(texts, joint))
    listed = [ids for one in siblings if isinstance(ids := one.payload.get("entry_ids"), list)]
    if listed:
        merged["entry_ids"] = list(dict.fromkeys(str(one) for ids in listed for one in ids))
    created = [one.payload.get("created_at") for one in siblings]
    whole = [moment for moment in created if type(moment) is int]
    if whole:
        merged["created_at"] = min(whole)
    return merged


def _blocks(texts: Sequence[str], joint: str) -> list[str]:
    """The parts of all texts, each once: joining what was joined before adds no copies."""
    return list(dict.fromkeys(part for text in texts for part in text.split(joint)))


def _has_seen(sibling: Sibling, clocks: frozenset[VectorClock]) -> bool:
    return all(sibling.clock.covers(clock) for clock in clocks)


def _says_the_same(one: Sibling, other: Sibling) -> bool:
    words = [
        {name: value for name, value in each.payload.items() if name not in _CIRCUMSTANCES}
        for each in (one, other)
    ]
    return words[0] == words[1]


def _newest_first(sibling: Sibling) -> tuple[int, bytes]:
    return -edited_at(sibling.payload), sibling.clock.encode()


def _widest_first(sibling: Sibling) -> tuple[bool, int, int, bytes]:
    merged = merged_set(sibling.payload)
    return bool(merged), -len(merged), *_newest_first(sibling)
