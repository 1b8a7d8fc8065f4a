"""A master database restored from an older copy learns again what the accounts' own files know."""

import shutil

import pytest

from app.auth.adoption_service import forgotten
from app.auth.devices import Description
from app.auth.devices import Device as Row
from app.config import Settings
from tests.kit.account import delete_account, master_rows
from tests.kit.clock import SetClock
from tests.kit.device import Device
from tests.kit.identity import execute, records, said, served, user_file
from tests.kit.pair import paired
from tests.kit.storage import side_file

REFUSED = (401, "not_authenticated")


class Yesterday:
    """A server whose master database is put back to what it was earlier."""

    def __init__(self, settings: Settings, clock: SetClock) -> None:
        self.settings, self.clock = settings, clock
        self.master = settings.data_dir / "master.db"
        self.copy = settings.data_dir / "copy.db"

    def save(self) -> None:
        shutil.copy(self.master, self.copy)

    def put_back(self) -> None:
        assert not self.master.with_name("master.db-wal").exists()
        shutil.copy(self.copy, self.master)


@pytest.fixture
def yesterday(settings: Settings, clock: SetClock) -> Yesterday:
    return Yesterday(settings, clock)


async def account(yesterday: Yesterday) -> tuple[Device, Device]:
    async with served(yesterday.settings, yesterday.clock) as http:
        device = Device(http, clock=yesterday.clock)
        (await device.register()).raise_for_status()
        return device, await paired(device, Device(http, clock=yesterday.clock))


async def revoke(device: Device, other: Device) -> tuple[int, str | None]:
    device.nonce = None  # it is of a server that was stopped
    return said(await device.call("DELETE", f"/auth/devices/{other.id}", proof=True))


async def test_a_device_paired_since_is_known_again_and_can_be_revoked(
    yesterday: Yesterday,
) -> None:
    device, second = await account(yesterday)
    yesterday.save()
    async with served(yesterday.settings, yesterday.clock) as http:
        device.http, device.nonce = http, None
        third = await paired(device, Device(http, clock=yesterday.clock))
    yesterday.put_back()
    async with served(yesterday.settings, yesterday.clock) as http:
        device.http = second.http = third.http = http
        assert said(await third.pull()) == (200, None)
        assert (await third.log_in()).status_code == 200
        assert await revoke(device, third) == (204, None)
        assert said(await third.pull()) == REFUSED
        assert said(await third.register()) == (403, "device_revoked")


async def test_a_revocation_since_then_holds_in_both_databases(yesterday: Yesterday) -> None:
    device, second = await account(yesterday)
    yesterday.save()
    async with served(yesterday.settings, yesterday.clock) as http:
        device.http = http
        assert await revoke(device, second) == (204, None)
    yesterday.put_back()
    async with served(yesterday.settings, yesterday.clock) as http:
        device.http = second.http = http
        assert said(await second.pull()) == REFUSED
        assert said(await device.pull()) == (200, None)
        assert said(await second.log_in()) == (401, "login_failed")
        assert said(await second.register()) == (403, "device_revoked")
    (row,) = [
        each for each in records(yesterday.master, "device") if each["device_id"] == second.id
    ]
    assert (row["status"], row["generation"]) == ("revoked", 2)
    assert row["revoked_at"] == int(yesterday.clock())


async def test_an_account_that_the_master_never_knew_is_taken_in(yesterday: Yesterday) -> None:
    async with served(yesterday.settings, yesterday.clock):
        pass
    yesterday.save()
    device, second = await account(yesterday)
    yesterday.put_back()
    async with served(yesterday.settings, yesterday.clock) as http:
        device.http = second.http = http
        assert said(await second.log_in()) == (401, "login_failed")
        assert said(await device.pull()) == (200, None)  # whose token opens the file
        assert (await second.log_in()).status_code == 200
        assert (await device.call("GET", "/account")).json()["devices"] == 2
    (row,) = records(yesterday.master, "account")
    assert (row["user_id"], row["state"]) == (device.user_id, "active")


async def test_a_deleted_account_is_not_taken_in(yesterday: Yesterday) -> None:
    device, _ = await account(yesterday)
    file = user_file(yesterday.settings.data_dir, device.user_id)
    backup = file.read_bytes()
    async with served(yesterday.settings, yesterday.clock) as http:
        device.http, device.nonce = http, None
        assert said(await delete_account(device)) == (204, None)
    file.write_bytes(backup)
    async with served(yesterday.settings, yesterday.clock) as http:
        device.http = http
        assert said(await device.pull()) == REFUSED
    for table in ("account", "device"):
        assert master_rows(yesterday.settings.data_dir, f"SELECT * FROM {table}") == []


async def test_a_key_that_opened_another_account_meanwhile_stays_there(
    yesterday: Yesterday,
) -> None:
    device, second = await account(yesterday)
    first_user = second.user_id
    async with served(yesterday.settings, yesterday.clock):
        pass
    for table in ("account", "device"):
        execute(yesterday.master, f"DELETE FROM {table}")
    async with served(yesterday.settings, yesterday.clock) as http:
        device.http = second.http = http
        old = dict(second.session)
        assert (await second.register()).status_code == 201
        assert second.user_id != first_user
        new = second.user_id
        assert said(await device.pull()) == (200, None)
        assert (await second.log_in()).status_code == 200
        assert second.user_id == new
        second.session = old
        assert said(await second.pull()) == (200, None)


async def test_opening_a_database_that_agrees_writes_nothing(
    yesterday: Yesterday, settings: Settings
) -> None:
    device, _ = await account(yesterday)
    before = master_rows(settings.data_dir, "SELECT * FROM device ORDER BY device_id")
    async with served(yesterday.settings, yesterday.clock) as http:
        device.http = http
        log = side_file(yesterday.master)
        assert said(await device.pull()) == (200, None)
        assert side_file(yesterday.master) == log
    assert master_rows(settings.data_dir, "SELECT * FROM device ORDER BY device_id") == before


def row(status: str, generation: int) -> Row:
    return Row(
        device_id="d",
        user_id="u",
        thumbprint=b"t",
        status=status,  # type: ignore[arg-type]
        generation=generation,
        public_key=b"k",
        wrapping_key=None,
        wrapping_key_signature=None,
        description=Description("desktop", "linux", None),
        created_at=1,
    )


@pytest.mark.parametrize(
    ("known", "copy", "learns"),
    [
        (None, ("active", 1), True),
        (("active", 1), ("active", 1), False),
        (("active", 1), ("active", 2), True),
        (("active", 1), ("revoked", 2), True),
        (("active", 3), ("revoked", 2), True),
        (("revoked", 2), ("active", 1), False),
        (("revoked", 2), ("revoked", 2), False),
    ],
)
def test_the_master_learns_of_devices_revocations_and_later_generations(
    known: tuple[str, int] | None, copy: tuple[str, int], learns: bool
) -> None:
    there = [] if known is None else [row(*known)]
    assert bool(forgotten(there, [row(*copy)])) is learns
