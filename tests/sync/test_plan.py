"""The plan of a push: a pure function, so every rule of it is tried without a server."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.limits import MAX_TOMBSTONE_BYTES, MAX_VERSIONS
from app.sync.clock import MAX_COUNTER, compare
from app.sync.plan import Account, Items, PushPlan, Reset, Totals, plan_push
from app.sync.versions import COLLECTIONS, Change, ItemKey, Version
from tests.kit.sync import assert_concurrent, knows

unhurried = settings(deadline=None, max_examples=70)

NOW = 1_700_000_000
ME, OTHER, THIRD = "aaaa", "bbbb", "cccc"
MANY = tuple(f"d{number:03}" for number in range(70))
ACCOUNT = Account(devices=frozenset((ME, OTHER, THIRD, *MANY)), key_epoch=2, max_item_bytes=1 << 20)
KEY: ItemKey = ("entries", "item")
EVERYWHERE, WHERE_ABSENT = Reset(everywhere=True), Reset(everywhere=False)


def change(clock: Mapping[str, int], author: str = ME, **fields: Any) -> Change:
    values: dict[str, Any] = {
        "collection": "entries",
        "id": "item",
        "author": author,
        "vector_clock": clock,
        "key_epoch": 2,
        "is_deleted": False,
        "encrypted_data": b"sealed",
        "entry_id": None,
    }
    return Change(**values | fields)


def after(stored: Items, plan: PushPlan) -> Items:
    """What is stored once the plan is carried out."""
    return {**stored, **plan.after}


def stored(*changes: Change) -> Items:
    """Items that hold these versions, whatever they are."""
    plan = plan_push(ACCOUNT, {}, changes, now=NOW, reset=EVERYWHERE)
    assert all(each.verdict in ("applied", "conflict") for each in plan.results)
    return plan.after


def word(stored: Items, *changes: Change, reset: Reset | None = None) -> str:
    """The last change's verdict, or its code."""
    result = plan_push(ACCOUNT, stored, changes, now=NOW, reset=reset).results[-1]
    assert (result.verdict == "rejected") == (result.code is not None)
    return result.code or result.verdict


def clocks_of(versions: Sequence[Version]) -> list[dict[str, int]]:
    return [dict(version.vector_clock) for version in versions]


# --- the verdict table --------------------------------------------------------------------------


def test_a_first_version_is_applied() -> None:
    assert word({}, change({ME: 1})) == "applied"


def test_a_version_that_knows_every_stored_one_replaces_them() -> None:
    held = stored(change({ME: 1}), change({OTHER: 1}, OTHER))
    plan = plan_push(ACCOUNT, held, [change({ME: 2, OTHER: 1})], now=NOW)
    assert plan.results[0].verdict == "applied"
    assert clocks_of(plan.after[KEY]) == [{ME: 2, OTHER: 1}]


def test_the_same_version_again_is_replayed_and_changes_nothing() -> None:
    plan = plan_push(ACCOUNT, stored(change({ME: 1})), [change({ME: 1})], now=NOW + 1)
    assert plan.results[0].verdict == "replayed"
    assert not plan.after
    assert plan.totals() == Totals(0, dict.fromkeys(COLLECTIONS, 0), 0, 0)


