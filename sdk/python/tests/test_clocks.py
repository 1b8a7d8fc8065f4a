"""Vector clocks as an order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from echolia import VectorClock
from echolia._clocks import MAX_COUNTER, merge_clocks

DEVICES = [f"{n:08x}-0000-4000-8000-000000000000" for n in range(4)]
clocks = st.dictionaries(st.sampled_from(DEVICES), st.integers(1, 5)).map(VectorClock.of)


@given(one=clocks, other=clocks)
def test_two_clocks_are_equal_ordered_or_concurrent(one: VectorClock, other: VectorClock) -> None:
    concurrent = not one.covers(other) and not other.covers(one)
    assert [one == other, one.dominates(other), other.dominates(one), concurrent].count(True) == 1


@given(many=st.lists(clocks, min_size=1))
def test_a_merge_covers_all_and_nothing_more(many: list[VectorClock]) -> None:
    merged = merge_clocks(many)
    assert all(merged.covers(one) for one in many)
    for device, count in merged.entries:
        assert any(one.counter(device) == count for one in many)


@given(clock=clocks)
def test_a_clock_survives_its_text(clock: VectorClock) -> None:
    assert VectorClock.parse(clock.as_text()) == clock


@pytest.mark.parametrize(
    "counters",
    [
        {DEVICES[0]: 0},
        {DEVICES[0]: MAX_COUNTER + 1},
        {DEVICES[0]: True},
        {DEVICES[0]: 1.0},
        {DEVICES[0].upper().replace("0", "A", 1): 1},
        {"": 1},
    ],
)
def test_a_malformed_clock_is_refused(counters: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"a (clock|counter)"):
        VectorClock.of(counters)
