"""JSON and MessagePack say the same: what is stored, what is answered, and what is pulled."""

import base64
import uuid
from typing import Any

import httpx
import msgpack
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.config import Settings
from app.http.bodies import JsonBody
from app.http.formats import JSON, MESSAGEPACK, Format
from app.sync import render
from app.sync.models import PushIn, changes_of, push_budget
from app.sync.plan import Result
from app.sync.render import Rendering
from app.sync.render_packed import PACKED
from app.sync.versions import COLLECTIONS, Change
from tests.conftest import NewDevice
from tests.kit.device import Device
from tests.kit.sync import account_of, edited, new_id, tables_of

M = "application/msgpack"


def in_bytes(value: Any) -> Any:
    """What JSON says, as MessagePack says it."""
    if isinstance(value, list):
        return [in_bytes(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        name: base64.b64decode(each) if name == "encrypted_data" else in_bytes(each)
        for name, each in value.items()
    }


async def pushed(device: Device, *changes: dict[str, Any], **fields: Any) -> httpx.Response:
    """A push in MessagePack, of changes as JSON has them."""
    body = in_bytes({"changes": list(changes)}) | fields
    headers = {
        "Content-Type": M,
        "Authorization": f"Bearer {device.session['access_token']}",
    }
    return await device.http.post("/sync/push", content=msgpack.packb(body), headers=headers)


async def test_a_push_in_either_format_stores_the_same_rows(
    new_device: NewDevice, settings: Settings
) -> None:
    first = await registered(new_device)
    tag = first.change(collection="tags", entry_id=new_id())
    deleted = first.change(is_deleted=True)
    changes = [first.change(data=bytes(range(256))), tag, deleted]
    answers = [await pushed(first, *changes), await first.push(*changes)]
    tables = tables_of(settings.data_dir, first.user_id)
    tables.check()
    assert [said_of(each) for each in answers] == [["applied"] * 3, ["replayed"] * 3]
    assert {key: rows[0].encrypted_data for key, rows in tables.items.items()} == {
        (each["collection"], each["id"]): base64.b64decode(each["encrypted_data"])
        for each in changes
    }


async def registered(new_device: NewDevice) -> Device:
    device = new_device()
    (await device.register()).raise_for_status()
    return device


def said_of(answer: httpx.Response) -> list[str]:
    body = unpacked(answer)
    return [each["verdict"] for each in body.get("results", ())]


def unpacked(answer: httpx.Response) -> Any:
    is_packed = answer.headers["content-type"] == M
    return msgpack.unpackb(answer.content) if is_packed else answer.json()


async def test_every_verdict_is_answered_alike(new_device: NewDevice) -> None:
    ana, ben = await account_of(await registered(new_device), 2)
    item = ana.change()
    for device, change in (
        (ana, item),
        (ana, item),  # replayed
        (ben, ben.change(item["id"])),  # conflict: two versions
        (ana, ana.change(item["id"], {ana.id: 1}, data=b"other")),  # clock_reuse
        (ben, ben.change(item["id"], edited(item, ben))),
        (ana, item),  # stale
        (ana, ana.change(clock={new_id(): 1})),  # unknown_device
        (ana, ana.change(collection="tags", entry_id=new_id())),
    ):
        packed = unpacked(await pushed(device, change))
        told = (await device.push(change)).json()  # a replay, or judged just so again
        assert packed.keys() == told.keys()
        one, other = packed["results"][0], in_bytes(told["results"][0])
        if one["verdict"] in ("applied", "conflict"):
            assert (one["collection"], one["id"]) == (other["collection"], other["id"])
            assert other["verdict"] == "replayed"
        else:
            assert one == other
    pages = [await ana.pull(), await ana.call("GET", "/sync/pull", headers={"Accept": M})]
    told, packed = (unpacked(each) for each in pages)
    assert packed == in_bytes(told)
    assert any(len(each["versions"]) > 1 for each in packed["changes"])
    assert pages[1].content.count(b"encrypted_data") == pages[0].text.count("encrypted_data")


async def test_a_conflict_shows_its_versions_as_bytes(new_device: NewDevice) -> None:
    ana, ben = await account_of(await registered(new_device), 2)
    item = ana.change(data=b"\x00\xff raw")
    await pushed(ana, item)
    (result,) = unpacked(await pushed(ben, ben.change(item["id"], data=b"mine")))["results"]
    assert result["verdict"] == "conflict"
    assert {each["encrypted_data"] for each in result["versions"]} == {b"\x00\xff raw", b"mine"}
    assert {each["device_id"] for each in result["versions"]} == {ana.id, ben.id}


async def test_an_atomic_push_that_fails_is_a_problem_in_json(new_device: NewDevice) -> None:
    """Its versions too: the rows are not rendered as the request was."""
    ana = await registered(new_device)
    item = ana.change(data=b"first")
    await pushed(ana, item)
    newer = ana.change(item["id"], {ana.id: 2}, data=b"second")
    await pushed(ana, newer)
    answer = await pushed(ana, item, atomic=True)
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["code"] == "atomic_aborted"
    (version,) = problem["results"][0]["versions"]
    assert base64.b64decode(version["encrypted_data"]) == b"second"


async def test_pages_are_cut_at_the_same_places(new_device: NewDevice) -> None:
    device = await registered(new_device)
    await pushed(device, *[device.change() for _ in range(23)])
    cursor, told = "", {"changes": [None]}
    for _ in range(6):
        told = (await device.pull(cursor, limit=5)).json()
        query = {"limit": 5} | ({"cursor": cursor} if cursor else {})
        answer = await device.call("GET", "/sync/pull", params=query, headers={"Accept": M})
        assert unpacked(answer) == in_bytes(told)
        cursor = told["cursor"]
    assert told["changes"] == []


# --- any value ----------------------------------------------------------------------------------

ids = st.uuids(version=4).map(str)
clocks = st.dictionaries(ids, st.integers(0, 2**64 - 1), max_size=5)
changes = st.fixed_dictionaries(
    {
        "collection": st.sampled_from(COLLECTIONS),
        "id": ids,
        "vector_clock": clocks,
        "key_epoch": st.integers(1, 2**32 - 1),
        "is_deleted": st.booleans(),
        "encrypted_data": st.binary(max_size=400),
    },
    optional={"device_id": st.none() | ids},
)
PUSH = JsonBody(PushIn, "max_push_bytes", budget=push_budget)
SETTINGS = Settings(_env_file=None)


def read(body: bytes, format_: Format, pusher: str) -> list[Change]:
    return changes_of(PUSH._validated(body, format_, SETTINGS), pusher, format_.bytes_of)


@given(st.lists(changes, min_size=1, max_size=5), ids)
def test_any_push_is_the_same_value_from_both_formats(
    sent: list[dict[str, Any]], pusher: str
) -> None:
    packed = msgpack.packb({"changes": sent})
    told_as_text = [
        each | {"encrypted_data": base64.b64encode(each["encrypted_data"]).decode()}
        for each in sent
    ]
    told = orjson.dumps({"changes": told_as_text})
    assert read(packed, MESSAGEPACK, pusher) == read(told, JSON, pusher)


rows = st.builds(
    lambda *parts: parts,
    st.integers(1, 4),
    st.sampled_from(COLLECTIONS),
    st.sampled_from([str(uuid.UUID(int=number, version=4)) for number in range(3)]),
    ids,
    st.dictionaries(ids, st.integers(1, 2**53 - 1), min_size=1, max_size=20).map(
        lambda clock: orjson.dumps(clock).decode()
    ),
    st.integers(1, 2**32 - 1),
    st.integers(0, 1),
    st.integers(0, 2**40),
    st.binary(min_size=1, max_size=400),
    st.none() | ids,
)


def versions_in(rendering: Rendering, found: list[tuple[Any, ...]]) -> list[Any]:
    return [rendering.sealed_version(*row) for row in found]


@given(st.lists(rows, max_size=20).map(lambda found: sorted(found, key=lambda row: row[:3])),
       st.booleans(), st.integers(0, 2**40))  # fmt: skip
def test_any_page_says_the_same_in_both_formats(
    found: list[tuple[Any, ...]], has_more: bool, now: int
) -> None:
    packed = PACKED.page(versions_in(PACKED, found), "cursor", has_more, now)
    told = render.JSON.page(versions_in(render.JSON, found), "cursor", has_more, now)
    assert msgpack.unpackb(packed) == in_bytes(orjson.loads(told))


verdicts = st.sampled_from(
    [("applied", None), ("replayed", None), ("stale", None), ("conflict", None),
     ("rejected", "clock_reuse"), ("rejected", "too_large")]
)  # fmt: skip


@given(st.lists(rows, max_size=9), st.lists(verdicts, max_size=9), st.integers(0, 2**40))
def test_any_answer_to_a_push_says_the_same_in_both_formats(
    found: list[tuple[Any, ...]], judged: list[Any], now: int
) -> None:
    named = [(row[1], row[2]) for row in found] + [("entries", new_id())] * len(judged)
    results = [
        Result(Change(*key, new_id(), {}, 1, False, b"", None), verdict, code)
        for key, (verdict, code) in zip(named, judged, strict=False)
    ]
    packed = PACKED.pushed(results, [versions_in(PACKED, found)], "cursor", now)
    told = render.JSON.pushed(results, [versions_in(render.JSON, found)], "cursor", now)
    assert msgpack.unpackb(packed) == in_bytes(orjson.loads(told))


@pytest.mark.parametrize("rendering", [render.JSON, PACKED])
def test_an_empty_page_is_whole(rendering: Rendering) -> None:
    page = rendering.page([], "c", False, 5)
    read_page = orjson.loads if rendering is render.JSON else msgpack.unpackb
    assert read_page(page) == {"changes": [], "cursor": "c", "has_more": False, "server_time": 5}
