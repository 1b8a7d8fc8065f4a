"""Pulls that wait for something new."""

import asyncio
import time
from typing import Any

import httpx

from tests.kit.device import Device


async def waiting(
    device: Device, cursor: str | None, **params: Any
) -> "asyncio.Task[httpx.Response]":
    """A pull that has reached the server and has not been answered after other calls were."""
    pull = asyncio.create_task(device.pull(cursor, **({"wait": 25} | params)))
    for _ in range(5):
        await device.call("GET", "/sync/status")
    assert not pull.done()
    return pull


async def end_of(device: Device) -> str:
    return (await device.pull_all()).cursor


async def soon(pull: "asyncio.Task[httpx.Response]") -> httpx.Response:
    """Its answer, long before its patience ends."""
    return await asyncio.wait_for(pull, 5)


async def test_another_devices_push_wakes_a_waiting_pull(device: Device, other: Device) -> None:
    pull = await waiting(device, await end_of(device))
    change = other.change()
    await other.push(change)
    page = (await soon(pull)).json()
    assert [each["id"] for each in page["changes"]] == [change["id"]]
    assert page["has_more"] is False


async def test_a_push_wakes_all_who_wait(device: Device, other: Device) -> None:
    cursor = await end_of(device)
    pulls = [await waiting(who, cursor) for who in (device, other, device)]
    await device.push(device.change())
    answers = [await soon(pull) for pull in pulls]
    assert [len(answer.json()["changes"]) for answer in answers] == [1, 1, 1]


async def test_a_pull_that_has_something_does_not_wait(device: Device, other: Device) -> None:
    await other.push(other.change())
    page = await asyncio.wait_for(device.pull(wait=25), 5)
    assert len(page.json()["changes"]) == 1


async def test_a_first_pull_of_an_empty_account_waits_too(device: Device, other: Device) -> None:
    pull = await waiting(device, None)
    await other.push(other.change())
    assert len((await soon(pull)).json()["changes"]) == 1


async def test_nothing_new_is_an_empty_page_after_the_time_asked_for(device: Device) -> None:
    cursor = await end_of(device)
    began = time.monotonic()
    page = (await device.pull(cursor, wait=1)).raise_for_status().json()
    assert time.monotonic() - began >= 0.99
    assert (page["changes"], page["has_more"]) == ([], False)


async def test_a_push_that_changes_nothing_wakes_nobody(device: Device, other: Device) -> None:
    change = other.change()
    await other.push(change)
    pull = await waiting(device, await end_of(device))
    await other.push(change)
    await other.push(other.change(clock={other.id: 0}))
    await device.call("GET", "/sync/status")
    assert not pull.done()
    await other.push(other.change())
    assert len((await soon(pull)).json()["changes"]) == 1


async def test_another_accounts_push_wakes_nobody(device: Device, stranger: Device) -> None:
    pull = await waiting(device, await end_of(device))
    await stranger.push(stranger.change())
    await device.call("GET", "/sync/status")
    assert not pull.done()
    await device.push(device.change())
    assert len((await soon(pull)).json()["changes"]) == 1


async def test_a_filtered_wait_ends_with_what_it_waits_for(device: Device, other: Device) -> None:
    """What the filter does not want may end the wait early, but it brings nothing and loses
    nothing."""
    cursor = await end_of(device)
    pull = await waiting(device, cursor, collections="tags")
    await other.push(other.change())
    tag = other.change(collection="tags")
    await other.push(tag)
    page = (await soon(pull)).json()
    if not page["changes"]:
        page = (await device.pull(page["cursor"], collections="tags")).json()
    assert [each["id"] for each in page["changes"]] == [tag["id"]]


async def test_a_device_revoked_while_it_waits_gets_401(device: Device, other: Device) -> None:
    pull = await waiting(other, await end_of(other))
    revoked = await device.call("DELETE", f"/auth/devices/{other.id}", proof=True)
    assert revoked.status_code == 204
    assert (await soon(pull)).status_code == 401


async def test_the_others_go_on_waiting_when_one_is_revoked(device: Device, other: Device) -> None:
    """They may be woken and find nothing; they are not turned away."""
    pull = await waiting(device, await end_of(device), wait=1)
    await device.call("DELETE", f"/auth/devices/{other.id}", proof=True)
    page = await soon(pull)
    assert (page.status_code, page.json()["changes"]) == (200, [])


async def test_a_bad_cursor_does_not_wait(device: Device) -> None:
    answer = await asyncio.wait_for(device.pull("nonsense", wait=25), 5)
    assert answer.json()["code"] == "cursor_invalid"


async def test_a_client_that_leaves_while_it_waits_holds_up_nobody(
    device: Device, other: Device
) -> None:
    pull = await waiting(device, await end_of(device))
    pull.cancel()
    change = other.change()
    assert (await other.push(change)).is_success
    assert len((await device.pull()).json()["changes"]) == 1
