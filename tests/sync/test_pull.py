"""Pulls: pages that miss nothing, cursors that name one place only."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.kit.clock import SetClock
from tests.kit.device import Device
from tests.kit.sync import Key, Tables, account_of, edited, new_id, verdicts

ReadTables = Callable[[], Tables]
MIB = 1 << 20


def keys_of(page: httpx.Response) -> list[Key]:
    changes = page.raise_for_status().json()["changes"]
    return [(change["collection"], change["id"]) for change in changes]


def sent_keys(changes: list[dict[str, Any]]) -> list[Key]:
    return [(change["collection"], change["id"]) for change in changes]


async def pages(
    device: Device, cursor: str | None = None, **params: Any
) -> list[list[dict[str, Any]]]:
    """The changes of each page from the cursor to the end; no page before the last is empty."""
    found = []
    while True:
        page = (await device.pull(cursor, **params)).raise_for_status().json()
        found.append(page["changes"])
        if not page["has_more"]:
            return found
        assert page["changes"]
        assert page["cursor"] != cursor
        cursor = page["cursor"]


# --- order and completeness ---------------------------------------------------------------------


async def test_items_come_in_the_order_of_their_last_change(device: Device) -> None:
    first, second, third = (device.change() for _ in range(3))
    await device.push(first, second, third)
    await device.push(device.change(first["id"], edited(first, device)))
    assert keys_of(await device.pull()) == sent_keys([second, third, first])


async def test_3000_items_changed_within_one_second_all_reach_a_second_device(
    device: Device, other: Device
) -> None:
    """The clock stands still: nothing may hang on times being different."""
    changes = [device.change(data=b"x") for _ in range(3000)]
    for at in range(0, 3000, 500):
        assert (await device.push(*changes[at : at + 500])).is_success
    found = await pages(other, limit=100)
    assert [len(page) for page in found] == [100] * 30
    assert sent_keys([change for page in found for change in page]) == sent_keys(changes)


async def test_an_edit_made_offline_last_week_reaches_a_device_that_synced_since(
    device: Device, other: Device, clock: SetClock
) -> None:
    offline = other.change(data=b"written last week")
    cursor: str | None = None
    for _ in range(7):
        clock.advance(days=1)
        await device.log_in()
        await device.push(device.change())
        cursor = (await device.pull_all(cursor)).cursor
    await other.log_in()
    await other.push(offline)
    assert keys_of(await device.pull(cursor)) == sent_keys([offline])


@pytest.mark.parametrize("limit", [1, 2, 3, 7])
async def test_a_page_may_end_inside_a_push(device: Device, other: Device, limit: int) -> None:
    changes = [device.change() for _ in range(7)]
    await device.push(*changes)
    found = await pages(other, limit=limit)
    assert [len(page) for page in found[:-1]] == [limit] * (len(found) - 1)
    assert sent_keys([change for page in found for change in page]) == sent_keys(changes)


async def test_what_arrives_between_pages_is_not_missed(device: Device, other: Device) -> None:
    """New items come, delivered ones change, waiting ones change: each page in between."""
    changes = [device.change() for _ in range(10)]
    await device.push(*changes)
    expected = {change["id"]: change["vector_clock"] for change in changes}
    seen: dict[str, dict[str, int]] = {}
    cursor: str | None = None
    rounds, has_more = 0, True
    while has_more:
        page = (await other.pull(cursor, limit=2)).json()
        for change in page["changes"]:
            (version,) = change["versions"]
            seen[change["id"]] = version["vector_clock"]
        cursor, has_more = page["cursor"], page["has_more"]
        if rounds < 4:
            fresh = device.change()
            delivered, waiting = page["changes"][0]["id"], changes[-1 - rounds]["id"]
            edits = [
                device.change(item, {device.id: expected[item][device.id] + 1})
                for item in {delivered, waiting}
            ]
            answer = (await device.push(fresh, *edits)).json()
            assert set(verdicts(answer)) == {"applied"}
            expected |= {each["id"]: each["vector_clock"] for each in (fresh, *edits)}
        rounds += 1
    assert seen == expected


async def test_an_item_that_changes_while_pages_go_by_is_not_seen_half(
    device: Device, other: Device
) -> None:
    """All siblings of an item are on the same page, whatever the limit."""
    items = [device.change() for _ in range(3)]
    await device.push(*items)
    await other.push(*(other.change(each["id"], {other.id: 1}) for each in items))
    for limit in (1, 2, 3):
        for page in await pages(device, limit=limit):
            assert len(page) <= limit
            assert [len(change["versions"]) for change in page] == [2] * len(page)


async def test_an_empty_account_has_a_cursor_too(device: Device) -> None:
    page = (await device.pull()).raise_for_status().json()
    assert set(page) == {"changes", "cursor", "has_more", "server_time"}
    assert (page["changes"], page["has_more"]) == ([], False)
    assert isinstance(page["cursor"], str)
    assert page["cursor"]
    again = (await device.pull(page["cursor"])).raise_for_status().json()
    assert (again["changes"], again["has_more"]) == ([], False)
    change = device.change()
    await device.push(change)
    assert keys_of(await device.pull(again["cursor"])) == sent_keys([change])


async def test_pulling_again_from_a_cursor_brings_the_same_page(device: Device) -> None:
    """The answer may have been lost; a pull changes nothing."""
    await device.push(*(device.change() for _ in range(5)))
    cursor = (await device.pull(limit=2)).json()["cursor"]
    one, two = await device.pull(cursor, limit=2), await device.pull(cursor, limit=2)
    assert one.json() == two.json()


@pytest.mark.parametrize("count", [1, 2, 3, 4])
async def test_has_more_is_exact(device: Device, count: int) -> None:
    await device.push(*(device.change() for _ in range(count)))
    page = (await device.pull(limit=2)).json()
    assert page["has_more"] is (count > 2)
    if page["has_more"]:
        rest = (await device.pull(page["cursor"], limit=2)).json()
        assert (len(rest["changes"]), rest["has_more"]) == (count - 2, False)


async def test_a_device_gets_its_own_changes_too(device: Device, other: Device) -> None:
    """A restored or reinstalled device has no other way to them."""
    mine, theirs = device.change(), other.change()
    await device.push(mine)
    await other.push(theirs)
    assert keys_of(await device.pull()) == sent_keys([mine, theirs])


# --- page limits --------------------------------------------------------------------------------


async def test_a_page_holds_500_items_unless_told_otherwise(device: Device) -> None:
    changes = [device.change(data=b"x") for _ in range(501)]
    await device.push(*changes[:500])
    await device.push(changes[500])
    page = (await device.pull()).json()
    assert (len(page["changes"]), page["has_more"]) == (500, True)
    page = (await device.pull(limit=500)).json()
    assert (len(page["changes"]), page["has_more"]) == (500, True)


async def test_a_page_ends_at_4_mib_of_content(device: Device) -> None:
    changes = [device.change(data=bytes(MIB)) for _ in range(5)]
    assert (await device.push(*changes)).is_success
    assert [len(page) for page in await pages(device)] == [4, 1]


async def test_one_byte_over_4_mib_is_the_next_page(device: Device) -> None:
    small = device.change(data=b"x")
    await device.push(small, *(device.change(data=bytes(MIB)) for _ in range(4)))
    assert [len(page) for page in await pages(device)] == [4, 1]


async def test_an_item_larger_than_a_page_is_a_page(device: Device) -> None:
    """Eight siblings of 1 MiB, between two small items."""
    devices = await account_of(device, 8)
    item = new_id()
    before, after = device.change(), device.change()
    await device.push(before)
    for each in devices:
        assert (await each.push(each.change(item, {each.id: 1}, data=bytes(MIB)))).is_success
    await device.push(after)
    for limit in (1, 2, 3, 500):
        found = await pages(device, limit=limit)
        assert [[change["id"] for change in page] for page in found] == [
            [before["id"]],
            [item],
            [after["id"]],
        ], f"limit {limit}"
        assert len(found[1][0]["versions"]) == 8


async def test_siblings_count_towards_4_mib_wherever_the_limit_cuts(
    device: Device, other: Device
) -> None:
    """Three items of two times 1 MiB: never three on a page, though their number would fit."""
    items = [device.change(data=bytes(MIB)) for _ in range(3)]
    await device.push(*items)
    await other.push(*(other.change(each["id"], {other.id: 1}, data=bytes(MIB)) for each in items))
    for limit in (3, 4, 5, 6, 500):
        assert [len(page) for page in await pages(device, limit=limit)] == [2, 1], f"limit {limit}"


# --- filters ------------------------------------------------------------------------------------


async def test_a_filter_brings_its_collections_only(device: Device, other: Device) -> None:
    changes = {name: device.change(collection=name) for name in ("entries", "memories", "tags")}
    await device.push(*changes.values())
    for wanted in ("entries", "tags", "memories,tags", "tags,entries", "tags,memories,entries"):
        expected = [c for name, c in changes.items() if name in wanted.split(",")]
        page = await other.pull(collections=wanted)
        assert keys_of(page) == sent_keys(expected)
        assert page.json()["has_more"] is False


async def test_a_filtered_pull_to_the_end_misses_nothing_of_its_own(
    device: Device, other: Device
) -> None:
    """Other collections' changes lie between, before and after; each page is of 2."""
    names = ("entries", "memories", "tags")
    changes = [device.change(collection=names[at * at % 3]) for at in range(20)]
    await device.push(*changes)
    for name in names:
        expected = sent_keys([c for c in changes if c["collection"] == name])
        found = await pages(other, limit=2, collections=name)
        assert sent_keys([change for page in found for change in page]) == expected


