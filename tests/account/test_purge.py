"""Accounts that nobody ever used go after thirty days; nobody who was told
"stored" loses a byte."""

import asyncio
from typing import Any

import pytest

from app.account import service
from app.config import Settings
from tests.conftest import NewDevice
from tests.kit.account import master_rows, traces_in, traces_of
from tests.kit.clock import SetClock
from tests.kit.device import Device
from tests.kit.identity import execute, said, served, user_file
from tests.kit.pair import paired


class Hall:
    """A server in this process whose hourly round a test calls for."""

    def __init__(self, settings: Settings, clock: SetClock) -> None:
        self.settings, self.clock = settings, clock

    async def round(self, *devices: Device) -> None:
        """A start does one round by itself; it is over when this returns."""
        async with served(self.settings, self.clock) as http:
            app: Any = http._transport.app  # type: ignore[attr-defined]
            await app.state.account.tidy()
            for device in devices:
                device.http = http

    async def registered(self, count: int) -> list[Device]:
        async with served(self.settings, self.clock) as http:
            devices = [Device(http, clock=self.clock) for _ in range(count)]
            for device in devices:
                (await device.register()).raise_for_status()
            return devices

    def accounts(self) -> int:
        return int(master_rows(self.settings.data_dir, "SELECT COUNT(*) FROM account")[0][0])


@pytest.fixture
def hall(settings: Settings, clock: SetClock) -> Hall:
    return Hall(settings, clock)


async def test_an_empty_account_goes_when_it_is_thirty_days_old_and_not_before(
    hall: Hall, clock: SetClock, settings: Settings
) -> None:
    (device,) = await hall.registered(1)
    clock.advance(days=29)
    await hall.round()
    assert hall.accounts() == 1
    clock.advance(days=3)
    await hall.round()
    assert hall.accounts() == 0
    assert traces_in(settings.data_dir, traces_of(device)) == set()
    async with served(settings, clock) as http:
        device.http = http
        assert said(await device.pull()) == (401, "not_authenticated")
        assert said(await device.log_in()) == (401, "login_failed")
        assert (await device.register()).status_code == 201


async def test_an_account_that_wrote_once_stays_and_is_never_looked_at_again(
    hall: Hall, clock: SetClock, settings: Settings
) -> None:
    (device,) = await hall.registered(1)
    async with served(settings, clock) as http:
        device.http = http
        await device.push(device.change())
    clock.advance(days=400)
    await hall.round()
    assert hall.accounts() == 1
    assert master_rows(settings.data_dir, "SELECT look_at FROM account") == [(None,)]
    async with served(settings, clock) as http:
        device.http = http
        assert (await device.log_in()).status_code == 200


async def test_an_empty_account_that_is_seen_stays_until_it_is_not(
    hall: Hall, clock: SetClock, settings: Settings
) -> None:
    (device,) = await hall.registered(1)
    for _ in range(3):
        clock.advance(days=29)
        async with served(settings, clock) as http:
            device.http = http
            assert (await device.log_in()).status_code == 200
        await hall.round()
        assert hall.accounts() == 1
    clock.advance(days=62)
    await hall.round()
    clock.advance(days=31)
    await hall.round()
    assert hall.accounts() == 0


async def test_a_registration_that_was_cut_off_goes_too(
    hall: Hall, clock: SetClock, settings: Settings
) -> None:
    (device,) = await hall.registered(1)
    execute(settings.data_dir / "master.db", "UPDATE account SET state = 'creating'")
    user_file(settings.data_dir, device.user_id).unlink()
    clock.advance(days=31)
    await hall.round()
    assert hall.accounts() == 0
    assert traces_in(settings.data_dir, traces_of(device)) == set()


async def test_an_account_whose_file_is_missing_is_not_taken_for_an_unused_one(
    hall: Hall, clock: SetClock, settings: Settings
) -> None:
    (device,) = await hall.registered(1)
    user_file(settings.data_dir, device.user_id).unlink()
    clock.advance(days=31)
    await hall.round()
    assert hall.accounts() == 1


async def test_a_push_that_crosses_the_purge_is_stored_or_refused(
    settings: Settings, clock: SetClock
) -> None:
    """Devices come back on the very day: whoever is told that it is stored finds it again."""
    async with served(settings, clock) as http:
        app: Any = http._transport.app  # type: ignore[attr-defined]
        devices = [Device(http, clock=clock) for _ in range(12)]
        for device in devices:
            (await device.register()).raise_for_status()
        clock.advance(days=31)

        async def come_back(device: Device) -> bool:
            if not (await device.log_in()).is_success:
                return False
            return (await device.push(device.change())).is_success

        tasks = [asyncio.create_task(come_back(device)) for device in devices]
        await app.state.account.tidy()
        stored = await asyncio.gather(*tasks)
        for device, is_stored in zip(devices, stored, strict=True):
            if is_stored:
                assert len((await device.pull_all()).items) == 1


async def test_cut_off_between_the_two_databases_the_devices_get_in_again(
    settings: Settings, clock: SetClock
) -> None:
    async with served(settings, clock) as http:
        device = Device(http, clock=clock)
        (await device.register()).raise_for_status()
        second = await paired(device, Device(http, clock=clock))
    # What the first of the two transactions leaves.
    file = user_file(settings.data_dir, device.user_id)
    execute(file, "UPDATE token_family SET status = 'ended'")
    execute(file, "UPDATE device_info SET generation = generation + 1")
    async with served(settings, clock) as http:
        device.http = second.http = http
        assert said(await device.pull()) == (401, "not_authenticated")
        for each in (device, second):
            assert (await each.log_in()).status_code == 200
            assert said(await each.push(each.change())) == (200, None)


async def test_many_due_accounts_are_looked_at_a_few_at_a_time(
    new_device: NewDevice, clock: SetClock, hall: Hall, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "MOST_LOOKED_AT", 5)
    for _ in range(8):
        (await new_device().register()).raise_for_status()
    clock.advance(days=31)
    app: Any = new_device().http._transport.app  # type: ignore[attr-defined]
    await app.state.account.tidy()
    assert hall.accounts() == 3
    await app.state.account.tidy()
    assert hall.accounts() == 0
