"""What years bring: devices that stay away, servers that are put back, disks that fail. The real
server, with a clock that is moved, and the whole client."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from echolia import Client
from echolia._report import SyncReport

from . import real_server
from .test_real_server import pair
from .timed_server import TimedServer

pytestmark = pytest.mark.skipif(not real_server.is_here(), reason="only beside the server's code")


class Pair:
    """Two devices of one account whose clocks are the server's."""

    def __init__(self, folder: Path) -> None:
        self.server = TimedServer(folder)
        self._homes = folder / "one", folder / "two"

    @contextmanager
    def up(self) -> Iterator[tuple[Client, Client]]:
        """The server is up, and both devices are open."""
        with self.server.up():
            one, two = self._clients()
            with one, two:
                yield one, two

    def _clients(self) -> tuple[Client, Client]:
        if not self._homes[0].exists():
            one = self._timed(Client.create(self._homes[0], server=self.server.origin))
            return one, self._timed(pair(one, self._homes[1]))
        one, two = (self._timed(Client.open(home)) for home in self._homes)
        return one, two

    def _timed(self, client: Client) -> Client:
        client._engine._now = client.vault._now = client.entries._now = lambda: self.server.now
        client._engine._merge_wait = None
        return client

    def lose_store(self, which: int) -> None:
        (self._homes[which] / "store.db").unlink()


@pytest.fixture
def two_devices(tmp_path: Path) -> Pair:
    return Pair(tmp_path)


def texts(client: Client) -> list[str]:
    return sorted(entry.text for entry in client.entries.list())


def settle(*clients: Client) -> list[SyncReport]:
    for client in clients:
        client.sync()
    reports = [client.sync() for client in clients]
    assert all(report.complete for report in reports)
    return reports


def test_a_device_that_returns_after_200_days_brings_its_own_and_nothing_that_was_deleted(
    two_devices: Pair,
) -> None:
    server = two_devices.server
    with two_devices.up() as (one, two):
        one.entries.add("kept")
        gone = one.entries.add("deleted meanwhile")
        edited = one.entries.add("deleted here, edited there")
        settle(one, two)
        two.entries.add("written on the island")
        two.entries.edit(edited.id, "edited on the island")
        for entry in (gone, edited):
            one.entries.delete(entry.id)
        one.entries.add("newer")
        for days in (0, 1, 100, 98, 1):
            server.pass_days(days)
            one.sync()
            server.tend()
        assert one.sync().complete
        report = two.sync()
        assert (report.reset, report.complete, report.dropped) == ("cursor_expired", True, 1)
        settle(one, two)
        expected = ["edited on the island", "kept", "newer", "written on the island"]
        assert texts(one) == texts(two) == expected
        for client in (one, two):
            assert client.sync(verify=True).verified
            assert client.sync(verify=True).mended == 0
        assert texts(one) == texts(two) == expected


def test_a_device_that_returns_after_80_days_sees_the_deletion_itself(two_devices: Pair) -> None:
    server = two_devices.server
    with two_devices.up() as (one, two):
        gone = one.entries.add("deleted meanwhile")
        settle(one, two)
        one.entries.delete(gone.id)
        for days in (1, 78, 1):
            server.pass_days(days)
            one.sync()
            server.tend()
        assert two.sync().reset is None
        assert texts(two) == []


@pytest.mark.parametrize("master", [False, True], ids=["one account", "everything"])
def test_a_server_put_back_is_healed_by_its_devices(two_devices: Pair, master: bool) -> None:
    server = two_devices.server
    with two_devices.up() as (one, two):
        kept = one.entries.add("kept")
        gone = one.entries.add("deleted after the backup")
        settle(one, two)
    server.save()
    with two_devices.up() as (one, two):
        server.pass_days(1)
        one.entries.edit(kept.id, "kept and changed")
        one.entries.delete(gone.id)
        two.entries.add("written after the backup")
        settle(one, two)
        two.entries.add("not sent yet")
    server.put_back(master=master)
    with two_devices.up() as (one, two):
        expected = ["kept and changed", "not sent yet", "written after the backup"]
        first = one.sync()
        assert first.reset in ("cursor_ahead", "epoch_changed")
        settle(two, one)
        assert texts(one) == texts(two) == expected
        for client in (one, two):
            report = client.sync(verify=True)
            assert (report.verified, report.mended) == (True, 0)


def test_rows_that_the_servers_disk_lost_come_back_from_a_device(two_devices: Pair) -> None:
    with two_devices.up() as (one, two):
        for number in range(20):
            one.entries.add(f"entry {number}")
        two.tags.add("a tag")
        settle(one, two)
        before = texts(one)
    import apsw  # the server's, and newer than the standard library's

    damaged = apsw.Connection(str(two_devices.server.user_file()))
    with damaged:
        damaged.execute("DELETE FROM synced_entries WHERE seq % 4 = 0")
        damaged.execute("DELETE FROM synced_tags")
        lost = damaged.total_changes()
    damaged.close()
    with two_devices.up() as (one, two):
        assert not one.sync().verified
        two_devices.server.pass_days(1)
        report = one.sync()
        assert (report.verified, report.mended) == (True, lost)
        assert two.sync(verify=True).mended == 0
        assert texts(one) == texts(two) == before


def test_a_device_that_lost_its_store_fills_it_again_after_a_purge_too(two_devices: Pair) -> None:
    server = two_devices.server
    with two_devices.up() as (one, two):
        gone = one.entries.add("deleted long ago")
        for number in range(5):
            one.entries.add(f"entry {number}")
        settle(one, two)
        one.entries.delete(gone.id)
        settle(one, two)
        for days in (1, 90, 1):
            server.pass_days(days)
            settle(one, two)
            server.tend()
        expected = texts(one)
    two_devices.lose_store(1)
    with two_devices.up() as (one, two):
        report = two.sync()
        assert (report.complete, report.reset, report.pulled) == (True, None, 5)
        assert texts(two) == expected
        two.entries.add("goes on")
        settle(two, one)
        assert texts(one) == texts(two)