async def test_has_more_is_exact_under_a_filter(device: Device) -> None:
    tags = [device.change(collection="tags") for _ in range(2)]
    await device.push(*tags, *(device.change() for _ in range(3)))
    page = (await device.pull(limit=2, collections="tags")).json()
    assert (len(page["changes"]), page["has_more"]) == (2, False)
    nothing = (await device.pull(limit=2, collections="memories")).json()
    assert (nothing["changes"], nothing["has_more"]) == ([], False)
    late = device.change(collection="memories")
    await device.push(late)
    assert keys_of(await device.pull(nothing["cursor"], collections="memories")) == sent_keys(
        [late]
    )


async def test_a_cursor_is_a_place_in_the_whole_sequence(device: Device) -> None:
    """A filtered pull has passed by what it did not want: a client keeps a cursor per filter."""
    entry, tag = device.change(), device.change(collection="tags")
    await device.push(entry, tag)
    cursor = (await device.pull(collections="entries")).json()["cursor"]
    assert keys_of(await device.pull(cursor, collections="tags")) == []
    assert keys_of(await device.pull(collections="tags")) == sent_keys([tag])


# --- cursors ------------------------------------------------------------------------------------


async def test_a_push_answers_the_place_after_it(device: Device, other: Device) -> None:
    cursor = (await device.push(device.change(), device.change())).json()["cursor"]
    assert keys_of(await device.pull(cursor)) == []
    later = other.change()
    await other.push(later)
    assert keys_of(await device.pull(cursor)) == sent_keys([later])


