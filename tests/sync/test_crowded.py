"""A body of very many very small parts is refused before it costs anything."""

import json

import httpx
import pytest

from app.sync.models import MAX_FIELDS, MAX_SHOWN_CLOCK_ENTRIES, PARTS_PER_CHANGE
from tests.kit.device import Device


async def posted(device: Device, body: str) -> httpx.Response:
    headers = {
        "Content-Type": "application/json",
        "Authorization": f"Bearer {device.session['access_token']}",
    }
    return await device.http.post("/sync/push", content=body.encode(), headers=headers)


@pytest.mark.parametrize("part", ["{}", "[]", "0", "[[]]", '{"id":{}}'])
async def test_more_parts_than_any_push_has_are_too_many_changes(device: Device, part: str) -> None:
    body = '{"changes":[' + ",".join([part] * 2 * 500 * PARTS_PER_CHANGE) + "]}"
    answer = await posted(device, body)
    assert (answer.status_code, answer.json()["code"]) == (413, "too_many_changes")
    assert answer.json()["limit"] == 500


async def test_the_most_changes_with_the_longest_clocks_are_not_too_many_parts(
    device: Device,
) -> None:
    clock = {f"{number:08x}-0000-4000-8000-000000000000": 1 for number in range(65)}
    changes = [device.change(clock=clock, entry_id=None, device_id=None) for _ in range(500)]
    answer = await device.push(*changes)
    assert {each["code"] for each in answer.json()["results"]} == {"clock_invalid"}


async def test_only_the_first_change_that_does_not_fit_is_explained(device: Device) -> None:
    answer = await posted(device, json.dumps({"changes": [device.change(), {}, {}, {}]}))
    assert answer.status_code == 422
    assert {each["path"].split("/")[1] for each in answer.json()["errors"]} == {"1"}


async def test_a_fault_is_not_kept_of_each_of_a_thousand_fields(device: Device) -> None:
    crowd = {f"f{number}": 0 for number in range(1000)}
    for body, path in (({"changes": [crowd]}, "changes"), (crowd, "")):
        answer = await posted(device, json.dumps(body))
        assert answer.status_code == 422
        assert answer.json()["errors"] == [{"path": path, "reason": "has too many fields"}]
    assert len(device.change(entry_id=None, device_id=None)) <= MAX_FIELDS


async def test_a_clock_that_is_long_beyond_reason_is_no_clock(device: Device) -> None:
    clock = {f"no id {number}": 0 for number in range(MAX_SHOWN_CLOCK_ENTRIES + 1)}
    answer = await posted(device, json.dumps({"changes": [device.change(clock=clock)]}))
    assert answer.status_code == 422
    assert answer.json()["errors"] == [{"path": "changes", "reason": "has too many counters"}]
