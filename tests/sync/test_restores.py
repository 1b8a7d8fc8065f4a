"""A server that was put back to an older copy of an account: it says so, and nothing that a device
still holds is lost."""

from typing import Any

import pytest

from app.config import Settings
from tests.kit.clock import SetClock
from tests.kit.device import Device
from tests.kit.sync import Key, edited, tables_of, verdicts
from tests.kit.world import World


class Lost(World):
    """The server was put back to a copy with two items. Since that copy was made, `mine` had pushed
    an edit of the first and a new item, `theirs` a new item, and both had pulled everything."""

    kept: list[dict[str, Any]]
    lost: list[dict[str, Any]]
    early: str
    cursor: str
    held: dict[Key, list[dict[str, Any]]]

    async def happen(self) -> None:
        async with self.served():
            self.kept = [self.mine.change(data=b"kept") for _ in range(2)]
            await self.mine.push(*self.kept)
            self.early = (await self.mine.pull_all()).cursor
        self.save()
        async with self.served():
            edit = self.mine.change(
                self.kept[0]["id"], edited(self.kept[0], self.mine), data=b"edit"
            )
            by_me = self.mine.change(data=b"mine")
            by_them = self.theirs.change(data=b"theirs", collection="tags")
            await self.mine.push(edit, by_me)
            await self.theirs.push(by_them)
            self.lost = [edit, by_me, by_them]
            pulled = await self.mine.pull_all()
            self.cursor, self.held = pulled.cursor, pulled.items
        self.put_back()

    def everything(self) -> list[dict[str, Any]]:
        """What `mine` holds, as changes of a reset."""
        return [
            {"collection": collection, "id": item_id}
            | {name: value for name, value in version.items() if name != "received_at"}
            for (collection, item_id), versions in self.held.items()
            for version in versions
        ]


@pytest.fixture
async def world(settings: Settings, clock: SetClock) -> Lost:
    made = Lost(settings, clock)
    await made.happen()
    return made


async def reason(device: Device, cursor: str, **params: Any) -> str | None:
    """Why this cursor cannot be continued, or None if it can."""
    answer = await device.pull(cursor, **params)
    if answer.is_success:
        return None
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (409, "reset_required")
    return str(problem["reason"])


async def test_a_server_that_lost_rows_says_that_the_cursor_is_ahead(world: Lost) -> None:
    async with world.served():
        assert await reason(world.mine, world.cursor) == "cursor_ahead"
        assert await reason(world.theirs, world.cursor, limit=1) == "cursor_ahead"
        assert await reason(world.mine, world.cursor, collections="tags") == "cursor_ahead"


async def test_who_waits_on_a_lost_place_is_told_at_once(world: Lost) -> None:
    async with world.served():
        assert await reason(world.mine, world.cursor, wait=25) == "cursor_ahead"


@pytest.mark.parametrize("pushes", [1, 2, 3, 4, 5])
async def test_a_lost_place_stays_lost_when_new_writes_reach_and_pass_it(
    world: Lost, pushes: int
) -> None:
    """The sequence is at 2 after the restore; the lost cursor names 5."""
    async with world.served():
        for _ in range(pushes):
            await world.theirs.push(world.theirs.change())
        expected = "cursor_ahead" if 2 + pushes < 5 else "epoch_changed"
        assert await reason(world.mine, world.cursor) == expected


async def test_one_large_push_over_a_lost_place_does_not_hide_it(world: Lost) -> None:
    async with world.served():
        await world.theirs.push(*(world.theirs.change() for _ in range(20)))
        assert await reason(world.mine, world.cursor) == "epoch_changed"


async def test_a_place_before_the_copy_was_made_goes_on(world: Lost) -> None:
    async with world.served():
        assert await reason(world.mine, world.early) is None
        new = world.theirs.change()
        await world.theirs.push(new)
        page = (await world.mine.pull(world.early)).json()
        assert [each["id"] for each in page["changes"]] == [new["id"]]


async def test_a_place_inside_a_push_that_was_lost_is_lost(
    settings: Settings, clock: SetClock
) -> None:
    world = World(settings, clock)
    async with world.served():
        await world.mine.push(*(world.mine.change() for _ in range(2)))
    world.save()
    async with world.served():
        await world.mine.push(*(world.mine.change() for _ in range(6)))
        cursor = (await world.mine.pull(limit=4)).json()["cursor"]
        assert await reason(world.mine, cursor) is None
    world.put_back()
    async with world.served():
        assert await reason(world.mine, cursor) == "cursor_ahead"
        await world.mine.push(*(world.mine.change() for _ in range(6)))
        assert await reason(world.mine, cursor) == "epoch_changed"