async def test_status_tells_the_place_of_now(device: Device) -> None:
    await device.push(device.change())
    cursor = (await device.call("GET", "/sync/status")).json()["cursor"]
    assert keys_of(await device.pull(cursor)) == []
    later = device.change()
    await device.push(later)
    assert keys_of(await device.pull(cursor)) == sent_keys([later])


async def assert_no_cursor(device: Device, cursor: str) -> None:
    answer = await device.call("GET", "/sync/pull", params={"cursor": cursor})
    assert (answer.status_code, answer.json()["code"]) == (422, "cursor_invalid")
    assert cursor not in answer.text or cursor in ("", "\n")


async def test_a_cursor_of_another_account_is_refused(device: Device, stranger: Device) -> None:
    for cursor in (
        (await stranger.pull()).json()["cursor"],
        (await stranger.push(stranger.change())).json()["cursor"],
        (await stranger.call("GET", "/sync/status")).json()["cursor"],
    ):
        await assert_no_cursor(device, cursor)


async def test_a_cursor_with_anything_changed_is_refused(device: Device) -> None:
    good = (await device.push(device.change())).json()["cursor"]
    bad = [good[:length] for length in range(1, len(good), 7)]
    bad += [good + "A", good + "=", " " + good, good + "\n", good * 2, good.lower(), "A" * 128]
    bad += [good[:at] + ("A" if good[at] != "A" else "B") + good[at + 1 :] for at in (0, 20, 54)]
    bad += [good[:-1] + chr(ord(good[-1]) ^ 1)]
    for cursor in bad:
        await assert_no_cursor(device, cursor)
    assert (await device.pull(good)).is_success


