"""What a stream does that takes too long to wait for: its reader is a line that tests hold."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from fastapi import FastAPI

from app.auth.admission import AdmittedDatabase
from app.config import Settings
from app.database.port import Unavailable
from app.errors import Overloaded
from app.main import create_app
from app.sync import live_service
from app.sync.live_service import COMMENT_SECONDS, Live
from tests.kit.clock import SetClock
from tests.kit.device import Device
from tests.kit.stream import News, events_in


class HeldLine:
    """A connection of a test: what was written to it, and whether its reader takes any more."""

    def __init__(self) -> None:
        self.text, self.is_cut = "", False
        self._takes, self._over, self._written = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._takes.set()

    def hold(self) -> None:
        self._takes.clear()

    def release(self) -> None:
        self._takes.set()

    def leave(self) -> None:
        self._over.set()

    async def write(self, text: bytes) -> None:
        await self._takes.wait()
        self.text += text.decode()
        self._written.set()

    async def end(self, text: bytes) -> None:
        await self.write(text)
        self._over.set()

    def cut(self) -> None:
        self.is_cut = True
        self._over.set()

    async def closed(self) -> None:
        await self._over.wait()

    async def came(self, count: int) -> list[News]:
        """The events, once there are so many."""
        async with asyncio.timeout(5):
            while len(events_in(self.text)) < count:
                self._written.clear()
                await self._written.wait()
        return events_in(self.text)


class House:
    """An application that can be looked into, and a device of it."""

    def __init__(self, app: FastAPI, device: Device) -> None:
        self.app, self.device = app, device
        self.live: Live = app.state.live

    @asynccontextmanager
    async def stream(self, device: Device | None = None) -> AsyncIterator[HeldLine]:
        """A stream that has told where it begins."""
        line, token = HeldLine(), (device or self.device).session["access_token"]
        db = self.app.state.auth.sessions.admitted(token)
        stay = asyncio.ensure_future(self.live.stay(db, line))
        await line.came(1)
        yield line
        line.leave()
        async with asyncio.timeout(5):
            await stay

    async def push(self) -> str:
        """Something new; where the account stands now."""
        (await self.device.push(self.device.change())).raise_for_status()
        return str((await self.device.call("GET", "/sync/status")).json()["cursor"])

    async def go_round(self, times: int = 1) -> None:
        for _ in range(times):
            await self.live.go_round()
            await asyncio.sleep(0)


@pytest.fixture
async def house(settings: Settings, clock: SetClock) -> AsyncIterator[House]:
    app = create_app(settings, clock=clock)
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://localhost:8000") as http,
    ):
        device = Device(http, clock=clock)
        (await device.register()).raise_for_status()
        yield House(app, device)


async def test_each_stream_shows_that_it_lives_once_in_twenty_seconds(house: House) -> None:
    async with house.stream() as one, house.stream() as two:
        await house.go_round(COMMENT_SECONDS)
        assert [line.text.count("\n:\n") for line in (one, two)] == [1, 1]
        await house.go_round(COMMENT_SECONDS)
        assert [line.text.count(":\n\n") for line in (one, two)] == [2, 2]


async def test_a_stream_ends_with_the_token_that_opened_it(house: House, clock: SetClock) -> None:
    async with house.stream() as line:
        clock.advance(seconds=3599)
        await house.go_round()
        assert len(events_in(line.text)) == 1
        clock.advance(seconds=1)
        await house.go_round()
        assert (await line.came(2))[1] == ("bye", {"reason": "expired"})


async def test_no_stream_begins_with_a_token_whose_time_is_over(
    house: House, clock: SetClock
) -> None:
    """Other calls allow for clocks that differ; a stream would end at once, and begin again."""
    clock.advance(seconds=3600)
    assert (await house.device.call("GET", "/sync/status")).is_success
    answer = await house.device.call("HEAD", "/sync/events")
    assert answer.status_code == 401


async def test_a_stream_ends_when_its_session_goes_on_under_newer_tokens(
    house: House, clock: SetClock
) -> None:
    async with house.stream() as line:
        (await house.device.refresh()).raise_for_status()
        await house.push()
        assert (await line.came(2))[1] == ("bye", {"reason": "expired"})


async def test_what_a_reader_does_not_take_becomes_one_event_of_each_kind(house: House) -> None:
    async with house.stream() as line:
        line.hold()
        await house.push()
        await asyncio.sleep(0.1)  # this one is on its way already
        last = ""
        for _ in range(30):
            last = await house.push()
            house.app.state.signals.tell(house.device.user_id, "devices")
            house.app.state.signals.tell(house.device.user_id, "entitlements")
        await asyncio.sleep(0.15)
        line.release()
        told = (await line.came(5))[2:]
        assert told == [("change", {"cursor": last}), ("devices", {}), ("entitlements", {})]


async def test_a_reader_that_takes_nothing_for_long_is_cut_off(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with house.stream() as deaf, house.stream() as other:
        deaf.hold()
        await house.push()
        await other.came(2)
        await house.go_round()
        assert not deaf.is_cut
        monkeypatch.setattr(live_service, "STUCK_SECONDS", 0.1)
        await asyncio.sleep(0.1)
        await house.go_round()
        assert (deaf.is_cut, other.is_cut) == (True, False)


async def test_a_goodbye_that_is_not_taken_holds_up_no_stop(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with house.stream() as deaf:
        deaf.hold()
        house.app.state.signals.close()
        monkeypatch.setattr(live_service, "STOPPING_SECONDS", 0.0)
        await house.go_round()
        assert deaf.is_cut


async def test_whoever_is_sent_away_is_told_nothing_that_was_still_to_be_told(
    house: House,
) -> None:
    async with house.stream() as line:
        line.hold()
        await house.push()
        await asyncio.sleep(0.1)
        await house.push()
        await house.device.call("POST", "/auth/logout")
        await asyncio.sleep(0.1)
        line.release()
        names = [name for name, _ in await line.came(3)]
        assert names == ["change", "change", "bye"], "the first had left before it was known"


async def test_all_streams_of_an_account_cost_one_look(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = 0
    look = AdmittedDatabase.look

    async def counted(*arguments: object) -> object:
        nonlocal looks
        looks += 1
        return await look(*arguments)  # type: ignore[arg-type]

    async with house.stream() as one, house.stream() as two, house.stream() as three:
        await asyncio.sleep(0.1)
        monkeypatch.setattr(AdmittedDatabase, "look", counted)
        await house.push()
        for line in (one, two, three):
            await line.came(2)
        assert looks == 1


async def test_what_could_not_be_looked_up_is_told_when_storage_is_well_again(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_service, "LOOK_AGAIN_SECONDS", 0.01)
    failures, look = 0, AdmittedDatabase.look

    async def failing(*arguments: object) -> object:
        nonlocal failures
        if failures == 3:
            return await look(*arguments)  # type: ignore[arg-type]
        failures += 1
        raise Unavailable

    async with house.stream() as line:
        await asyncio.sleep(0.1)
        monkeypatch.setattr(AdmittedDatabase, "look", failing)
        cursor = await house.push()
        assert (await line.came(2))[1] == ("change", {"cursor": cursor})
        assert failures == 3


async def test_a_full_server_sends_newcomers_away_and_forgets_whoever_left(house: House) -> None:
    house.live._most = 1
    db = house.app.state.auth.sessions.admitted(house.device.session["access_token"])
    async with house.stream():
        with pytest.raises(Overloaded):
            house.live.check(db)
        assert (await house.device.call("HEAD", "/sync/events")).status_code == 503
    house.live.check(db)
    assert not len(house.live)
    assert not house.app.state.signals._listeners


async def test_an_account_that_is_deleted_ends_its_streams(house: House) -> None:
    async with house.stream() as line:
        user_id = house.device.user_id
        await house.app.state.account._users.destroy(user_id)
        house.app.state.signals.tell(user_id, "ended")
        assert (await line.came(2))[1] == ("bye", {"reason": "revoked"})
