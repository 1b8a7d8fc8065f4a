"""A mass of deletions in small steps."""

from collections.abc import Iterator
from typing import Any

from app.sync.recent_deletes import WINDOW_SECONDS, RecentDeletes
from tests.kit.clock import SetClock
from tests.kit.device import Device
from tests.kit.sync import edited, verdicts


def test_what_is_older_than_ten_minutes_no_longer_counts() -> None:
    recent = RecentDeletes()
    recent.note("a", 5, 1000, confirmed=False)
    recent.note("a", 7, 1300, confirmed=False)
    assert recent.count("a", 1000 + WINDOW_SECONDS - 1) == 12
    assert recent.count("a", 1000 + WINDOW_SECONDS) == 7
    assert recent.count("a", 1300 + WINDOW_SECONDS) == 0
    assert recent.count("b", 1000) == 0


def test_a_clock_that_was_set_back_makes_nothing_count_twice() -> None:
    recent = RecentDeletes()
    recent.note("a", 5, 1000, confirmed=False)
    assert recent.count("a", 900) == 0


def test_a_confirmation_ends_the_count() -> None:
    recent = RecentDeletes()
    recent.note("a", 90, 1000, confirmed=False)
    recent.note("a", 500, 1001, confirmed=True)
    assert recent.count("a", 1002) == 0


def test_devices_that_no_longer_count_are_forgotten() -> None:
    recent = RecentDeletes()
    for number in range(20_001):
        recent.note(f"device {number}", 1, number, confirmed=False)
    assert len(recent._by_device) <= 10_000


async def live_items(device: Device, count: int) -> list[dict[str, Any]]:
    changes = [device.change(data=b"x") for _ in range(count)]
    (await device.push(*changes)).raise_for_status()
    return changes


def tombstones(device: Device, changes: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for each in changes:
        yield device.change(each["id"], edited(each, device), is_deleted=True, data=b"t")


async def test_a_hundred_at_a_time_is_a_mass_all_the_same(device: Device) -> None:
    items = await live_items(device, 240)
    assert (await device.push(*tombstones(device, items[:100]))).is_success
    problem = (await device.push(*tombstones(device, items[100:160]))).json()
    assert (problem["code"], problem["deletes"], problem["live"]) == ("mass_delete", 60, 140)
    told = await device.push(*tombstones(device, items[100:160]), confirm_deletes=60)
    assert verdicts(told.json()) == ["applied"] * 60
    assert (await device.push(*tombstones(device, items[160:200]))).is_success


async def test_after_ten_minutes_the_count_begins_anew(device: Device, clock: SetClock) -> None:
    items = await live_items(device, 240)
    assert (await device.push(*tombstones(device, items[:100]))).is_success
    clock.advance(seconds=WINDOW_SECONDS)
    assert (await device.push(*tombstones(device, items[100:160]))).is_success


async def test_each_device_is_counted_by_itself_and_replays_are_not(
    device: Device, other: Device
) -> None:
    items = await live_items(device, 240)
    first = list(tombstones(device, items[:60]))
    for _ in range(3):
        assert (await device.push(*first)).is_success
    answer = await other.push(*tombstones(other, items[60:140]))
    assert answer.is_success
