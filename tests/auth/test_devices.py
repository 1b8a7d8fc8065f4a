"""The list of devices, and what is left of a device that was revoked."""

import asyncio
import copy
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.auth import store
from app.config import Settings
from app.database.port import Statement
from tests.conftest import NewDevice, Running, settings_for
from tests.kit.clock import SetClock
from tests.kit.device import Device
from tests.kit.identity import Pairing, execute, records, said, served, tables, user_file, vouched
from tests.kit.keys import new_key, rsa_key
from tests.kit.pair import paired
from tests.kit.server import ServerProcess

REFUSED = (401, "not_authenticated")
NOT_FOUND = (404, "not_found")
UNKNOWN_ID = "00000000-0000-4000-8000-000000000000"


async def revoke(asker: Device, target: str) -> tuple[int, str | None]:
    return said(await asker.call("DELETE", f"/auth/devices/{target}", proof=True))


async def see(device: Device) -> tuple[int, str | None]:
    return said(await device.call("GET", "/auth/devices"))


@pytest.fixture
async def second(device: Device, new_device: NewDevice) -> Device:
    """Another live device of the account."""
    return await paired(device, new_device())


async def assert_is_out(device: Device) -> None:
    """Nothing that the device holds opens anything."""
    assert await see(device) == REFUSED
    assert said(await device.call("GET", "/sync/pull")) == REFUSED
    assert said(await device.push(device.change())) == REFUSED
    assert said(await device.call("POST", "/auth/pairings", {}, proof=True)) == REFUSED
    assert said(await device.refresh()) == (401, "refresh_invalid")
    held = device.session
    assert said(await device.log_in()) == (401, "login_failed")
    assert said(await device.register()) == (403, "device_revoked")
    assert device.session == held


async def test_the_list_shows_each_device_as_the_protocol_says(
    new_device: NewDevice, clock: SetClock
) -> None:
    first = new_device(rsa_key())
    offer = vouched(first.key, new_key(), first.origin)
    (await first.register(device_name="sealed name", **offer)).raise_for_status()
    second = await paired(first, new_device())
    answer = await second.call("GET", "/auth/devices")
    listed = answer.json()["devices"]
    assert set(answer.json()) == {"devices", "security_events", "recovery"}
    midnight = int(clock()) - int(clock()) % 86400
    by_id = {each["device_id"]: each for each in listed}
    assert by_id[first.id] == {
        "device_id": first.id,
        "device_name": "sealed name",
        "device_type": "desktop",
        "platform": "linux",
        "public_key": first.key.pem,
        "key_thumbprint": first.key.thumbprint_text,
        "created_at": int(clock()),
        "last_seen_day": midnight,
        "status": "active",
        "current": False,
        **offer,
    }
    assert by_id[second.id]["current"] is True
    assert by_id[second.id]["device_name"] is None
    assert by_id[second.id]["wrapping_key"] == second.key.pem
    assert len(listed) == 2


async def test_a_device_is_remembered_by_day_only(
    device: Device, second: Device, clock: SetClock
) -> None:
    first_day = int(clock()) - int(clock()) % 86400
    clock.now = first_day + 3 * 86400 + 12345
    (await device.log_in()).raise_for_status()
    listed = (await device.call("GET", "/auth/devices")).json()["devices"]
    days = {each["device_id"]: each["last_seen_day"] for each in listed}
    assert days == {device.id: first_day + 3 * 86400, second.id: first_day}


async def test_a_revoked_device_stays_listed_as_revoked(device: Device, second: Device) -> None:
    assert await revoke(device, second.id) == (204, None)
    listed = (await device.call("GET", "/auth/devices")).json()["devices"]
    assert {each["device_id"]: each["status"] for each in listed} == {
        device.id: "active",
        second.id: "revoked",
    }


async def test_a_revoked_device_is_out_from_its_next_request_on(
    device: Device, second: Device
) -> None:
    other_session = copy.copy(second)
    (await second.log_in()).raise_for_status()
    assert await revoke(device, second.id) == (204, None)
    await assert_is_out(other_session)
    await assert_is_out(second)
    assert await see(device) == (200, None)