async def test_another_epoch_is_another_database(world: Lost) -> None:
    world.change_epoch()
    async with world.served():
        assert await reason(world.mine, world.early) == "epoch_changed"
        assert await reason(world.mine, world.cursor) == "epoch_changed"


async def test_the_answer_to_a_push_tells_later_whether_that_push_was_lost(
    settings: Settings, clock: SetClock
) -> None:
    """A device whose last act was a push has pulled from before it only; the place that the push
    answered is its way to notice."""
    world = World(settings, clock)
    async with world.served():
        pulled = (await world.mine.pull_all()).cursor
    world.save()
    async with world.served():
        pushed = (await world.mine.push(world.mine.change())).json()["cursor"]
    world.put_back()
    async with world.served():
        assert await reason(world.mine, pulled) is None
        assert await reason(world.mine, pushed) == "cursor_ahead"


@pytest.mark.parametrize("is_overtaken", [False, True])
async def test_a_reset_brings_back_what_a_device_still_holds(
    world: Lost, is_overtaken: bool
) -> None:
    async with world.served():
        fresh = [world.theirs.change() for _ in range(5 if is_overtaken else 0)]
        if fresh:
            await world.theirs.push(*fresh)
        there = (await world.mine.pull_all()).items
        assert len(there) == len(world.kept) + len(fresh)
        answer = await world.mine.push(*world.everything(), reset_from=world.cursor)
        assert set(verdicts(answer.json())) == {"applied", "replayed"}
        items = (await world.mine.pull_all()).items
        assert items == (await world.theirs.pull_all()).items
        contents = {key: versions[0]["encrypted_data"] for key, versions in items.items()}
        expected = {(c["collection"], c["id"]): c["encrypted_data"] for c in world.kept}
        expected |= {(c["collection"], c["id"]): c["encrypted_data"] for c in [*world.lost, *fresh]}
        assert contents == expected
        authors = {key: versions[0]["device_id"] for key, versions in items.items()}
        assert authors["tags", world.lost[2]["id"]] == world.theirs.id
    tables_of(world.settings.data_dir, world.mine.user_id).check()


async def test_a_reset_can_be_sent_again(world: Lost) -> None:
    async with world.served():
        await world.mine.push(*world.everything(), reset_from=world.cursor)
        before = tables_of(world.settings.data_dir, world.mine.user_id)
        again = await world.mine.push(*world.everything(), reset_from=world.cursor)
        assert set(verdicts(again.json())) == {"replayed"}
        assert tables_of(world.settings.data_dir, world.mine.user_id) == before
        assert await reason(world.mine, world.cursor) == "epoch_changed"


async def test_both_devices_may_reset_at_different_times(world: Lost) -> None:
    """Their resets hold the same versions; the second finds them there."""
    async with world.served():
        await world.mine.push(*world.everything(), reset_from=world.cursor)
        edit = world.mine.change(
            world.lost[1]["id"], edited(world.lost[1], world.mine), data=b"went on"
        )
        await world.mine.push(edit)
        answer = await world.theirs.push(*world.everything(), reset_from=world.cursor)
        told = dict(
            zip((c["id"] for c in world.everything()), answer.json()["results"], strict=True)
        )
        assert told.pop(world.lost[1]["id"])["verdict"] == "stale"
        assert {each["verdict"] for each in told.values()} == {"replayed"}


async def test_an_edit_on_top_of_a_lost_version_needs_the_reset(world: Lost) -> None:
    async with world.served():
        lost = world.lost[2]
        edit = world.mine.change(
            lost["id"], edited(lost, world.mine), collection="tags", data=b"on top"
        )
        assert verdicts((await world.mine.push(edit)).json()) == ["clock_invalid"]
        answer = await world.mine.push(edit, reset_from=world.cursor)
        assert verdicts(answer.json()) == ["applied"]


async def test_a_reset_does_not_bring_back_what_was_edited_since(world: Lost) -> None:
    async with world.served():
        newer = world.theirs.change(
            world.kept[1]["id"], edited(world.kept[1], world.theirs), data=b"newer"
        )
        await world.theirs.push(newer)
        answer = await world.mine.push(world.kept[1], reset_from=world.cursor)
        assert verdicts(answer.json()) == ["stale"]


async def test_a_reset_is_an_account_matter_and_asks_for_the_own_cursor(world: Lost) -> None:
    async with world.served():
        stranger = Device(world.mine.http, clock=world.clock)
        (await stranger.register()).raise_for_status()
        answer = await stranger.push(stranger.change(), reset_from=world.cursor)
        assert answer.json()["code"] == "cursor_invalid"
        refused = await world.mine.push(world.mine.change(), reset_from=world.early)
        assert refused.json()["code"] == "reset_not_needed"
