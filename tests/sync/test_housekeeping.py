"""Deletions are forgotten when they are old and everybody has seen them, and not before."""

import asyncio
from collections.abc import Callable
from typing import Any

import apsw
import pytest

from app.config import Settings
from app.database.port import Missing
from tests.kit.clock import SetClock
from tests.kit.device import Device
from tests.kit.housekeeping import Follower, housekeeping_of, pass_days
from tests.kit.sync import Tables, edited, user_file, verdicts

ReadTables = Callable[[], Tables]


@pytest.fixture
def mine(device: Device) -> Follower:
    return Follower(device)


@pytest.fixture
def theirs(other: Device) -> Follower:
    return Follower(other)


async def deleted(device: Device, count: int = 1, **fields: Any) -> list[dict[str, Any]]:
    """Items that were written and then deleted."""
    changes = [device.change(data=b"text", **fields) for _ in range(count)]
    (await device.push(*changes)).raise_for_status()
    gone = [
        device.change(
            each["id"],
            edited(each, device),
            is_deleted=True,
            data=b"t",
            collection=each["collection"],
        )
        for each in changes
    ]
    told = await device.push(*gone, confirm_deletes=count)
    assert set(verdicts(told.json())) == {"applied"}
    return gone


async def reason(device: Device, cursor: str | None, **params: Any) -> str | None:
    answer = await device.pull(cursor, **params)
    return None if answer.is_success else str(answer.json()["reason"])


async def test_a_deletion_that_all_have_seen_is_forgotten_after_90_days(
    clock: SetClock, mine: Follower, theirs: Follower, tables: ReadTables
) -> None:
    keep = mine.device.change(data=b"kept")
    await mine.device.push(keep)
    for collection in ("entries", "memories", "tags"):
        await deleted(mine.device, 3, collection=collection)
    await mine.come()
    await theirs.come()
    await pass_days(clock, 89, mine, theirs)
    assert len(tables().items) == 10
    await pass_days(clock, 2, mine, theirs)
    after = tables()
    assert list(after.items) == [("entries", keep["id"])]
    assert (after.used_bytes, after.count) == (4, 1)
    assert after.purged_seq == after.seq


async def test_a_device_that_has_not_seen_it_holds_it_back_until_it_is_silent_for_180_days(
    clock: SetClock, mine: Follower, theirs: Follower, tables: ReadTables
) -> None:
    await theirs.come()
    await deleted(mine.device)
    await pass_days(clock, 178, mine)
    assert len(tables().items) == 1
    await pass_days(clock, 3, mine)
    assert not tables().items


async def test_a_revoked_device_holds_nothing_back(
    clock: SetClock, mine: Follower, theirs: Follower, tables: ReadTables
) -> None:
    await theirs.come()
    await deleted(mine.device)
    path = f"/auth/devices/{theirs.device.id}"
    (await mine.device.call("DELETE", path, proof=True)).raise_for_status()
    await pass_days(clock, 92, mine)
    assert not tables().items


async def test_a_filtered_pull_does_not_say_that_everything_was_seen(
    clock: SetClock, mine: Follower, theirs: Follower, tables: ReadTables
) -> None:
    await deleted(mine.device)
    await mine.come()
    cursor = (await theirs.device.pull()).json()["cursor"]
    for _ in range(100):
        clock.advance(days=1)
        (await theirs.device.log_in()).raise_for_status()
        for params in ({"collections": "entries"}, {"collections": "entries", "bucket": 3}):
            assert (await theirs.device.pull(cursor, **params)).is_success
        await mine.come()
    assert len(tables().items) == 1


async def test_a_cursor_counts_when_it_is_sent_and_not_when_it_is_given(
    clock: SetClock, mine: Follower, theirs: Follower, tables: ReadTables
) -> None:
    """An answer may be lost."""
    await theirs.come()
    before = theirs.cursor
    await deleted(mine.device)
    for _ in range(3):
        clock.advance(days=40)
        theirs.cursor = before
        await theirs.come()
        await mine.come()
    assert len(tables().items) == 1


async def test_siblings_go_together_and_only_when_all_are_deletions(
    clock: SetClock, mine: Follower, theirs: Follower, tables: ReadTables
) -> None:
    both, half = mine.device.change(data=b"one"), mine.device.change(data=b"two")
    await mine.device.push(both, half)
    for follower in (mine, theirs):
        device = follower.device
        clocks = [each["vector_clock"] | {device.id: 2} for each in (both, half)]
        dead = device.change(both["id"], clocks[0], is_deleted=True, data=b"t")
        is_mine = follower is mine
        other = device.change(half["id"], clocks[1], is_deleted=is_mine, data=b"t")
        await device.push(dead, other)
    assert tables().conflicts == 2
    await mine.come()
    await theirs.come()
    await pass_days(clock, 92, mine, theirs)
    after = tables()
    assert list(after.items) == [("entries", half["id"])]
    assert (after.conflicts, after.count) == (1, 2)


