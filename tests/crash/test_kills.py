"""The server is killed in the middle of pushes, again and again: what it acknowledged is there,
once, and what it did not acknowledge is there whole or not at all."""

import asyncio
import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apsw
import httpx
import pytest

from tests.kit.device import Device
from tests.kit.keys import b64
from tests.kit.server import ServerProcess
from tests.kit.sync import Key, joined, tables_of, user_file, verdicts

Change = dict[str, Any]
LANES = 2
ROUNDS = 25
"""Kills per lane: fifty in all. Two servers at a time, since a start keeps one core busy."""


@dataclass
class Pusher:
    """A device that pushes until the server is gone, and remembers what it was told."""

    device: Device
    random: random.Random
    clocks: dict[Key, int] = field(default_factory=dict)
    acknowledged: dict[Key, str] = field(default_factory=dict)
    last: list[Change] = field(default_factory=list)
    pending: list[Change] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def next_push(self) -> list[Change]:
        """A few changes to different items: new ones, edits and deletes."""
        known = self.random.sample(list(self.clocks), min(len(self.clocks), 2))
        changes = [self._edit(key) for key in known[: self.random.randint(0, 2)]]
        changes += [self._new() for _ in range(self.random.randint(1, 3))]
        return changes

    def _new(self) -> Change:
        return self.device.change(
            data=self._data(), collection=self.random.choice(("entries", "memories", "tags"))
        )

    def _edit(self, key: Key) -> Change:
        clock = {self.device.id: self.clocks[key] + 1}
        is_deleted = self.random.random() < 0.2
        return self.device.change(
            key[1], clock, data=self._data(), collection=key[0], is_deleted=is_deleted
        )

    def _data(self) -> bytes:
        return f"{self.device.id} {next(self.numbers)} ".encode() * self.random.randint(1, 40)

    async def push_until_gone(self, acknowledged: asyncio.Queue[None]) -> None:
        try:
            while True:
                self.pending = self.next_push()
                answer = await self.device.push(*self.pending)
                self.settle(answer, {"applied"})
                acknowledged.put_nowait(None)
        except httpx.TransportError:
            return

    async def push_again(self) -> None:
        """The push without an answer, whole or not at all; then it and the one before once more,
        and nothing changes."""
        if self.pending:
            answer = await self.device.push(*self.pending)
            told = set(verdicts(answer.raise_for_status().json()))
            assert told in ({"applied"}, {"replayed"}), "half of a push was stored"
            self.settle(answer, told)
        if self.last:
            again = (await self.device.push(*self.last)).raise_for_status().json()
            assert set(verdicts(again)) == {"replayed"}

    def settle(self, answer: httpx.Response, expected: set[str]) -> None:
        assert set(verdicts(answer.raise_for_status().json())) == expected
        for change in self.pending:
            key = (change["collection"], change["id"])
            self.clocks[key] = change["vector_clock"][self.device.id]
            self.acknowledged[key] = change["encrypted_data"]
        self.last, self.pending = self.pending, []


class Lane:
    """A server and the devices of two accounts: two of one, one of another."""

    def __init__(self, folder: Path, seed: int) -> None:
        folder.mkdir()
        self.server = ServerProcess(folder, RATE_LIMITS="off")
        self.random = random.Random(seed)
        self.pushers: list[Pusher] = []
        self.cursors: dict[str, str] = {}
        self.replicas: dict[str, dict[Key, str]] = {}
        self.start_seconds: list[float] = []

    async def run(self, rounds: int) -> None:
        try:
            for _ in range(rounds):
                await self._round()
            await self._last_look()
        finally:
            self.server.kill()

    async def _round(self) -> None:
        self.start_seconds.append(await asyncio.to_thread(self.server.start))
        async with httpx.AsyncClient(base_url=self.server.url, timeout=30) as http:
            await self._come_back(http)
            acknowledged: asyncio.Queue[None] = asyncio.Queue()
            async with asyncio.TaskGroup() as tasks:
                for pusher in self.pushers:
                    tasks.create_task(pusher.push_until_gone(acknowledged))
                for _ in range(self.random.randint(1, 15)):
                    await acknowledged.get()
                await asyncio.to_thread(self.server.kill)

    async def _come_back(self, http: httpx.AsyncClient) -> None:
        if not self.pushers:
            await self._register(http)
        for pusher in self.pushers:
            pusher.device.http = http
            await pusher.push_again()
        for pusher in self.pushers:
            await self._compare(pusher.device)

    async def _register(self, http: httpx.AsyncClient) -> None:
        first, second = Device(http), Device(http)
        (await first.register()).raise_for_status()
        (await second.register()).raise_for_status()
        devices = [first, await joined(first), second]
        self.pushers = [Pusher(device, self.random) for device in devices]

    async def _compare(self, device: Device) -> None:
        """What the device pulls after its cursor makes its replica what was acknowledged; a commit
        that had gone would make the server ask for a reset."""
        pulled = await device.pull_all(self.cursors.get(device.id))
        self.cursors[device.id] = pulled.cursor
        replica = self.replicas.setdefault(device.id, {})
        for key, versions in pulled.items.items():
            (version,) = versions
            replica[key] = version["encrypted_data"]
        assert replica == self._acknowledged(device.user_id)

    def _acknowledged(self, user_id: str) -> dict[Key, str]:
        mine = [pusher for pusher in self.pushers if pusher.device.user_id == user_id]
        return {key: data for pusher in mine for key, data in pusher.acknowledged.items()}

    async def _last_look(self) -> None:
        """Everything once more from the start, and then the files themselves."""
        self.start_seconds.append(await asyncio.to_thread(self.server.start))
        async with httpx.AsyncClient(base_url=self.server.url, timeout=30) as http:
            self.cursors, self.replicas = {}, {}
            await self._come_back(http)
        await asyncio.to_thread(self.server.stop)
        for pusher in self.pushers:
            self._check_file(pusher.device.user_id)

    def _check_file(self, user_id: str) -> None:
        stored = tables_of(self.server.data, user_id)
        stored.check()
        assert {each.key: b64(each.encrypted_data) for each in stored.versions} == (
            self._acknowledged(user_id)
        )
        connection = apsw.Connection(str(user_file(self.server.data, user_id)))
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        connection.close()


async def kill_often(folder: Path, rounds: int) -> list[Lane]:
    lanes = [Lane(folder / f"lane{number}", seed=number) for number in range(LANES)]
    async with asyncio.TaskGroup() as tasks:
        for lane in lanes:
            tasks.create_task(lane.run(rounds))
    starts = sorted(each for lane in lanes for each in lane.start_seconds[1:])
    acknowledged = sum(len(pusher.acknowledged) for lane in lanes for pusher in lane.pushers)
    print(
        f"\n{len(starts)} starts after {LANES * rounds} kills, {acknowledged} items acknowledged;"
        f" ready after {starts[len(starts) // 2]:.2f} s (median), {starts[-1]:.2f} s (slowest)"
    )
    return lanes


async def test_fifty_kills_lose_and_double_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    lanes = await kill_often(tmp_path, ROUNDS)
    assert all(pusher.acknowledged for lane in lanes for pusher in lane.pushers)


@pytest.mark.soak
async def test_four_hundred_kills_lose_and_double_nothing(tmp_path: Path) -> None:
    await kill_often(tmp_path, 200)
