"""Vector clocks: which version came out of which. Pure."""

from collections.abc import Iterable, Mapping
from typing import Literal, TypeAlias

import orjson

from app.limits import MAX_CLOCK_ENTRIES

VectorClock: TypeAlias = Mapping[str, int]
"""Device id to counter; a device that is absent counts as 0."""

Order: TypeAlias = Literal["equal", "before", "after", "concurrent"]

MAX_COUNTER = 2**53 - 1


def compare(one: VectorClock, other: VectorClock) -> Order:
    """`before`: `other` knows all that `one` knows, and more."""
    if one == other:
        return "equal"
    if _within(one, other):
        return "before"
    return "after" if _within(other, one) else "concurrent"


def highest(clocks: Iterable[VectorClock]) -> dict[str, int]:
    """The highest counter that any of the clocks holds for each device."""
    merged: dict[str, int] = {}
    for clock in clocks:
        for device_id, counter in clock.items():
            if counter > merged.get(device_id, 0):
                merged[device_id] = counter
    return merged


def is_well_formed(clock: VectorClock) -> bool:
    """At most 64 entries, at least one, each from 1 to 2^53 - 1."""
    if not 1 <= len(clock) <= MAX_CLOCK_ENTRIES:
        return False
    for counter in clock.values():  # noqa: SIM110 - a push does this hundreds of times
        if not 1 <= counter <= MAX_COUNTER:
            return False
    return True


def to_text(clock: VectorClock) -> str:
    """The one spelling of a clock: JSON with sorted keys."""
    return orjson.dumps(clock, option=orjson.OPT_SORT_KEYS).decode()


def _within(one: VectorClock, other: VectorClock) -> bool:
    return all(counter <= other.get(device_id, 0) for device_id, counter in one.items())