async def test_more_than_a_batch_goes_in_one_round(
    clock: SetClock, mine: Follower, tables: ReadTables
) -> None:
    await deleted(mine.device, 250)
    await mine.come()
    await pass_days(clock, 92, mine)
    assert (tables().items, tables().used_bytes) == ({}, 0)


async def test_who_missed_a_forgotten_deletion_is_told_so_and_may_begin_anew(
    clock: SetClock, mine: Follower, theirs: Follower
) -> None:
    kept = [mine.device.change(data=b"kept") for _ in range(4)]
    await mine.device.push(*kept)
    await theirs.come()
    away = theirs.cursor
    await deleted(mine.device)
    await mine.device.push(mine.device.change(data=b"newer"))
    await mine.come()
    await pass_days(clock, 200, mine)
    (await theirs.device.log_in()).raise_for_status()
    assert await reason(theirs.device, away) == "cursor_expired"
    assert await reason(theirs.device, away, collections="tags") == "cursor_expired"
    assert await reason(mine.device, mine.cursor) is None
    shown = await theirs.device.pull_all(limit=1)
    assert len(shown.items) == 5, "a pull from the start passes the forgotten places page by page"
    again = [
        {k: v for k, v in version.items() if k != "received_at"}
        | {"collection": collection, "id": item_id}
        for (collection, item_id), versions in shown.items.items()
        for version in versions
    ]
    told = await theirs.device.push(*again, reset_from=away)
    assert set(verdicts(told.json())) == {"replayed"}


async def test_an_edit_of_a_forgotten_item_brings_it_back_by_reset_from_null(
    clock: SetClock, mine: Follower, theirs: Follower
) -> None:
    (gone,) = await deleted(mine.device)
    await mine.come()
    await theirs.come()
    await pass_days(clock, 92, mine, theirs)
    edit = theirs.device.change(gone["id"], edited(gone, theirs.device), data=b"edit")
    assert verdicts((await theirs.device.push(edit)).json()) == ["clock_invalid"]
    told = await theirs.device.push(edit, reset_from=None)
    assert verdicts(told.json()) == ["applied"]


async def test_tags_of_commits_that_all_have_passed_are_forgotten(
    clock: SetClock, mine: Follower, theirs: Follower, tables: ReadTables
) -> None:
    for _ in range(20):
        await mine.device.push(mine.device.change())
    first = (await mine.device.pull(limit=3)).json()["cursor"]
    await mine.come()
    await theirs.come()
    assert len(tables().commits) == 20
    await pass_days(clock, 2, mine)
    assert len(tables().commits) == 20, "one device has not said that it was here"
    await pass_days(clock, 2, mine, theirs)
    after = tables()
    assert after.commits == ((after.seq, after.tag),)
    assert after.kept_from == after.seq
    assert await reason(mine.device, mine.cursor) is None
    assert await reason(mine.device, first) == "cursor_expired"
    assert len((await mine.device.pull_all(limit=3)).items) == 20


async def test_edits_that_cross_a_purge_are_applied_and_sums_hold(
    clock: SetClock, mine: Follower, tables: ReadTables
) -> None:
    gone = await deleted(mine.device, 150)
    await mine.come()
    clock.advance(days=1)
    await mine.come()
    clock.advance(days=91)
    (await mine.device.log_in()).raise_for_status()
    edits = [
        mine.device.change(each["id"], each["vector_clock"] | {mine.device.id: 3}, data=b"back")
        for each in gone[::10]
    ]
    house = housekeeping_of(mine.device)
    answers, purged = await asyncio.gather(
        asyncio.gather(*(mine.device.push(each) for each in edits)),
        house.tend(mine.device.user_id, {}),
    )
    assert [verdicts(each.json()) for each in answers] == [["applied"]] * len(edits)
    assert purged >= len(gone) - len(edits)
    assert set(tables().items) == {("entries", each["id"]) for each in edits}


async def test_what_is_not_there_any_more_ends_no_round(
    clock: SetClock, mine: Follower, stranger: Device, tables: ReadTables
) -> None:
    await deleted(mine.device)
    await mine.come()
    await pass_days(clock, 91, mine)
    house = housekeeping_of(mine.device)
    house.note_pull("00000000-0000-4000-8000-000000000000", "nobody", 1)
    clock.advance(days=1)
    await mine.come()
    assert not tables().items
    with pytest.raises(Missing):
        await house.tend("00000000-0000-4000-8000-000000000000", {})


async def test_a_day_of_polling_writes_a_mark_once(
    clock: SetClock, settings: Settings, mine: Follower
) -> None:
    await mine.device.push(mine.device.change())
    await mine.come()
    await mine.come()
    path = str(user_file(settings.data_dir, mine.device.user_id))

    def marks() -> list[Any]:
        connection = apsw.Connection(path)
        try:
            return list(connection.execute("SELECT pulled_seq FROM device_info"))
        finally:
            connection.close()

    assert marks() == [(1,)]
    await mine.device.push(mine.device.change())
    for _ in range(3):
        await mine.come()
    assert marks() == [(1,)]
    clock.advance(days=1)
    await housekeeping_of(mine.device).tend_due()
    await mine.come()
    assert marks() == [(2,)]
