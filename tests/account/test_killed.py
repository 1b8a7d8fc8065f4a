"""The server is killed before and after every change that a deletion makes to the disk. Started
again, it has deleted the account, or it has not and the account is whole."""

import asyncio
import re
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from tests.kit.account import delete_account, master_rows, traces_in, traces_of
from tests.kit.device import Device
from tests.kit.identity import said
from tests.kit.pair import paired
from tests.kit.server import ROOT, ServerProcess, _clean_environment

UNFINISHED = "SELECT COUNT(*) FROM deletion WHERE erased_at IS NULL"
PATIENCE_SECONDS = 20


class Mortal(ServerProcess):
    """A server that is killed at a given change of a deletion."""

    def start_to_die(self, when: int) -> None:
        log = self.log.open("ab")
        environment = {**_clean_environment(), "DATA_DIR": str(self.data)}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.account.killed", str(self.port), str(when)],
            cwd=ROOT,
            env=environment | {"PUBLIC_ORIGIN": self.url},
            stdout=log,
            stderr=log,
        )
        log.close()
        ends = time.monotonic() + PATIENCE_SECONDS
        while not self._answers():
            assert time.monotonic() < ends, self.log.read_text()
            time.sleep(0.01)

    async def is_dead(self) -> bool:
        assert self._process is not None
        return await asyncio.to_thread(self._process.wait, PATIENCE_SECONDS) == -9

    async def settled(self) -> None:
        """The chore of the start has carried every deletion through."""
        ends = time.monotonic() + PATIENCE_SECONDS
        while master_rows(self.data, UNFINISHED) != [(0,)]:
            assert time.monotonic() < ends, self.log.read_text()
            await asyncio.sleep(0.01)


async def ends(folder: Path, when: int) -> int:
    """One deletion with a kill at that change; how many changes there were if it never came."""
    server = Mortal(folder, PUBLIC_ORIGIN="")
    server._environment["PUBLIC_ORIGIN"] = server.url
    server.start_to_die(when)
    try:
        async with httpx.AsyncClient(base_url=server.url, timeout=30) as http:
            device = Device(http, origin=server.url)
            (await device.register()).raise_for_status()
            second = await paired(device, Device(http, origin=server.url))
            change = device.change()
            await device.push(change)
            traces = traces_of(device, second)
            try:
                answer = await delete_account(device)
            except httpx.TransportError:
                assert await server.is_dead()
                await asyncio.to_thread(server.start)
                await server.settled()
                await _is_whole_or_gone(server, device, second, traces)
                return 0
            assert said(answer) == (204, None)
            assert traces_in(server.data, traces) == set()
            assert traces_in(folder, traces) == set(), "nor in the log"
            found = re.findall(r"changes (\d+)", server.log.read_text())
            return int(found[-1])
    finally:
        await asyncio.to_thread(server.stop)


async def _is_whole_or_gone(
    server: Mortal, device: Device, second: Device, traces: dict[bytes, str]
) -> None:
    before = device.user_id
    if (await device.pull()).is_success:
        assert len((await second.pull_all()).items) == 1
        assert said(await delete_account(device)) == (204, None)
    assert traces_in(server.data, traces) == set()
    for each in (device, second):
        assert said(await each.pull()) == (401, "not_authenticated")
        assert said(await each.log_in()) == (401, "login_failed")
    assert (await device.register()).status_code == 201
    assert device.user_id != before


@pytest.mark.soak
async def test_a_kill_before_or_after_any_change_leaves_all_or_nothing(tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    changes = await ends(tmp_path / "whole", 0)
    assert changes >= 16
    points = list(range(1, changes + 1))
    print(f"\n{changes} points of a deletion")
    for at in range(0, len(points), 3):
        folders = {when: tmp_path / str(when) for when in points[at : at + 3]}
        for folder in folders.values():
            folder.mkdir()
        async with asyncio.TaskGroup() as tasks:
            for when, folder in folders.items():
                tasks.create_task(ends(folder, when))
