"""Vector clocks."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.limits import MAX_CLOCK_ENTRIES
from app.sync.clock import MAX_COUNTER, compare, highest, is_well_formed, to_text
from tests.kit.sync import knows, new_id

unhurried = settings(deadline=None)
# Few devices and small counters: clocks that never meet would show nothing.
clocks = st.dictionaries(st.sampled_from("abcd"), st.integers(1, 3), min_size=1)
MIRROR = {"equal": "equal", "before": "after", "after": "before", "concurrent": "concurrent"}


@unhurried
@given(clocks, clocks)
def test_compare_says_who_knows_whom(one: dict[str, int], other: dict[str, int]) -> None:
    forth, back = knows(one, other), knows(other, one)
    expected = {(True, True): "equal", (True, False): "after", (False, True): "before"}
    assert compare(one, other) == expected.get((forth, back), "concurrent")


@unhurried
@given(clocks, clocks)
def test_compare_looks_the_same_from_the_other_side(
    one: dict[str, int], other: dict[str, int]
) -> None:
    assert compare(other, one) == MIRROR[compare(one, other)]


@unhurried
@given(clocks)
def test_a_clock_equals_itself_in_any_order_of_entries(clock: dict[str, int]) -> None:
    assert compare(clock, dict(reversed(clock.items()))) == "equal"


@unhurried
@given(clocks, clocks, clocks)
def test_before_is_transitive(a: dict[str, int], b: dict[str, int], c: dict[str, int]) -> None:
    low, middle, high = a, highest([a, b]), highest([a, b, c])
    assert compare(low, middle) in ("before", "equal")
    assert compare(middle, high) in ("before", "equal")
    assert compare(low, high) in ("before", "equal")
    if "before" in (compare(low, middle), compare(middle, high)):
        assert compare(low, high) == "before"


@unhurried
@given(clocks, clocks)
def test_equal_order_means_equal_clocks(one: dict[str, int], other: dict[str, int]) -> None:
    assert (compare(one, other) == "equal") == (one == other)


@unhurried
@given(st.lists(clocks, max_size=5))
def test_highest_is_the_least_clock_that_knows_them_all(held: list[dict[str, int]]) -> None:
    top = highest(held)
    assert all(knows(top, clock) for clock in held)
    for device_id, counter in top.items():
        assert any(clock.get(device_id) == counter for clock in held)


@pytest.mark.parametrize(
    ("counter", "fits"),
    [(-1, False), (0, False), (1, True), (MAX_COUNTER, True), (MAX_COUNTER + 1, False)],
)
def test_counters_run_from_1_to_2_53_less_1(counter: int, fits: bool) -> None:
    assert is_well_formed({"other": 1, "device": counter}) is fits
    assert MAX_COUNTER == 9007199254740991


@pytest.mark.parametrize(
    ("entries", "fits"), [(0, False), (1, True), (64, True), (65, False), (5000, False)]
)
def test_a_clock_has_1_to_64_entries(entries: int, fits: bool) -> None:
    assert is_well_formed({new_id(): 1 for _ in range(entries)}) is fits
    assert MAX_CLOCK_ENTRIES == 64


@unhurried
@given(clocks)
def test_a_clock_has_one_spelling_which_is_json(clock: dict[str, int]) -> None:
    text = to_text(clock)
    assert json.loads(text) == clock
    assert text == to_text(dict(reversed(clock.items())))
    assert list(json.loads(text)) == sorted(clock)