async def test_no_stale_copy_of_a_device_undoes_its_revocation(
    device: Device, second: Device, settings: Settings
) -> None:
    file = user_file(settings.data_dir, device.user_id)
    row = next(
        row
        for row in records(settings.data_dir / "master.db", "device")
        if row["device_id"] == second.id
    )
    stale = store.device_of(tuple(row[name] for name in list(row)[:12]))
    assert (stale.device_id, stale.status, stale.generation) == (second.id, "active", 1)
    assert await revoke(device, second.id) == (204, None)
    renamed = replace(stale, description=replace(stale.description, name="other"))
    for late in (stale, renamed):
        execute(file, *_sql(store.copy_device(late, 0)))
        copied = {each["device_id"]: each for each in records(file, "device_info")}[second.id]
        assert (copied["status"], copied["generation"]) == ("revoked", 2)
    assert await see(second) == REFUSED


def _sql(statement: Statement) -> tuple[Any, ...]:
    return (statement.sql, *statement.params)


async def test_revoking_again_is_no_error_and_changes_nothing(
    device: Device, second: Device, settings: Settings
) -> None:
    assert await revoke(device, second.id) == (204, None)
    files = settings.data_dir / "master.db", user_file(settings.data_dir, device.user_id)
    before = [tables(file) for file in files]
    assert await revoke(device, second.id) == (204, None)
    assert [tables(file) for file in files] == before


async def test_devices_that_are_not_ours_are_not_there(
    device: Device, second: Device, new_device: NewDevice
) -> None:
    stranger = new_device()
    (await stranger.register()).raise_for_status()
    answers = set()
    for target in (second.id, device.id, UNKNOWN_ID):
        answer = await stranger.call("DELETE", f"/auth/devices/{target}", proof=True)
        answers.add((answer.status_code, answer.content))
    assert len(answers) == 1
    for target in ("x", second.id.upper(), second.id[:-1], second.id + "0"):
        answer = await stranger.call("DELETE", f"/auth/devices/{target}", proof=True)
        answers.add((answer.status_code, answer.content))
    assert len(answers) == 1
    assert await see(second) == (200, None)


async def test_a_device_may_revoke_itself(device: Device, second: Device) -> None:
    assert await revoke(second, second.id) == (204, None)
    await assert_is_out(second)
    assert await revoke(second, second.id) == REFUSED


async def test_the_last_live_device_stays(device: Device, second: Device) -> None:
    assert await revoke(second, device.id) == (204, None)
    assert await revoke(second, second.id) == (409, "last_device")
    assert await see(second) == (200, None)


async def test_two_devices_that_revoke_each_other_leave_one(
    device: Device, new_device: NewDevice
) -> None:
    for _ in range(8):
        (await device.log_in()).raise_for_status()
        second = await paired(device, new_device())
        said_ = await asyncio.gather(revoke(device, second.id), revoke(second, device.id))
        assert sorted(code for code, _ in said_)[0] == 204
        assert sorted(code for code, _ in said_)[1] in (401, 409)
        alive = [each for each in (device, second) if await see(each) == (200, None)]
        assert len(alive) == 1
        device = alive[0]


async def test_of_three_devices_a_revoked_one_takes_nobody_with_it(
    device: Device, second: Device, new_device: NewDevice, settings: Settings
) -> None:
    third = await paired(device, new_device())
    # The moment between the two commits of a revocation: the master database has it already.
    master = settings.data_dir / "master.db"
    execute(master, "UPDATE device SET status = 'revoked' WHERE device_id = ?", second.id)
    assert await see(second) == (200, None)
    assert await revoke(second, third.id) == REFUSED
    assert await see(third) == (200, None)


async def test_the_pairings_of_a_revoked_device_end_with_it(
    device: Device, second: Device, new_device: NewDevice
) -> None:
    states = ("open", "joined", "revealed")
    pairings = [await (await Pairing.open(second, new_device())).until(each) for each in states]
    assert await revoke(device, second.id) == (204, None)
    for pairing, state in zip(pairings, states, strict=True):
        assert said(await pairing.see()) == REFUSED
        expected = NOT_FOUND if state == "open" else (410, "pairing_cancelled")
        assert said(await pairing.watch()) == expected
        assert said(await pairing.join()) == (410, "pairing_cancelled")


