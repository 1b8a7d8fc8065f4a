"""What a faulty client sends: a clear code for each, nothing stored, never a fault of ours."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from tests.kit.device import Device
from tests.kit.server import ServerProcess
from tests.kit.sync import Tables

ReadTables = Callable[[], Tables]
Change = Callable[[Device], dict[str, Any]]


@dataclass(frozen=True)
class Refusal:
    """A body, and the status and code that it gets; a verdict's code where the push as a whole is
    in order."""

    name: str
    body: Callable[[Device], Any]
    status: int
    code: str


def push_of(**fields: Any) -> Callable[[Device], Any]:
    return lambda device: {"changes": [device.change() | fields]}


def clock_of(entries: Callable[[Device], dict[str, Any]]) -> Callable[[Device], Any]:
    return lambda device: {"changes": [device.change(clock=entries(device))]}


def strangers(count: int) -> dict[str, int]:
    return {f"00000000-0000-4000-8000-{at:012x}": 1 for at in range(count)}


REFUSALS = [
    Refusal("no changes", lambda _: {"changes": []}, 422, "invalid"),
    Refusal("changes are missing", lambda _: {}, 422, "invalid"),
    Refusal(
        "a clock of 65 devices", clock_of(lambda d: {d.id: 1} | strangers(64)), 200, "clock_invalid"
    ),
    Refusal("a counter of 2^53", clock_of(lambda d: {d.id: 2**53}), 200, "clock_invalid"),
    Refusal("a counter past 64 bits", clock_of(lambda d: {d.id: 2**70}), 200, "clock_invalid"),
    Refusal("a counter of 0", clock_of(lambda d: {d.id: 0}), 200, "clock_invalid"),
    Refusal("a counter below 0", clock_of(lambda d: {d.id: -1}), 200, "clock_invalid"),
    Refusal("half a counter", clock_of(lambda d: {d.id: 1.5}), 422, "invalid"),
    Refusal("a counter as text", clock_of(lambda d: {d.id: "1"}), 422, "invalid"),
    Refusal("a clock without its author", clock_of(lambda _: strangers(1)), 200, "unknown_device"),
    Refusal("an empty clock", push_of(vector_clock={}), 200, "clock_invalid"),
    Refusal(
        "an id in upper case", push_of(id="0B9C6A52-3F5E-4C0E-9D53-7F0A3A6F1C11"), 422, "invalid"
    ),
    Refusal(
        "an id without hyphens", push_of(id="0b9c6a523f5e4c0e9d537f0a3a6f1c11"), 422, "invalid"
    ),
    Refusal(
        "an id of another version",
        push_of(id="0b9c6a52-3f5e-1c0e-9d53-7f0a3a6f1c11"),
        422,
        "invalid",
    ),
    Refusal("an id of another kind", push_of(id=7), 422, "invalid"),
    Refusal("a collection that is none", push_of(collection="notes"), 422, "invalid"),
    Refusal("no content", push_of(encrypted_data=""), 200, "too_large"),
    Refusal("content that is not base64", push_of(encrypted_data="%%%%"), 422, "invalid"),
    Refusal("an epoch of 0", push_of(key_epoch=0), 422, "invalid"),
    Refusal("an epoch to come", push_of(key_epoch=2), 200, "unknown_key_epoch"),
    Refusal("deleted as a number", push_of(is_deleted=1), 422, "invalid"),
    Refusal("a field that nobody knows", push_of(text="plain"), 422, "invalid"),
    Refusal(
        "another author",
        push_of(device_id="0b9c6a52-3f5e-4c0e-9d53-7f0a3a6f1c11"),
        422,
        "foreign_author",
    ),
    Refusal("a list", lambda _: [], 422, "invalid"),
]


@pytest.mark.parametrize("case", REFUSALS, ids=lambda case: case.name)
async def test_a_faulty_push_is_refused_by_its_code(
    device: Device, tables: ReadTables, case: Refusal
) -> None:
    before = tables()
    answer = await device.call("POST", "/sync/push", case.body(device))
    told = answer.json()
    code = told["results"][0]["code"] if answer.is_success else told["code"]
    assert (answer.status_code, code) == (case.status, case.code)
    assert tables() == before


async def test_cursors_that_go_nowhere_are_refused(
    device: Device, stranger: Device, tables: ReadTables
) -> None:
    await device.push(device.change())
    await stranger.push(stranger.change())
    own = (await device.pull()).json()["cursor"]
    before = tables()
    foreign = (await stranger.pull()).json()["cursor"]
    made_up = own[:10] + ("A" if own[10] != "A" else "B") + own[11:]
    for cursor in (foreign, made_up, own + "A", own[:-1], own.lower(), "0", "9" * 40):
        for params in ({}, {"collections": "tags"}, {"collections": "tags", "bucket": 0}):
            answer = await device.pull(cursor, **params)
            assert (answer.status_code, answer.json()["code"]) == (422, "cursor_invalid")
        pushed = await device.push(device.change(), reset_from=cursor)
        assert (pushed.status_code, pushed.json()["code"]) == (422, "cursor_invalid")
    assert tables() == before


async def test_every_beginning_of_a_body_is_malformed(device: Device, tables: ReadTables) -> None:
    body = json.dumps({"changes": [device.change(data=b"text")]}).encode()
    before = tables()
    headers = {
        "Authorization": f"Bearer {device.session['access_token']}",
        "Content-Type": "application/json",
    }
    for length in range(0, len(body), 7):
        answer = await device.http.post("/sync/push", content=body[:length], headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (400, "malformed")
    assert tables() == before


async def test_a_body_that_is_cut_off_on_its_way_stores_nothing(server: ServerProcess) -> None:
    async with httpx.AsyncClient(base_url=server.url) as http:
        device = Device(http, origin=server.url)
        (await device.register()).raise_for_status()
        body = json.dumps({"changes": [device.change(data=b"text")]}).encode()
        head = (
            f"POST /sync/push HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            f"Authorization: Bearer {device.session['access_token']}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        ).encode()
        for sent in (0, 1, len(body) // 2, len(body) - 1):
            _, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(head + body[:sent])
            await writer.drain()
            writer.close()
            await writer.wait_closed()
        assert (await device.pull_all()).items == {}
        assert (await device.push(device.change())).is_success
