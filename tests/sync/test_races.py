"""Many accounts and devices at once, with fewer databases open than are in use."""

import asyncio
from pathlib import Path

import pytest

from app.config import Settings
from tests.conftest import Running, settings_for
from tests.kit.device import Device
from tests.kit.sync import joined, tables_of, verdicts

USERS, PUSHES = 10, 6
PATIENCE_SECONDS = 20
"""Far more than the work takes; databases that only push each other out would take for ever."""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_for(tmp_path, max_open_databases=2)


async def test_ten_users_who_share_two_open_databases_lose_nothing(
    running: Running, settings: Settings
) -> None:
    http = await running(settings)
    devices = [Device(http) for _ in range(USERS)]
    for device in devices:
        (await device.register()).raise_for_status()
    sent = {
        device.id: [[device.change() for _ in range(3)] for _ in range(PUSHES)]
        for device in devices
    }
    async with asyncio.timeout(PATIENCE_SECONDS):
        answers = await asyncio.gather(
            *(device.push(*changes) for device in devices for changes in sent[device.id]),
            *(device.pull() for device in devices for _ in range(PUSHES)),
        )
    assert {answer.status_code for answer in answers} == {200}
    for device in devices:
        stored = tables_of(settings.data_dir, device.user_id)
        stored.check()
        ids = {str(each["id"]) for changes in sent[device.id] for each in changes}
        assert {version.key[1] for version in stored.versions} == ids
        assert stored.seq == len(ids)
        assert len((await device.pull_all()).items) == len(ids)


async def test_readers_between_pushes_see_whole_pushes_only(
    running: Running, settings: Settings
) -> None:
    """Each push writes a pair; a page of all there is never holds half of one."""
    http = await running(settings)
    writer = Device(http)
    (await writer.register()).raise_for_status()
    reader = await joined(writer)

    async def write() -> None:
        for _ in range(30):
            pair = [writer.change(data=b"x"), writer.change(data=b"y", collection="tags")]
            assert verdicts((await writer.push(*pair)).json()) == ["applied", "applied"]

    async def read() -> None:
        for _ in range(30):
            assert len((await reader.pull()).json()["changes"]) % 2 == 0
            items = (await reader.call("GET", "/sync/status")).json()["items"]
            assert items["entries"] == items["tags"]

    await asyncio.gather(write(), read())


async def test_a_revocation_between_pushes_lets_nothing_through_afterwards(
    running: Running, settings: Settings
) -> None:
    """Pushes and the revocation of their device race; what was acknowledged is there, and after
    the revocation has been answered nothing more comes in."""
    http = await running(settings)
    owner = Device(http)
    (await owner.register()).raise_for_status()
    guest = await joined(owner)
    changes = [guest.change() for _ in range(20)]
    pushes = [asyncio.create_task(guest.push(change)) for change in changes]
    revoked = await owner.call("DELETE", f"/auth/devices/{guest.id}", proof=True)
    assert revoked.status_code == 204
    late = await guest.push(guest.change())
    assert late.status_code == 401
    answers = await asyncio.gather(*pushes)
    taken = {
        change["id"]
        for change, answer in zip(changes, answers, strict=True)
        if answer.status_code == 200
    }
    assert {answer.status_code for answer in answers} <= {200, 401}
    stored = tables_of(settings.data_dir, owner.user_id)
    stored.check()
    assert {version.key[1] for version in stored.versions} == taken