async def test_a_new_device_revoked_before_it_is_complete_stays_out(
    device: Device, new_device: NewDevice
) -> None:
    pairing = await (await Pairing.open(device, new_device())).until("approved")
    new_id = (await pairing.see()).json()["device_id"]
    assert await revoke(device, new_id) == (204, None)
    assert said(await pairing.collect()) == (410, "pairing_cancelled")
    assert said(await pairing.complete()) == (410, "pairing_cancelled")
    assert said(await pairing.new.register()) == (403, "device_revoked")


async def test_a_completed_device_revoked_gets_no_second_session(
    device: Device, new_device: NewDevice
) -> None:
    pairing = await (await Pairing.open(device, new_device())).until("completed")
    assert await revoke(device, pairing.new.id) == (204, None)
    assert said(await pairing.complete()) == (403, "device_revoked")
    await assert_is_out(pairing.new)


async def test_a_revocation_holds_over_yesterdays_copy_of_the_users_database(
    tmp_path: Path, clock: SetClock
) -> None:
    settings = settings_for(tmp_path)
    async with served(settings, clock) as http:
        device = Device(http, clock=clock)
        (await device.register()).raise_for_status()
        second = await paired(device, Device(http, clock=clock))
    file = user_file(settings.data_dir, device.user_id)
    yesterday = tmp_path / "yesterday.db"
    shutil.copy(file, yesterday)
    async with served(settings, clock) as http:
        device.http = second.http = http
        assert await see(device) == (200, None)
        third = await paired(device, Device(http, clock=clock))
        assert await revoke(device, second.id) == (204, None)
    shutil.copy(yesterday, file)
    async with served(settings, clock) as http:
        device.http = second.http = third.http = http
        await assert_is_out(second)
        assert await see(device) == (200, None)
        assert (await third.log_in()).status_code == 200  # paired since, and not locked out
        listed = (await third.call("GET", "/auth/devices")).json()["devices"]
        assert sorted(each["status"] for each in listed) == ["active", "active", "revoked"]


async def test_a_revocation_holds_while_the_users_database_is_closed(
    running: Running, tmp_path: Path, clock: SetClock
) -> None:
    http = await running(settings_for(tmp_path, max_open_databases=1))
    device = Device(http, clock=clock)
    (await device.register()).raise_for_status()
    second = await paired(device, Device(http, clock=clock))
    others = [Device(http, clock=clock) for _ in range(3)]
    for other in others:
        (await other.register()).raise_for_status()
    assert await revoke(device, second.id) == (204, None)
    for other in others:
        assert await see(other) == (200, None)
        await assert_is_out(second)
    assert await see(device) == (200, None)


async def test_a_revocation_that_reached_only_the_master_database_holds_after_opening(
    tmp_path: Path, clock: SetClock
) -> None:
    settings = settings_for(tmp_path)
    async with served(settings, clock) as http:
        device = Device(http, clock=clock)
        (await device.register()).raise_for_status()
        second = await paired(device, Device(http, clock=clock))
    # The disk as it is when the process is killed between the two commits.
    execute(
        settings.data_dir / "master.db",
        "UPDATE device SET status = 'revoked', generation = generation + 1 WHERE device_id = ?",
        second.id,
    )
    async with served(settings, clock) as http:
        device.http = second.http = http
        await assert_is_out(second)
        assert await see(device) == (200, None)


async def test_a_revocation_outlives_the_kill_of_the_process(server: ServerProcess) -> None:
    async with httpx.AsyncClient(base_url=server.url) as http:
        device = Device(http, origin=server.url)
        (await device.register()).raise_for_status()
        second = await paired(device, Device(http, origin=server.url))
        assert await revoke(device, second.id) == (204, None)
        await asyncio.to_thread(server.kill)
        await asyncio.to_thread(server.start)
        await assert_is_out(second)
        assert await see(device) == (200, None)
