"""What may be forgotten, as rules."""

from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from app.sync.purge import (
    Follower,
    PlacedVersion,
    horizon,
    moved_marks,
    plan_purge,
)
from app.sync.versions import COLLECTIONS

NOW = 1_000_000
IDLE = 1_000
places = st.integers(0, 30)
devices = st.sampled_from("abcd")
followers = st.lists(
    st.builds(Follower, devices, st.booleans(), st.integers(NOW - 2 * IDLE, NOW), places),
    unique_by=lambda each: each.device_id,
)
pulled = st.dictionaries(devices, places)


@st.composite
def accounts(draw: st.DrawFn) -> list[PlacedVersion]:
    """Whole items, each at a place of its own."""
    count = draw(st.integers(0, 8))
    return [
        PlacedVersion(
            COLLECTIONS[seq % 3],
            f"item {seq}",
            seq,
            draw(st.booleans()),
            draw(st.integers(NOW - 20, NOW)),
            draw(st.integers(1, 100)),
        )
        for seq in range(1, count + 1)
        for _ in range(draw(st.integers(1, 3)))
    ]


@given(followers, pulled, places)
def test_the_horizon_is_behind_nobody_who_counts(
    known: list[Follower], noted: dict[str, int], seq: int
) -> None:
    place = horizon(known, noted, seq, NOW, IDLE)
    assert 0 <= place <= seq
    for each in known:
        if each.is_live and NOW - each.last_seen_day < IDLE:
            assert place <= max(each.pulled_seq, noted.get(each.device_id, 0))


@given(followers, pulled, places)
def test_silent_and_revoked_devices_hold_nothing_back(
    known: list[Follower], noted: dict[str, int], seq: int
) -> None:
    counting = [each for each in known if each.is_live and NOW - each.last_seen_day < IDLE]
    assert horizon(known, noted, seq, NOW, IDLE) == horizon(counting, noted, seq, NOW, IDLE)


@given(followers, pulled, pulled, places)
def test_who_comes_further_never_moves_the_horizon_back(
    known: list[Follower], noted: dict[str, int], later: dict[str, int], seq: int
) -> None:
    further = {name: max(noted.get(name, 0), later.get(name, 0)) for name in noted | later}
    assert horizon(known, further, seq, NOW, IDLE) >= horizon(known, noted, seq, NOW, IDLE)


@given(followers, pulled, places)
def test_a_mark_only_rises_and_never_beyond_the_end(
    known: list[Follower], noted: dict[str, int], seq: int
) -> None:
    before = {each.device_id: each.pulled_seq for each in known}
    for device_id, mark in moved_marks(known, noted, seq).items():
        assert before[device_id] < mark <= min(noted[device_id], seq)


@given(accounts(), places, st.integers(NOW - 20, NOW))
def test_what_goes_is_all_deleted_old_and_passed_and_what_stays_is_not(
    versions: list[PlacedVersion], place: int, before: int
) -> None:
    items: defaultdict[tuple[str, str], list[PlacedVersion]] = defaultdict(list)
    for version in versions:
        items[version.key].append(version)
    expected = {
        key
        for key, held in items.items()
        if all(v.is_deleted for v in held)
        and max(v.received_at for v in held) <= before
        and held[0].seq <= place
    }
    purge = plan_purge(versions, place, before)
    assert set(purge.keys) == expected
    gone = [version for key in expected for version in items[key]]
    assert purge.used_bytes == sum(version.size for version in gone)
    assert purge.versions == len(gone)
    assert purge.conflicts == sum(len(items[key]) > 1 for key in expected)
    assert purge.highest_seq == max((version.seq for version in gone), default=0)


@given(accounts(), places, st.integers(NOW - 20, NOW))
def test_what_was_purged_is_not_found_again(
    versions: list[PlacedVersion], place: int, before: int
) -> None:
    gone = set(plan_purge(versions, place, before).keys)
    left = [version for version in versions if version.key not in gone]
    assert not plan_purge(left, place, before).keys
