"""The published limits: what is over them is refused whole, and told why."""

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from app.config import Settings
from app.http.bodies import LINGER_TIMES
from tests.conftest import settings_for
from tests.kit.clock import SetClock
from tests.kit.device import Device
from tests.kit.sync import Tables, edited, verdicts
from tests.kit.world import World

ReadTables = Callable[[], Tables]
KIB, MIB = 1 << 10, 1 << 20


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Small limits, so that they are soon reached."""
    return settings_for(
        tmp_path,
        max_push_changes=300,
        max_push_bytes=2 * MIB,
        max_item_bytes=512 * KIB,
        storage_limit_bytes=MIB,
    )


async def refused(device: Device, *changes: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """The problem that answers a push of which nothing may be stored."""
    answer = await device.push(*changes, **fields)
    assert answer.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json()
    assert problem["status"] == answer.status_code
    return problem


# --- size ---------------------------------------------------------------------------------------


async def test_a_push_holds_as_many_changes_as_published(
    device: Device, tables: ReadTables
) -> None:
    changes = [device.change(data=b"x") for _ in range(301)]
    problem = await refused(device, *changes)
    assert (problem["status"], problem["code"], problem["limit"]) == (413, "too_many_changes", 300)
    assert tables().versions == ()
    assert (await device.push(*changes[:300])).is_success


def body_of(device: Device, size: int) -> bytes:
    """A good push of exactly so many bytes: white space is as good as any."""
    body = orjson.dumps({"changes": [device.change()]})
    return body + b" " * (size - len(body))


async def post(device: Device, content: bytes | AsyncIterator[bytes]) -> httpx.Response:
    headers = {
        "Authorization": f"Bearer {device.session['access_token']}",
        "Content-Type": "application/json",
    }
    return await device.http.post("/sync/push", content=content, headers=headers)


async def chunked(body: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(body), 64 * KIB):
        yield body[at : at + 64 * KIB]


@pytest.mark.parametrize("is_chunked", [False, True], ids=["announced", "chunked"])
async def test_a_body_has_as_many_bytes_as_published(
    device: Device, tables: ReadTables, is_chunked: bool
) -> None:
    def sent(size: int) -> bytes | AsyncIterator[bytes]:
        body = body_of(device, size)
        return chunked(body) if is_chunked else body

    over = await post(device, sent(2 * MIB + 1))
    assert (over.status_code, over.json()["code"]) == (413, "body_too_large")
    assert over.json()["limit"] == 2 * MIB
    assert tables().versions == ()
    full = await post(device, sent(2 * MIB))
    assert verdicts(full.json()) == ["applied"]


async def test_a_body_that_never_ends_is_not_read_to_its_end(device: Device) -> None:
    read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        while True:
            read += 64 * KIB
            assert read < 8 * MIB, "the server goes on reading"
            yield b" " * 64 * KIB

    # The in-process transport hands the stream over piece by piece only to an application.
    transport: Any = device.http._transport
    stream = endless()
    statuses: list[int] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": await anext(stream), "more_body": True}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    token = f"Bearer {device.session['access_token']}".encode()
    await transport.app(
        {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "POST",
            "scheme": "http",
            "path": "/sync/push",
            "raw_path": b"/sync/push",
            "root_path": "",
            "query_string": b"",
            "headers": [(b"authorization", token), (b"content-type", b"application/json")],
            "server": ("localhost", 8000),
            "client": ("127.0.0.1", 5),
        },
        receive,
        send,
    )
    assert statuses == [413]
    assert read <= LINGER_TIMES * 2 * MIB + 64 * KIB


async def test_an_item_over_its_limit_is_rejected_and_the_rest_is_stored(
    device: Device, tables: ReadTables
) -> None:
    fits = device.change(data=bytes(512 * KIB))
    over = device.change(data=bytes(512 * KIB + 1))
    empty = device.change(data=b"")
    assert verdicts((await device.push(over, fits, empty)).json()) == [
        "too_large",
        "applied",
        "too_large",
    ]
    assert tables().used_bytes == 512 * KIB


async def test_a_tombstone_has_1_to_4096_bytes(device: Device, tables: ReadTables) -> None:
    sizes = (0, 1, 4096, 4097)
    changes = [device.change(is_deleted=True, data=bytes(size)) for size in sizes]
    answer = (await device.push(*changes)).json()
    assert verdicts(answer) == ["too_large", "applied", "applied", "too_large"]
    assert tables().used_bytes == 4097


# --- quota --------------------------------------------------------------------------------------


async def filled(device: Device) -> dict[str, Any]:
    """The storage is full to the last byte but ten; the larger of two items."""
    one, two = device.change(data=bytes(512 * KIB)), device.change(data=bytes(512 * KIB - 10))
    assert verdicts((await device.push(one, two)).json()) == ["applied"] * 2
    return one


async def test_storage_can_be_filled_to_its_limit_and_not_a_byte_further(
    device: Device, tables: ReadTables
) -> None:
    await filled(device)
    before = tables()
    problem = await refused(device, device.change(data=bytes(11)))
    assert (problem["status"], problem["code"]) == (413, "quota_exceeded")
    assert (problem["used"], problem["limit"]) == (MIB - 10, MIB)
    assert tables() == before
    assert verdicts((await device.push(device.change(data=bytes(10)))).json()) == ["applied"]
    assert tables().used_bytes == MIB


async def test_a_push_over_quota_is_refused_whole(device: Device, tables: ReadTables) -> None:
    await filled(device)
    before = tables()
    changes = [device.change(data=b"x") for _ in range(11)]
    assert (await refused(device, *changes))["code"] == "quota_exceeded"
    assert tables() == before


async def test_what_does_not_raise_used_is_always_taken(
    device: Device, other: Device, tables: ReadTables
) -> None:
    one = await filled(device)
    assert verdicts((await device.push(one)).json()) == ["replayed"]
    same = device.change(one["id"], edited(one, device), data=bytes(512 * KIB))
    assert verdicts((await device.push(same)).json()) == ["applied"]
    smaller = other.change(one["id"], edited(same, other), data=bytes(100))
    assert verdicts((await other.push(smaller)).json()) == ["applied"]
    assert tables().used_bytes == 512 * KIB - 10 + 100


async def test_a_full_account_can_delete_and_push_again(device: Device, tables: ReadTables) -> None:
    one = await filled(device)
    await device.push(device.change(data=bytes(10)))
    assert (await refused(device, device.change()))["code"] == "quota_exceeded"
    tombstone = device.change(one["id"], edited(one, device), is_deleted=True, data=bytes(100))
    assert verdicts((await device.push(tombstone)).json()) == ["applied"]
    assert verdicts((await device.push(device.change())).json()) == ["applied"]
    tables()


async def test_the_merge_that_ends_a_conflict_is_taken_at_the_limit(
    device: Device, other: Device, tables: ReadTables
) -> None:
    """A conflict raises what is used; the merge that ends it lowers it, and is taken."""
    item = device.change(data=bytes(300 * KIB))
    await device.push(item)
    theirs = other.change(item["id"], {other.id: 1}, data=bytes(300 * KIB))
    assert verdicts((await other.push(theirs)).json()) == ["conflict"]
    await device.push(device.change(data=bytes(424 * KIB)))
    assert tables().used_bytes == MIB
    assert (await refused(device, device.change(data=b"x")))["code"] == "quota_exceeded"
    clock = edited(item, device, theirs["vector_clock"])
    merge = device.change(item["id"], clock, data=bytes(512 * KIB))
    assert verdicts((await device.push(merge)).json()) == ["applied"]


async def test_an_account_over_a_lowered_limit_can_change_and_shrink_and_not_grow(
    tmp_path: Path, clock: SetClock
) -> None:
    world = World(settings_for(tmp_path, storage_limit_bytes=2 * MIB), clock)
    async with world.served():
        one = world.mine.change(data=bytes(MIB))
        two = world.mine.change(data=bytes(900 * KIB))
        assert verdicts((await world.mine.push(one, two)).json()) == ["applied", "applied"]
    world.settings = settings_for(tmp_path, storage_limit_bytes=MIB)
    async with world.served():
        device = world.mine
        problem = await refused(device, device.change(data=b"x"))
        assert problem["code"] == "quota_exceeded"
        assert (problem["used"], problem["limit"]) == (MIB + 900 * KIB, MIB)
        assert verdicts((await device.push(one, two)).json()) == ["replayed", "replayed"]
        same = device.change(one["id"], edited(one, device), data=bytes(MIB))
        assert verdicts((await device.push(same)).json()) == ["applied"]
        gone = device.change(two["id"], edited(two, device), is_deleted=True, data=b"t")
        assert verdicts((await device.push(gone)).json()) == ["applied"]


async def test_what_a_push_removes_pays_for_what_it_brings(
    device: Device, tables: ReadTables
) -> None:
    one = await filled(device)
    tombstone = device.change(one["id"], edited(one, device), is_deleted=True, data=b"t")
    changes = [device.change(data=bytes(512 * KIB)), tombstone]
    assert verdicts((await device.push(*changes)).json()) == ["applied", "applied"]
    tables()


async def test_quota_is_told_before_atomic_success_and_after_atomic_failure(
    device: Device, tables: ReadTables
) -> None:
    await filled(device)
    before = tables()
    over, bad = device.change(data=bytes(100)), device.change(key_epoch=2)
    assert (await refused(device, over, atomic=True))["code"] == "quota_exceeded"
    assert (await refused(device, over, bad, atomic=True))["code"] == "atomic_aborted"
    assert tables() == before


# --- mass delete --------------------------------------------------------------------------------


async def live_items(device: Device, count: int) -> list[dict[str, Any]]:
    changes = [device.change(data=b"x") for _ in range(count)]
    assert (await device.push(*changes)).is_success
    return changes


def tombstones(device: Device, changes: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for each in changes:
        clock = edited(each, device)
        yield device.change(each["id"], clock, is_deleted=True, data=b"t")


async def test_deleting_most_of_the_account_needs_the_exact_number(
    device: Device, tables: ReadTables
) -> None:
    items = await live_items(device, 150)
    deletes = list(tombstones(device, items[:101]))
    before = tables()
    for stated in (None, 0, 1, 100, 102, 150):
        problem = await refused(device, *deletes, confirm_deletes=stated)
        assert (problem["status"], problem["code"]) == (409, "mass_delete")
        assert (problem["deletes"], problem["live"]) == (101, 150)
    assert tables() == before
    answer = await device.push(*deletes, confirm_deletes=101)
    assert verdicts(answer.json()) == ["applied"] * 101
    assert tables().live["entries"] == 49


async def test_the_retry_of_a_confirmed_mass_delete_counts_no_deletes(
    device: Device, tables: ReadTables
) -> None:
    items = await live_items(device, 120)
    deletes = list(tombstones(device, items))
    await device.push(*deletes, confirm_deletes=120)
    before = tables()
    for stated in (120, None):
        again = await device.push(*deletes, confirm_deletes=stated)
        assert verdicts(again.json()) == ["replayed"] * 120
    assert tables() == before


async def test_a_hundred_deletes_need_no_word(device: Device) -> None:
    items = await live_items(device, 100)
    assert (await device.push(*tombstones(device, items))).is_success


async def test_half_of_the_account_needs_no_word_and_one_more_does(device: Device) -> None:
    items = await live_items(device, 204)
    assert (await refused(device, *tombstones(device, items[:103])))["code"] == "mass_delete"
    assert (await device.push(*tombstones(device, items[:102]))).is_success


async def test_live_items_of_all_collections_count(device: Device) -> None:
    entries = await live_items(device, 101)
    tags = [device.change(collection="tags", data=b"x") for _ in range(101)]
    await device.push(*tags)
    assert (await device.push(*tombstones(device, entries))).is_success


async def test_deletes_that_delete_nothing_live_do_not_count(
    device: Device, other: Device, tables: ReadTables
) -> None:
    """Of 102: one is stale, one conflicts with an edit; 100 are left, and need no word."""
    items = await live_items(device, 102)
    deletes = list(tombstones(device, items))
    ahead = other.change(items[0]["id"], edited(items[0], other), data=b"edited")
    gone = other.change(items[1]["id"], edited(items[1], other), is_deleted=True, data=b"t")
    await other.push(ahead)
    await other.push(gone)
    deletes[1] = items[1]
    told = verdicts((await device.push(*deletes)).json())
    assert told == ["conflict", "stale"] + ["applied"] * 100
    assert tables().live["entries"] == 1


async def test_a_mass_delete_hidden_among_edits_is_seen(device: Device) -> None:
    items = await live_items(device, 150)
    mixed = [*tombstones(device, items[:110]), *(device.change() for _ in range(100))]
    problem = await refused(device, *mixed)
    assert (problem["code"], problem["deletes"], problem["live"]) == ("mass_delete", 110, 150)
