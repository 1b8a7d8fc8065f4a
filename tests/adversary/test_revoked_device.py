"""Once the server has said 204 to a revocation, no request of that device begun afterwards
succeeds: not in hundreds of loops at once, and not after the power went in the same moment."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from tests.kit.device import Device
from tests.kit.identity import Pairing
from tests.kit.pair import paired
from tests.kit.server import ServerProcess

PATIENCE_SECONDS = 60
DOORS = 18


@dataclass
class Revoked:
    """A device that tries every door at once, with the tokens and the key that it had. What it
    was told is kept by whether it asked before or after the 204."""

    owner: Device
    device: Device
    pairing: Pairing
    chance: random.Random
    loops: int
    opened: list[str] = field(default_factory=list)
    refused: int = 0
    successes_before: int = 0
    is_over: bool = False
    is_warm: asyncio.Event = field(default_factory=asyncio.Event)
    """Every loop has had a success, as far as their number tells."""
    has_seen_enough: asyncio.Event = field(default_factory=asyncio.Event)
    """Two refusals a loop, and two a door; or a success that must not be."""

    def doors(self) -> dict[str, Callable[[Device], Awaitable[httpx.Response]]]:
        """Every call that a device of the account may make, and the way back in by its key."""
        guest = Device(self.device.http, self.pairing.new.key, origin=self.device.origin)
        mine = self.pairing
        doors: dict[str, Callable[[Device], Awaitable[httpx.Response]]] = {
            "push": lambda each: each.push(each.change()),
            "pull": lambda each: each.pull(),
            "wait": lambda each: each.pull(wait=2),
            "status": lambda each: each.call("GET", "/sync/status"),
            "devices": lambda each: each.call("GET", "/auth/devices"),
            "refresh": lambda each: each.refresh(),
            "log in": lambda each: each.log_in(),
            "register": lambda each: each.register(),
            "log out": lambda each: each.call("POST", "/auth/logout"),
            "revoke": lambda each: each.call(
                "DELETE", f"/auth/devices/{self.owner.id}", proof=True
            ),
            "pair": lambda each: each.call("POST", "/auth/pairings", {}, proof=True),
            "see": lambda each: mine.see(by=each),
            "reveal": lambda each: mine.reveal(by=each),
            "approve": lambda each: mine.approve(by=each),
            "cancel": lambda each: mine.cancel(by=each),
            "its guest watches": lambda _: mine.watch(by=guest),
            "its guest collects": lambda _: mine.collect(by=guest),
            "its guest completes": lambda _: mine.complete(by=guest),
        }
        assert len(doors) == DOORS
        return doors

    async def loop(self, number: int) -> None:
        """One of many, each with its own copy of the tokens."""
        doors = self.doors()
        names = sorted(doors)
        device = Device(
            self.device.http,
            self.device.key,
            self.device.origin,
            session=dict(self.device.session),
            nonce=self.device.nonce,
        )
        while not self.is_over:
            # Before the 204, only what leaves the device as it is.
            harmless = ("push", "pull", "wait", "status", "devices", "see", "its guest watches")
            name = names[number % len(names)] if self._is_gone else self.chance.choice(harmless)
            number += 1
            await self._knock(name, doors[name], device)

    async def _knock(
        self, name: str, door: Callable[[Device], Awaitable[httpx.Response]], device: Device
    ) -> None:
        began_after = self._is_gone
        try:
            answer = await door(device)
        except httpx.TransportError:
            await asyncio.sleep(0)
            return
        self._note(name, answer, began_after)

    def _note(self, name: str, answer: httpx.Response, began_after: bool) -> None:
        if not answer.is_success:
            assert answer.status_code < 500
            self.refused += began_after
        elif began_after:
            self.opened.append(name)
        else:
            self.successes_before += 1
        if self.successes_before >= self.loops:
            self.is_warm.set()
        if self.opened or self.refused >= 2 * max(self.loops, DOORS):
            self.has_seen_enough.set()

    _is_gone: bool = False

    async def revoke(self) -> None:
        answer = await self.owner.call("DELETE", f"/auth/devices/{self.device.id}", proof=True)
        assert answer.status_code == 204
        self._is_gone = True


@asynccontextmanager
async def client_of(server: ServerProcess, loops: int) -> AsyncIterator[httpx.AsyncClient]:
    limits = httpx.Limits(max_connections=loops + 10)
    async with httpx.AsyncClient(
        base_url=server.url, timeout=PATIENCE_SECONDS, limits=limits
    ) as http:
        yield http


async def scene(
    server: ServerProcess, http: httpx.AsyncClient, chance: random.Random, loops: int
) -> Revoked:
    """An account of two devices, the second of which has a pairing under way."""
    owner = Device(http, origin=server.url)
    (await owner.register()).raise_for_status()
    device = await paired(owner, Device(http, origin=server.url))
    guest = Device(http, origin=server.url)
    pairing = await (await Pairing.open(device, guest)).until("revealed")
    return Revoked(owner, device, pairing, chance, loops)


async def shut_out(folder: Path, chance: random.Random, loops: int, rounds: int) -> None:
    """Loops run before, across and after the 204; every other time the server is killed with it."""
    for round_ in range(rounds):
        place = folder / str(round_)
        place.mkdir()
        server = ServerProcess(place, RATE_LIMITS="off", LOG_LEVEL="error")
        with server:
            async with client_of(server, loops) as http:
                revoked = await scene(server, http, chance, loops)
                await hunt(server, revoked, is_killed=round_ % 2 == 0)
        assert not revoked.opened
        assert revoked.refused >= 2 * loops
        assert revoked.successes_before
        print(
            f"{loops} loops: {revoked.successes_before} successes before the 204,"
            f" {revoked.refused} refusals and 0 successes after it"
        )


async def hunt(server: ServerProcess, revoked: Revoked, *, is_killed: bool) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS), asyncio.TaskGroup() as tasks:
        for number in range(revoked.loops):
            tasks.create_task(revoked.loop(number))
        await revoked.is_warm.wait()
        await revoked.revoke()
        if is_killed:
            server.kill()
            await asyncio.to_thread(server.start)
        await revoked.has_seen_enough.wait()
        revoked.is_over = True
    owner_can = await revoked.owner.call("GET", "/auth/devices", proof=True)
    statuses = {each["device_id"]: each["status"] for each in owner_can.json()["devices"]}
    assert statuses[revoked.device.id] == "revoked"
    assert statuses[revoked.owner.id] == "active"


async def test_a_revoked_device_finds_every_door_shut_at_once(
    tmp_path: Path, chance: random.Random
) -> None:
    await shut_out(tmp_path, chance, loops=20, rounds=1)


@pytest.mark.soak
async def test_two_hundred_loops_of_a_revoked_device_find_every_door_shut(
    tmp_path: Path, chance: random.Random
) -> None:
    await shut_out(tmp_path, chance, loops=200, rounds=20)
