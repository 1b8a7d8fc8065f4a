"""What the devices of an account are told of each other: each deed once, whatever happens."""

from pathlib import Path

from app.auth.security_events import KEPT_EVENTS, KEPT_SECONDS
from app.config import Settings
from tests.conftest import NewDevice, settings_for
from tests.kit.clock import SetClock
from tests.kit.device import Device
from tests.kit.identity import execute, records, said, served, user_file
from tests.kit.pair import paired
from tests.kit.recovery import Phrase, told


async def test_every_deed_is_told_in_order_with_whose_it_was(
    device: Device, new_device: NewDevice, clock: SetClock
) -> None:
    began, phrase = int(clock()), Phrase()
    clock.advance(seconds=10)
    second = await paired(device, new_device())
    clock.advance(seconds=10)
    await phrase.put(device)
    clock.advance(seconds=10)
    await second.call("DELETE", "/auth/recovery", proof=True)
    clock.advance(seconds=10)
    await device.call("DELETE", f"/auth/devices/{second.id}", proof=True)
    assert await told(device) == [
        ("device_added", began, device.id),
        ("device_added", began + 10, second.id),
        ("recovery_set", began + 20, device.id),
        ("recovery_removed", began + 30, second.id),
        ("device_revoked", began + 40, second.id),
    ]


async def test_a_copied_session_is_told_to_the_whole_account(
    device: Device, new_device: NewDevice, clock: SetClock
) -> None:
    second = await paired(device, new_device())
    old = second.session
    (await second.refresh()).raise_for_status()
    await second.call("GET", "/auth/devices")
    clock.advance(seconds=5)
    await second.call("GET", "/auth/devices")
    thief = Device(second.http, second.key, clock=clock, session=old, nonce=second.nonce)
    assert said(await thief.refresh()) == (401, "refresh_reused")
    assert ("session_reuse", int(clock()), second.id) in await told(device)


async def test_revoking_twice_is_told_once(
    device: Device, new_device: NewDevice, clock: SetClock
) -> None:
    second = await paired(device, new_device())
    for _ in range(2):
        await device.call("DELETE", f"/auth/devices/{second.id}", proof=True)
        clock.advance(seconds=10)
    assert [kind for kind, *_ in await told(device)].count("device_revoked") == 1


async def test_nothing_is_told_twice_however_often_the_database_is_opened(
    tmp_path: Path, clock: SetClock
) -> None:
    settings = settings_for(tmp_path)
    async with served(settings, clock) as http:
        device = Device(http, clock=clock)
        await device.register()
        seen = [await told(device)]
    for _ in range(2):
        async with served(settings, clock) as http:
            device.http = http
            await device.log_in()
            seen.append(await told(device))
        clock.advance(seconds=100)
    assert seen[0] == seen[1] == seen[2]


async def test_only_the_newest_hundred_of_a_year_are_kept(
    device: Device, settings: Settings, clock: SetClock
) -> None:
    file = user_file(settings.data_dir, device.user_id)
    clock.advance(days=1)
    for number in range(KEPT_EVENTS + 20):
        at = int(clock()) - KEPT_SECONDS - 10 + number
        execute(file, "INSERT INTO security_event VALUES ('session_reuse', ?, NULL)", at)
    await device.log_in()
    assert said(await Phrase().put(device)) == (204, None)
    kept = records(file, "security_event")
    assert len(kept) == KEPT_EVENTS
    assert min(row["at"] for row in kept) > int(clock()) - KEPT_SECONDS
    assert {"device_added", "recovery_set"} <= {row["kind"] for row in kept}


async def test_nobody_is_told_of_another_account(device: Device, new_device: NewDevice) -> None:
    stranger = new_device()
    await stranger.register()
    await Phrase().put(stranger)
    assert [whose for _, _, whose in await told(device)] == [device.id]