@settings(
    deadline=None,
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(cursor=st.text(min_size=1, max_size=140))
async def test_whatever_is_no_cursor_is_refused(device: Device, cursor: str) -> None:
    query = httpx.QueryParams({"cursor": cursor.encode("utf-8", "replace").decode()})
    answer = await device.call("GET", "/sync/pull", params=dict(query))
    assert (answer.status_code, answer.json()["code"]) == (422, "cursor_invalid")


async def test_bytes_that_are_no_text_are_no_cursor(device: Device) -> None:
    for raw in ("%FF%FE", "%00", "%ED%A0%80", "%"):
        answer = await device.call("GET", f"/sync/pull?cursor={raw}")
        assert (answer.status_code, answer.json()["code"]) == (422, "cursor_invalid")


# --- status -------------------------------------------------------------------------------------


async def test_status_adds_up(device: Device, other: Device, tables: ReadTables) -> None:
    entry, tag = device.change(data=b"12345"), device.change(collection="tags", data=b"678")
    await device.push(entry, tag)
    await other.push(other.change(entry["id"], {other.id: 1}, data=b"90"))
    dead = device.change(collection="memories", is_deleted=True, data=b"t")
    await device.push(dead)
    status = (await other.call("GET", "/sync/status")).raise_for_status().json()
    assert status["items"] == {"entries": 1, "memories": 0, "tags": 1}
    assert status["conflicts"] == 1
    assert status["devices"] == 2
    assert status["key_epoch"] == 1
    assert status["storage"] == {"used": 5 + 3 + 2 + 1, "limit": 1 << 30}
    assert status["entitlements"] == []
    assert tables().used_bytes == status["storage"]["used"]


async def test_status_publishes_the_limits_by_their_names(device: Device) -> None:
    limits = (await device.call("GET", "/sync/status")).json()["limits"]
    expected = {
        "max_push_changes": 500,
        "max_push_bytes": 8 * MIB,
        "max_item_bytes": MIB,
        "storage_limit_bytes": 1024 * MIB,
        "max_stored_versions": 1024 * 1024,
        "max_pull_limit": 500,
        "max_pull_bytes": 4 * MIB,
        "max_wait_seconds": 25,
        "max_versions": 8,
        "max_clock_entries": 64,
        "max_devices": 20,
        "max_device_name": 512,
    }
    assert expected.items() <= limits.items()


async def test_an_account_keeps_its_epoch(device: Device, other: Device) -> None:
    one = (await device.call("GET", "/sync/status")).json()["epoch"]
    await device.push(device.change())
    assert (await other.call("GET", "/sync/status")).json()["epoch"] == one
    assert one


async def test_two_accounts_have_two_epochs(device: Device, stranger: Device) -> None:
    one = (await device.call("GET", "/sync/status")).json()["epoch"]
    assert (await stranger.call("GET", "/sync/status")).json()["epoch"] != one
