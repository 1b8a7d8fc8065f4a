"""Whoever is out stops waiting at once: a revoked device, a session that ended, a pairing whose
device has gone."""

import asyncio
from collections.abc import AsyncIterator, Awaitable

import httpx
import pytest
from fastapi import FastAPI

from app.auth.recoveries import Recoveries
from app.config import Settings
from app.main import create_app
from app.signals import Signals
from tests.auth.test_revoked_halfway import FullDisk
from tests.kit.clock import SetClock
from tests.kit.device import Device
from tests.kit.identity import Pairing, said
from tests.kit.pair import paired
from tests.kit.recovery import Phrase, told

CANCELLED, OUT = (410, "pairing_cancelled"), (401, "not_authenticated")


class House:
    """An account of two devices, in an application that can be looked into."""

    def __init__(self, app: FastAPI, http: httpx.AsyncClient, clock: SetClock) -> None:
        self.signals: Signals = app.state.signals
        self.recoveries: Recoveries = app.state.auth.recoveries
        self.first, self.second, self.new = (Device(http, clock=clock) for _ in range(3))

    async def held(
        self, request: Awaitable[httpx.Response], subjects: int
    ) -> "asyncio.Task[httpx.Response]":
        """The request, once the server holds it and somebody listens to that many subjects."""
        task = asyncio.ensure_future(request)
        while len(self.signals._listeners) < subjects:
            assert not task.done()
            await asyncio.sleep(0.001)
        return task

    async def pull(self, device: Device) -> httpx.Response:
        cursor = (await device.pull_all()).cursor
        return await device.pull(cursor, wait=25)


@pytest.fixture
async def house(settings: Settings, clock: SetClock) -> AsyncIterator[House]:
    app = create_app(settings, clock=clock)
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://localhost:8000") as http,
    ):
        made = House(app, http, clock)
        (await made.first.register()).raise_for_status()
        await paired(made.first, made.second)
        yield made


async def soon(task: "asyncio.Task[httpx.Response]") -> tuple[int, str | None]:
    return said(await asyncio.wait_for(task, 5))


async def test_a_pull_ends_with_the_session_it_came_in(house: House) -> None:
    pull = await house.held(house.pull(house.second), 1)
    await house.second.call("POST", "/auth/logout")
    assert await soon(pull) == OUT


async def test_a_pull_goes_on_when_another_session_of_the_device_ends(house: House) -> None:
    waits = house.second
    other = Device(waits.http, waits.key, clock=waits.clock)
    (await other.log_in()).raise_for_status()
    pull = await house.held(house.pull(waits), 1)
    await other.call("POST", "/auth/logout")
    assert await soon(pull) == (200, None)


async def test_a_pull_ends_with_a_session_that_was_copied(house: House, clock: SetClock) -> None:
    owner, old = house.second, house.second.session
    (await owner.refresh()).raise_for_status()
    await owner.call("GET", "/auth/devices")
    clock.advance(seconds=5)
    await owner.call("GET", "/auth/devices")
    pull = await house.held(house.pull(owner), 1)
    thief = Device(owner.http, owner.key, clock=clock, session=old, nonce=owner.nonce)
    assert said(await thief.refresh()) == (401, "refresh_reused")
    assert await soon(pull) == OUT


@pytest.mark.parametrize(("state", "sight"), [("open", "see"), ("joined", "watch")])
async def test_a_pairing_ends_for_both_sides_with_the_device_that_opened_it(
    house: House, state: str, sight: str
) -> None:
    pairing = await (await Pairing.open(house.second, house.new)).until(state)
    look = await house.held(getattr(pairing, sight)(wait=25), 2)
    await house.first.call("DELETE", f"/auth/devices/{house.second.id}", proof=True)
    assert await soon(look) == CANCELLED


async def test_a_look_at_a_pairing_ends_with_the_session_it_came_in(house: House) -> None:
    pairing = await Pairing.open(house.second, house.new)
    look = await house.held(pairing.see(wait=25), 2)
    await house.second.call("POST", "/auth/logout")
    assert await soon(look) == OUT


async def test_a_push_does_not_wake_a_pairing(house: House) -> None:
    pairing = await Pairing.open(house.first, house.new)
    look = await house.held(pairing.see(wait=25), 2)
    await house.second.push(house.second.change())
    assert not look.done()
    await pairing.join()
    assert await soon(look) == (200, None)


async def test_nobody_who_has_left_is_still_waited_for(house: House) -> None:
    pairing = await Pairing.open(house.first, house.new)
    look = await house.held(pairing.see(wait=25), 2)
    look.cancel()
    await asyncio.wait([look])
    assert not house.signals._listeners


async def test_what_could_not_be_told_at_once_is_told_when_the_disk_is_well_again(
    house: House,
) -> None:
    users = house.recoveries._users
    house.recoveries._users = FullDisk(users)  # type: ignore[arg-type]
    phrase = Phrase()
    assert said(await phrase.put(house.first))[0] == 503
    house.recoveries._users = users
    assert said(await phrase.put(house.first)) == (204, None)
    kinds = [kind for kind, *_ in await told(house.second)]
    assert kinds.count("recovery_set") == 1
