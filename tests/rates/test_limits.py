"""Buckets: never more than promised, never a refusal within it, and a bound on memory."""

import math
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import RateLimited
from app.rates import buckets
from app.rates.addresses import Stranger
from app.rates.buckets import RECOVERIES, Bucket, PerAddress
from app.rates.limits import MemoryLimits, NoLimits, spend, spend_of

EVERY = [
    each
    for value in vars(buckets).values()
    for each in ([value] if isinstance(value, Bucket) else [])
    + ([value.one, value.site] if isinstance(value, PerAddress) else [])
]
SLACK = 1e-3
"""Of floating-point sums, in takes."""


class Now:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


sizes = st.builds(Bucket, st.just("any"), st.integers(1, 60), st.floats(0.5, 3600, allow_nan=False))
pauses = st.lists(st.floats(0, 120, allow_nan=False), min_size=1, max_size=80)


@given(sizes, pauses)
async def test_no_stretch_of_time_holds_more_than_its_share_and_one_bucket(
    bucket: Bucket, gaps: list[float]
) -> None:
    clock = Now()
    limits = MemoryLimits(clock)
    granted, fewest = 0, 0.0
    for gap in gaps:
        clock.now += gap
        earned = bucket.size * (clock.now - 1_000.0) / bucket.seconds
        # Of all stretches that end now, the one that began with the most left over counts.
        fewest = min(fewest, granted - earned)
        while await limits.take(bucket, b"k") == 0.0:
            granted += 1
        assert granted - earned - fewest <= bucket.size + SLACK


@given(sizes, st.lists(st.floats(1, 10), min_size=1, max_size=200))
async def test_who_keeps_to_the_rate_is_never_refused(bucket: Bucket, slower: list[float]) -> None:
    clock = Now()
    limits = MemoryLimits(clock)
    for factor in slower:
        assert await limits.take(bucket, b"k") == 0.0
        clock.now += factor * bucket.seconds / bucket.size


@given(sizes, pauses)
async def test_a_wait_that_is_told_is_long_enough_and_a_shorter_one_is_not(
    bucket: Bucket, gaps: list[float]
) -> None:
    clock = Now()
    limits = MemoryLimits(clock)
    for gap in gaps:
        clock.now += gap
        wait = await limits.take(bucket, b"k")
        if wait > 1e-3:
            clock.now += wait / 2
            assert await limits.take(bucket, b"k") > 0.0
            clock.now += wait / 2 + 1e-6
            assert await limits.take(bucket, b"k") == 0.0


@pytest.mark.parametrize("bucket", EVERY, ids=lambda each: each.name)
async def test_each_bucket_gives_its_size_and_then_says_how_long_to_wait(bucket: Bucket) -> None:
    clock = Now()
    limits = MemoryLimits(clock)
    for _ in range(bucket.size):
        await spend(limits, bucket, b"mine")
    with pytest.raises(RateLimited) as refused:
        await spend(limits, bucket, b"mine")
    seconds = int(refused.value.headers["Retry-After"])
    assert seconds == math.ceil(bucket.seconds / bucket.size)
    await spend(limits, bucket, b"another's")
    clock.now += seconds
    await spend(limits, bucket, b"mine")


def test_the_buckets_are_those_of_the_specification() -> None:
    told = {each.name: (each.size, each.seconds) for each in EVERY}
    assert told == {
        "new_accounts": (5, 3600),
        "new_accounts/48": (40, 3600),
        "key_calls": (30, 60),
        "key_calls/48": (240, 60),
        "joins": (10, 60),
        "joins/48": (80, 60),
        "recoveries": (10, 3600),
        "recoveries/48": (80, 3600),
        "logins": (10, 60),
        "refreshes": (30, 3600),
        "pairings": (5, 3600),
        "sync_calls": (50, 5),
    }


async def test_a_larger_cost_takes_more_and_one_above_the_size_takes_a_full_bucket() -> None:
    clock = Now()
    limits, bucket = MemoryLimits(clock), Bucket("any", 10, 10.0)
    assert await limits.take(bucket, b"k", 4) == 0.0
    assert await limits.take(bucket, b"k", 7) == pytest.approx(1.0)
    assert await limits.take(bucket, b"k", 99) == pytest.approx(4.0)
    clock.now += 4
    assert await limits.take(bucket, b"k", 99) == 0.0


async def test_a_flood_of_strangers_forgets_nobody_who_was_refused() -> None:
    clock = Now()
    limits, bucket = MemoryLimits(clock, max_keys=100, shared=8), Bucket("any", 2, 60.0)
    for _ in range(2):
        await limits.take(bucket, b"greedy")
    for number in range(5_000):
        await limits.take(bucket, number.to_bytes(4, "big"))
    assert await limits.take(bucket, b"greedy") > 0.0
    assert limits.kept(bucket) == 100


async def test_a_flood_gets_no_more_than_what_is_kept_and_what_is_shared_allow() -> None:
    limits, bucket = MemoryLimits(Now(), max_keys=100, shared=8), Bucket("any", 2, 60.0)
    granted = 0
    for number in range(5_000):
        granted += await limits.take(bucket, number.to_bytes(4, "big")) == 0.0
    assert granted <= 100 * 2 + 8 * 4 * 2


async def is_taken(limits: MemoryLimits, stranger: Stranger) -> bool:
    try:
        await spend_of(limits, RECOVERIES, stranger)
    except RateLimited:
        return False
    return True


@pytest.mark.parametrize("max_keys", [100, 0], ids=["kept", "shared"])
async def test_one_site_cannot_crowd_out_the_strangers_of_all_others(max_keys: int) -> None:
    """Whoever has a /48 may call from 65,536 addresses, and everybody else is kept as before."""
    limits = MemoryLimits(Now(), max_keys=max_keys)
    from_site = [Stranger(number.to_bytes(4, "big"), b"site") for number in range(5_000)]
    assert sum([await is_taken(limits, each) for each in from_site]) <= RECOVERIES.site.size * 4
    assert limits.kept(RECOVERIES.one) <= RECOVERIES.site.size
    assert await is_taken(limits, Stranger(b"honest", b"elsewhere"))


@pytest.mark.parametrize("max_keys", [100, 0], ids=["kept", "shared"])
async def test_what_one_address_is_refused_is_not_taken_from_its_neighbours(max_keys: int) -> None:
    limits = MemoryLimits(Now(), max_keys=max_keys)
    for _ in range(5_000):
        await is_taken(limits, Stranger(b"greedy", b"site"))
    assert await is_taken(limits, Stranger(b"neighbour", b"site"))


async def test_when_a_flood_is_over_newcomers_are_kept_for_themselves_again() -> None:
    clock = Now()
    limits, bucket = MemoryLimits(clock, max_keys=100, shared=1), Bucket("any", 2, 60.0)
    for number in range(1_000):
        await limits.take(bucket, number.to_bytes(4, "big"))
    clock.now += 60
    for number in range(2_000, 2_200):
        for _ in range(2):
            assert await limits.take(bucket, number.to_bytes(4, "big")) == 0.0
        clock.now += 60


async def test_memory_stays_under_its_bound() -> None:
    limits, bucket = MemoryLimits(Now()), Bucket("any", 2, 60.0)
    tracemalloc.start()
    for number in range(25_000):
        await limits.take(bucket, number.to_bytes(16, "big"))
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert limits.kept(bucket) == 20_000
    assert held < 6 * 1024 * 1024


async def test_without_limits_everything_may_be_taken() -> None:
    assert [await NoLimits().take(each, b"k", 10**9) for each in EVERY] == [0.0] * len(EVERY)