@pytest.mark.parametrize(
    "other",
    [
        {"encrypted_data": b"other"},
        {"is_deleted": True},
        {"key_epoch": 1},
        {"author": OTHER, "vector_clock": {ME: 1, OTHER: 1}},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_an_equal_clock_with_anything_else_different_is_clock_reuse(other: dict[str, Any]) -> None:
    clock = {ME: 1, OTHER: 1}
    held = stored(change(clock))
    assert word(held, change(**{"clock": clock} | _renamed(other))) == "clock_reuse"


def _renamed(fields: dict[str, Any]) -> dict[str, Any]:
    return {"clock" if name == "vector_clock" else name: value for name, value in fields.items()}


def test_a_tag_with_an_equal_clock_and_another_entry_is_clock_reuse() -> None:
    one = change({ME: 1}, collection="tags", entry_id="one")
    assert word(stored(one), one) == "replayed"
    assert word(stored(one), one._replace(entry_id="two")) == "clock_reuse"
    assert word(stored(one), one._replace(entry_id=None)) == "clock_reuse"


def test_a_version_that_a_stored_one_knows_is_stale() -> None:
    held = stored(change({ME: 1}), change({ME: 1, OTHER: 1}, OTHER))
    assert word(held, change({ME: 1})) == "stale"


def test_a_version_that_one_of_the_siblings_knows_is_stale() -> None:
    held = stored(change({ME: 2, OTHER: 1}), change({THIRD: 1}, THIRD))
    assert word(held, change({ME: 1})) == "stale"


def test_a_stale_retry_is_stale_and_not_clock_invalid() -> None:
    """Its own counter is not above the stored one, but being known comes first."""
    held = stored(change({ME: 5}))
    assert word(held, change({ME: 4})) == "stale"


def test_a_concurrent_version_is_kept_as_a_sibling() -> None:
    plan = plan_push(ACCOUNT, stored(change({OTHER: 1}, OTHER)), [change({ME: 1})], now=NOW)
    assert plan.results[0].verdict == "conflict"
    assert clocks_of(plan.after[KEY]) == [{OTHER: 1}, {ME: 1}]


def test_a_conflict_takes_away_only_the_siblings_it_knows() -> None:
    held = stored(change({OTHER: 1}, OTHER), change({THIRD: 1}, THIRD))
    plan = plan_push(ACCOUNT, held, [change({ME: 1, OTHER: 1})], now=NOW)
    assert plan.results[0].verdict == "conflict"
    assert clocks_of(plan.after[KEY]) == [{THIRD: 1}, {ME: 1, OTHER: 1}]


@pytest.mark.parametrize(
    ("clock", "expected"),
    [
        ({}, "clock_invalid"),
        ({ME: -1}, "clock_invalid"),
        ({ME: 0}, "clock_invalid"),
        ({ME: 1}, "applied"),
        ({ME: MAX_COUNTER}, "applied"),
        ({ME: MAX_COUNTER + 1}, "clock_invalid"),
        ({ME: 1, OTHER: 0}, "clock_invalid"),
        ({OTHER: 1}, "clock_invalid"),  # without the author's own counter
        ({ME: 1, OTHER: 1}, "clock_invalid"),  # more of another than was ever here
    ],
    ids=str,
)
def test_a_first_clock_holds_the_authors_own_counter_and_no_other(
    clock: dict[str, int], expected: str
) -> None:
    assert word({}, change(clock)) == expected


@pytest.mark.parametrize(
    ("clock", "expected"),
    [
        ({ME: 4, OTHER: 2}, "applied"),
        ({ME: 99, OTHER: 2}, "applied"),  # gaps are fine: a counter only grows
        ({ME: 4}, "conflict"),
        ({ME: 3, THIRD: 1}, "clock_invalid"),
        ({ME: 4, OTHER: 3}, "clock_invalid"),  # OTHER has not got that far here
        ({ME: 4, OTHER: 1}, "conflict"),
        ({OTHER: 2}, "stale"),
        ({ME: 3}, "stale"),
        ({ME: 3, OTHER: 2}, "replayed"),
    ],
    ids=str,
)
def test_own_counters_grow_and_others_are_not_invented(
    clock: dict[str, int], expected: str
) -> None:
    assert word(stored(change({ME: 3, OTHER: 2})), change(clock)) == expected


def test_what_siblings_know_together_may_be_known() -> None:
    held = stored(change({OTHER: 3}, OTHER), change({THIRD: 2}, THIRD))
    assert word(held, change({ME: 1, OTHER: 3, THIRD: 2})) == "applied"
    assert word(held, change({ME: 1, OTHER: 3, THIRD: 3})) == "clock_invalid"


def test_64_devices_fit_into_a_clock_and_65_do_not() -> None:
    full = dict.fromkeys(MANY[:64], 1)
    assert word({}, change(full, MANY[0]), reset=EVERYWHERE) == "applied"
    assert word({}, change(full | {MANY[64]: 1}, MANY[0]), reset=EVERYWHERE) == "clock_invalid"


def test_eight_siblings_are_kept_and_the_ninth_is_refused() -> None:
    siblings = [change({name: 1}, name) for name in MANY[:MAX_VERSIONS]]
    held = stored(*siblings)
    assert len(held[KEY]) == 8
    assert word(held, change({ME: 1})) == "too_many_versions"


def test_an_item_with_eight_siblings_can_still_be_edited_and_merged() -> None:
    held = stored(*(change({name: 1}, name) for name in MANY[:MAX_VERSIONS]))
    assert word(held, change({MANY[0]: 2}, MANY[0])) == "conflict"
    assert word(held, change({MANY[0]: 1, ME: 1})) == "conflict"
    assert word(held, change(dict.fromkeys(MANY[:MAX_VERSIONS], 1) | {ME: 1})) == "applied"


@pytest.mark.parametrize(
    ("deleted", "size", "expected"),
    [
        (False, 0, "too_large"),
        (False, 1, "applied"),
        (False, 1 << 20, "applied"),
        (False, (1 << 20) + 1, "too_large"),
        (True, 0, "too_large"),
        (True, 1, "applied"),
        (True, 4096, "applied"),
        (True, 4097, "too_large"),
    ],
)
def test_content_has_its_bounds_and_tombstones_smaller_ones(
    deleted: bool, size: int, expected: str
) -> None:
    sent = change({ME: 1}, is_deleted=deleted, encrypted_data=bytes(size))
    assert word({}, sent) == expected
    assert MAX_TOMBSTONE_BYTES == 4096


def test_a_key_epoch_is_the_servers() -> None:
    assert word({}, change({ME: 1}, key_epoch=1)) == "stale_key_epoch"
    assert word({}, change({ME: 1}, key_epoch=3)) == "unknown_key_epoch"


def test_a_retry_from_before_a_rotation_is_no_failure() -> None:
    before = dataclasses.replace(ACCOUNT, key_epoch=1)
    old = change({ME: 1}, key_epoch=1)
    held = plan_push(before, {}, [old], now=NOW).after
    assert word(held, old) == "replayed"
    replaced = after(held, plan_push(ACCOUNT, held, [change({ME: 2})], now=NOW))
    assert word(replaced, old) == "stale"


@pytest.mark.parametrize(
    ("clock", "author"),
    [({ME: 1, "nobody": 1}, ME), ({"nobody": 1}, "nobody"), ({ME: 1}, "nobody")],
    ids=("in the clock", "in both", "as the author"),
)
@pytest.mark.parametrize("reset", [None, WHERE_ABSENT, EVERYWHERE])
def test_a_device_of_no_account_is_unknown_even_in_a_reset(
    clock: dict[str, int], author: str, reset: Reset | None
) -> None:
    assert word({}, change(clock, author), reset=reset) == "unknown_device"


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        # Each change is at fault in all that follow its own fault, too.
        (change({ME: 1, "nobody": 1}, encrypted_data=b"", key_epoch=1), "too_large"),
        (change({ME: 0, "nobody": 1}, key_epoch=1), "clock_invalid"),
        (change({ME: 3, OTHER: 2, "nobody": 1}, key_epoch=1), "unknown_device"),
        (change({ME: 3, OTHER: 2}, encrypted_data=b"x", key_epoch=1), "clock_reuse"),
        (change({ME: 2}, key_epoch=1), "stale"),
        (change({ME: 3, OTHER: 3}, key_epoch=2), "clock_invalid"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_first_fault_in_the_protocols_order_is_the_one_told(
    sent: Change, expected: str
) -> None:
    assert word(stored(change({ME: 3, OTHER: 2})), sent) == expected


def test_a_false_counter_is_told_before_too_many_versions() -> None:
    held = stored(*(change({name: 1}, name) for name in MANY[:MAX_VERSIONS]))
    assert word(held, change({ME: 1, OTHER: 1})) == "clock_invalid"


# --- several changes, resets --------------------------------------------------------------------


def test_two_changes_to_one_item_are_two_pushes_in_order() -> None:
    plan = plan_push(ACCOUNT, {}, [change({ME: 1}), change({ME: 2})], now=NOW)
    assert [each.verdict for each in plan.results] == ["applied", "applied"]
    assert clocks_of(plan.after[KEY]) == [{ME: 2}]
    plan = plan_push(ACCOUNT, {}, [change({ME: 2}), change({ME: 1})], now=NOW)
    assert [each.verdict for each in plan.results] == ["applied", "stale"]


def test_a_version_that_a_later_change_of_the_push_replaces_does_not_count() -> None:
    changes = [change({ME: 1}, encrypted_data=b"x" * 100), change({ME: 2}, encrypted_data=b"y")]
    assert plan_push(ACCOUNT, {}, changes, now=NOW).totals().used_bytes == 1


def test_an_item_made_and_deleted_in_one_push_is_no_delete() -> None:
    changes = [change({ME: 1}), change({ME: 2}, is_deleted=True)]
    assert plan_push(ACCOUNT, {}, changes, now=NOW).totals().deletes == 0


def test_the_same_id_in_two_collections_is_two_items() -> None:
    changes = [change({ME: 1}, collection=name) for name in COLLECTIONS]
    plan = plan_push(ACCOUNT, {}, changes, now=NOW)
    assert [each.verdict for each in plan.results] == ["applied"] * 3
    assert set(plan.after) == {(name, "item") for name in COLLECTIONS}
    assert plan.totals().live == dict.fromkeys(COLLECTIONS, 1)


def test_a_reset_takes_versions_of_other_authors_and_counters_never_seen_here() -> None:
    lost = change({OTHER: 7, THIRD: 3}, OTHER)
    assert word({}, lost, reset=EVERYWHERE) == "applied"
    assert word(stored(change({ME: 1})), lost, reset=EVERYWHERE) == "conflict"


def test_a_reset_holds_the_author_to_its_own_counter() -> None:
    held = stored(change({OTHER: 7, THIRD: 3}, OTHER))
    assert word(held, change({OTHER: 7, ME: 1}, OTHER), reset=EVERYWHERE) == "clock_invalid"
    assert word(held, change({ME: 1}, OTHER), reset=EVERYWHERE) == "clock_invalid"


def test_a_reset_without_a_cursor_lifts_the_rule_only_where_nothing_is_held() -> None:
    edit = change({ME: 2, OTHER: 5})
    assert word({}, edit, reset=WHERE_ABSENT) == "applied"
    assert word(stored(change({OTHER: 4}, OTHER)), edit, reset=WHERE_ABSENT) == "clock_invalid"
    assert word(stored(change({OTHER: 5}, OTHER)), edit, reset=WHERE_ABSENT) == "applied"


# --- deletes ------------------------------------------------------------------------------------


def test_a_tombstone_takes_the_content_it_knows() -> None:
    held = stored(change({OTHER: 1}, OTHER, encrypted_data=b"x" * 50))
    plan = plan_push(
        ACCOUNT, held, [change({ME: 1, OTHER: 1}, is_deleted=True, encrypted_data=b"t")], now=NOW
    )
    totals = plan.totals()
    assert (totals.used_bytes, totals.deletes, totals.live["entries"]) == (1 - 50, 1, -1)
    assert [version.is_deleted for version in plan.after[KEY]] == [True]


def test_a_tombstone_does_not_take_a_concurrent_edit() -> None:
    held = stored(change({OTHER: 1}, OTHER), change({OTHER: 2}, OTHER))
    plan = plan_push(ACCOUNT, held, [change({ME: 1, OTHER: 1}, is_deleted=True)], now=NOW)
    assert plan.results[0].verdict == "conflict"
    assert [version.is_deleted for version in plan.after[KEY]] == [False, True]
    assert (plan.totals().deletes, plan.totals().live["entries"]) == (0, 0)


def test_an_edit_concurrent_with_a_tombstone_brings_the_item_back() -> None:
    held = stored(change({OTHER: 2}, OTHER, is_deleted=True))
    plan = plan_push(ACCOUNT, held, [change({ME: 1, OTHER: 1})], now=NOW)
    assert plan.results[0].verdict == "conflict"
    assert plan.totals().live["entries"] == 1


def test_deletes_count_live_items_that_would_be_tombstones_only() -> None:
    """Two siblings, one tombstone over each in turn: one delete, made by the second."""
    held = stored(change({OTHER: 1}, OTHER), change({THIRD: 1}, THIRD))
    first = change({ME: 1, OTHER: 1}, is_deleted=True)
    second = change({ME: 2, OTHER: 1, THIRD: 1}, is_deleted=True)
    assert plan_push(ACCOUNT, held, [first], now=NOW).totals().deletes == 0
    assert plan_push(ACCOUNT, held, [first, second], now=NOW).totals().deletes == 1
    done = after(held, plan_push(ACCOUNT, held, [first, second], now=NOW))
    assert plan_push(ACCOUNT, done, [first, second], now=NOW).totals().deletes == 0


# --- any pushes, honest or not ------------------------------------------------------------------

DEVICES = (ME, OTHER, THIRD, "nobody")
any_change = st.builds(
    change,
    st.dictionaries(st.sampled_from(DEVICES), st.integers(0, 4), max_size=3),
    st.sampled_from(DEVICES),
    id=st.sampled_from(("one", "two")),
    collection=st.sampled_from(("entries", "tags")),
    key_epoch=st.sampled_from((2, 2, 2, 1, 3)),
    is_deleted=st.booleans(),
    encrypted_data=st.sampled_from((b"a", b"bb", b"bb", b"")),
)
# Nothing but sound clocks, so that most of it is stored.
sound_change = st.builds(
    lambda author, counter, seen, item, **fields: change(
        seen | {author: counter}, author, id=item, **fields
    ),
    st.sampled_from(MANY[:10]),
    st.integers(1, 6),
    st.dictionaries(st.sampled_from(MANY[:10]), st.integers(1, 4), max_size=2),
    st.sampled_from(("one", "one", "two")),
    is_deleted=st.booleans(),
    encrypted_data=st.sampled_from((b"a", b"bb")),
)
push = st.tuples(
    st.lists(st.one_of(any_change, sound_change, sound_change), max_size=12),
    st.sampled_from((EVERYWHERE, EVERYWHERE, WHERE_ABSENT, None)),
)
pushes = st.lists(push, max_size=5)


def states(
    sent: Iterable[tuple[list[Change], Reset | None]],
) -> Iterable[tuple[Items, PushPlan, list[Change], Reset | None]]:
    """Each push with what was stored before it, beginning with nothing."""
    held: Items = {}
    for changes, reset in sent:
        plan = plan_push(ACCOUNT, held, changes, now=NOW, reset=reset)
        yield held, plan, changes, reset
        held = after(held, plan)


@unhurried
@given(pushes)
def test_no_version_goes_unless_one_that_knows_it_stays(
    sent: list[tuple[list[Change], Reset | None]],
) -> None:
    for held, plan, _, _ in states(sent):
        left = after(held, plan)
        for key, versions in held.items():
            for version in versions:
                assert version in left[key] or any(
                    compare(version.vector_clock, each.vector_clock) == "before"
                    for each in left[key]
                )


@unhurried
@given(pushes)
def test_whatever_was_accepted_is_there_or_known_by_what_is_there(
    sent: list[tuple[list[Change], Reset | None]],
) -> None:
    for held, plan, changes, _ in states(sent):
        left = after(held, plan)
        assert [each.change for each in plan.results] == changes
        for result in plan.results:
            if result.verdict == "rejected":
                continue
            clock = result.change.vector_clock
            assert any(knows(dict(v.vector_clock), dict(clock)) for v in left[result.change.key])


@unhurried
@given(pushes)
def test_versions_are_pairwise_concurrent_at_most_eight_and_named_by_author_and_counter(
    sent: list[tuple[list[Change], Reset | None]],
) -> None:
    for held, plan, _, _ in states(sent):
        for versions in after(held, plan).values():
            assert 1 <= len(versions) <= MAX_VERSIONS
            assert_concurrent(clocks_of(versions))
            names = [(version.author, version.counter) for version in versions]
            assert len(names) == len(set(names))
            slots = [version.slot for version in versions]
            assert len(slots) == len(set(slots)), "two versions of an item share a place in storage"
            assert max(slots) <= MAX_VERSIONS
            assert all(counter >= 1 for _, counter in names)


@unhurried
@given(pushes)
def test_what_was_accepted_can_be_sent_again_and_changes_nothing(
    sent: list[tuple[list[Change], Reset | None]],
) -> None:
    for held, plan, _, reset in states(sent):
        again = [each.change for each in plan.results if each.verdict != "rejected"]
        repeated = plan_push(ACCOUNT, after(held, plan), again, now=NOW + 1, reset=reset)
        assert {each.verdict for each in repeated.results} <= {"replayed", "stale"}
        assert not repeated.after


@unhurried
@given(pushes)
def test_sums_follow_what_is_stored(sent: list[tuple[list[Change], Reset | None]]) -> None:
    for held, plan, _, _ in states(sent):
        before, left, totals = sums(held), sums(after(held, plan)), plan.totals()
        assert totals.used_bytes == left.used_bytes - before.used_bytes
        assert totals.conflicts == left.conflicts - before.conflicts
        for name in COLLECTIONS:
            assert totals.live[name] == left.live[name] - before.live[name]
        assert totals.deletes == len(live(held) - live(after(held, plan)))


def sums(items: Items) -> Totals:
    return Totals(
        used_bytes=sum(version.size for versions in items.values() for version in versions),
        live={name: sum(key[0] == name for key in live(items)) for name in COLLECTIONS},
        conflicts=sum(len(versions) > 1 for versions in items.values()),
    )


def live(items: Items) -> set[ItemKey]:
    return {key for key, held in items.items() if not all(v.is_deleted for v in held)}


@unhurried
@given(pushes)
def test_a_plan_touches_only_what_it_says(sent: list[tuple[list[Change], Reset | None]]) -> None:
    for held, plan, changes, reset in states(sent):
        accepted = {r.change.key for r in plan.results if r.verdict in ("applied", "conflict")}
        assert set(plan.after) == accepted
        copy = {key: tuple(versions) for key, versions in held.items()}
        same = plan_push(ACCOUNT, held, changes, now=NOW, reset=reset)
        assert (same.results, same.after) == (plan.results, plan.after), "not a function"
        assert {key: tuple(versions) for key, versions in held.items()} == copy, "not pure"


@unhurried
@given(pushes)
def test_a_delete_never_takes_a_concurrent_edit(
    sent: list[tuple[list[Change], Reset | None]],
) -> None:
    for held, plan, changes, _ in states(sent):
        tombstones = [each for each in changes if each.is_deleted]
        if len(tombstones) != len(changes):
            continue
        left = after(held, plan)
        for key, versions in held.items():
            for version in versions:
                is_known = any(
                    each.key == key and knows(dict(each.vector_clock), dict(version.vector_clock))
                    for each in tombstones
                )
                assert is_known or version in left[key]


@unhurried
@given(pushes)
def test_each_verdict_is_the_one_the_protocol_names(
    sent: list[tuple[list[Change], Reset | None]],
) -> None:
    for held, plan, _, reset in states(sent):
        seen: dict[ItemKey, list[Change | Version]] = {k: list(v) for k, v in held.items()}
        for result in plan.results:
            mine = result.change
            versions = seen.setdefault(mine.key, [])
            expected = verdict_by_the_book(versions, mine, reset)
            assert (result.code or result.verdict) == expected
            if expected in ("applied", "conflict"):
                clock = dict(mine.vector_clock)
                kept = [v for v in versions if not knows(clock, dict(v.vector_clock))]
                seen[mine.key] = [*kept, mine]


def verdict_by_the_book(
    versions: Sequence[Change | Version], mine: Change, reset: Reset | None
) -> str:
    """The protocol's table and order of checks, written a second time."""
    clock = dict(mine.vector_clock)
    theirs = [dict(version.vector_clock) for version in versions]
    if not 0 < len(mine.encrypted_data) <= (4096 if mine.is_deleted else 1 << 20):
        return "too_large"
    if not 0 < len(clock) <= 64 or not all(0 < n < 2**53 for n in clock.values()):
        return "clock_invalid"
    if {mine.author, *clock} - ACCOUNT.devices:
        return "unknown_device"
    for version, other in zip(versions, theirs, strict=True):
        if other == clock:
            return "replayed" if content(version) == content(mine) else "clock_reuse"
    if any(knows(other, clock) for other in theirs):
        return "stale"
    if mine.key_epoch != 2:
        return "stale_key_epoch" if mine.key_epoch < 2 else "unknown_key_epoch"
    if clock.get(mine.author, 0) <= max((o.get(mine.author, 0) for o in theirs), default=0):
        return "clock_invalid"
    is_free = reset is not None and (reset.everywhere or not versions)
    for name in clock.keys() - {mine.author}:
        if not is_free and clock[name] > max((o.get(name, 0) for o in theirs), default=0):
            return "clock_invalid"
    concurrent = [other for other in theirs if not knows(clock, other)]
    if len(concurrent) >= 8:
        return "too_many_versions"
    return "conflict" if concurrent else "applied"


def content(one: Change | Version) -> tuple[object, ...]:
    digest = one.digest() if isinstance(one, Change) else one.digest
    return (digest, one.is_deleted, one.key_epoch, one.entry_id, one.author)


# --- honest devices -----------------------------------------------------------------------------


@st.composite
def histories(draw: st.DrawFn) -> list[Change]:
    """Versions of one item by devices that saw what they claim, in some order of writing: each
    device edits on top of all it has seen, and sees others' versions whole."""
    names = MANY[: draw(st.integers(1, 5))]
    views: dict[str, list[Change]] = {name: [] for name in names}
    written: list[Change] = []
    for step in range(draw(st.integers(1, 14))):
        name = draw(st.sampled_from(names))
        is_looking = draw(st.booleans())
        if written and is_looking:
            views[name].append(draw(st.sampled_from(written)))
            continue
        clock: dict[str, int] = {}
        for seen in views[name]:
            for device_id, counter in seen.vector_clock.items():
                clock[device_id] = max(counter, clock.get(device_id, 0))
        clock[name] = clock.get(name, 0) + 1
        edit = change(
            clock, name, is_deleted=draw(st.booleans()), encrypted_data=str(step).encode()
        )
        views[name] = [edit]
        written.append(edit)
    return written


def newest(written: Sequence[Change]) -> set[bytes]:
    """The content of the versions that no other version knows."""
    return {
        one.encrypted_data
        for one in written
        if not any(
            other is not one and knows(dict(other.vector_clock), dict(one.vector_clock))
            for other in written
        )
    }


def left_by(sent: Sequence[Change], cuts: Sequence[int], reset: Reset | None) -> list[Version]:
    """What is stored after these changes, pushed in parts that end at `cuts`."""
    held: Items = {}
    for begin, end in zip([0, *cuts], [*cuts, len(sent)], strict=True):
        plan = plan_push(ACCOUNT, held, sent[begin:end], now=NOW, reset=reset)
        assert all(each.verdict != "rejected" for each in plan.results)
        held = after(held, plan)
    return list(held[KEY])


def contents(versions: Sequence[Version]) -> set[bytes]:
    assert all(version.change is not None for version in versions)
    return {version.change.encrypted_data for version in versions if version.change is not None}


@unhurried
@given(histories(), st.data())
def test_in_any_order_that_causes_allow_the_newest_versions_remain(
    written: list[Change], data: st.DataObject
) -> None:
    """A device has seen only what has arrived; between devices any order is possible, and any
    change may arrive again."""
    arrived: list[Change] = []
    waiting = list(written)
    while waiting:
        ready = [
            one
            for one in waiting
            if not any(
                other is not one and knows(dict(one.vector_clock), dict(other.vector_clock))
                for other in waiting
            )
        ]
        one = data.draw(st.sampled_from(ready))
        waiting.remove(one)
        arrived.append(one)
        if data.draw(st.booleans()):
            arrived.append(data.draw(st.sampled_from(arrived)))
    cuts = sorted(data.draw(st.sets(st.integers(0, len(arrived)), max_size=4)))
    assert contents(left_by(arrived, cuts, None)) == newest(written)


@unhurried
@given(histories(), st.data())
def test_a_reset_brings_the_newest_versions_back_in_whatever_order(
    written: list[Change], data: st.DataObject
) -> None:
    repeated = data.draw(st.lists(st.sampled_from(written), max_size=4))
    sent = data.draw(st.permutations([*written, *repeated]))
    cuts = sorted(data.draw(st.sets(st.integers(0, len(sent)), max_size=4)))
    assert contents(left_by(sent, cuts, EVERYWHERE)) == newest(written)


@unhurried
@given(histories(), st.data())
def test_what_a_restored_server_has_and_what_devices_send_again_come_together(
    written: list[Change], data: st.DataObject
) -> None:
    """The server kept a beginning of the history; each device sends again what it holds."""
    kept = data.draw(st.integers(0, len(written)))
    sent = [*written[:kept], *data.draw(st.permutations(written))]
    assert contents(left_by(sent, [kept], EVERYWHERE)) == newest(written)
