"""Devices that were away for long, or whose clocks are wrong, come back by their key: the SDK
against the application, each with a clock of its own."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import TypeVar

import httpx
import pytest

from app.config import Settings
from app.main import create_app
from echolia import Client, Options
from tests.kit.clock import SetClock

ORIGIN = "http://localhost:8000"
YEAR = 365 * 86400
Result = TypeVar("Result")


class Bridge(httpx.BaseTransport):
    """Carries what a blocking client sends to an application on the event loop of the test."""

    def __init__(self, app: httpx.AsyncBaseTransport, loop: asyncio.AbstractEventLoop) -> None:
        self._app, self._loop = app, loop

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return asyncio.run_coroutine_threadsafe(self._answer(request), self._loop).result(20)

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        sent = httpx.Request(
            request.method, request.url, headers=request.headers, content=request.read()
        )
        answer = await self._app.handle_async_request(sent)
        content = await answer.aread()
        return httpx.Response(answer.status_code, headers=answer.headers, content=content)


@pytest.fixture
async def options(settings: Settings, clock: SetClock) -> AsyncIterator[Options]:
    """For clients of an application that has the test's clock."""
    app = create_app(settings, clock=clock)
    async with app.router.lifespan_context(app):
        bridge = Bridge(httpx.ASGITransport(app), asyncio.get_running_loop())
        yield Options(transport=bridge)


async def doing(what: Callable[[], Result]) -> Result:
    """A blocking client's work, away from the loop that answers it."""
    return await asyncio.to_thread(what)


@pytest.mark.parametrize("key", ["rsa", "p256"])
async def test_a_device_that_was_away_for_400_days_comes_back_by_its_key(
    key: str, options: Options, clock: SetClock, tmp_path: Path
) -> None:
    home = tmp_path / "home"

    def begin() -> None:
        with Client.create(home, server=ORIGIN, key=key, options=options) as client:  # type: ignore[arg-type]
            client.entries.add("before")
            assert client.sync().complete

    def come_back() -> None:
        with Client.open(home, options=options) as client:
            client.entries.add("after")
            assert client.sync().complete
            assert [device.status for device in client.devices()] == ["active"]

    await doing(begin)
    clock.advance(days=400)
    await doing(come_back)


@pytest.mark.parametrize("years", [-10, 10])
async def test_a_device_whose_clock_is_ten_years_off_lives_as_any_other(
    years: int,
    options: Options,
    clock: SetClock,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    home = tmp_path / "home"
    wrong = SimpleNamespace(time=lambda: clock() + years * YEAR)
    monkeypatch.setattr("echolia._proofs.time", wrong)

    def live() -> None:
        with Client.create(home, server=ORIGIN, key="p256", options=options) as client:
            client.entries.add("wrong by years")
            assert client.sync().complete
            assert len(client.create_recovery().split()) == 24  # a call that needs a proof

    def go_on() -> None:
        with Client.open(home, options=options) as client:
            assert client.sync().complete
            client.invite().cancel()

    await doing(live)
    clock.advance(seconds=3 * 3600)  # the access token is over; only the server's clock says so
    await doing(go_on)
    clock.advance(days=400)
    await doing(go_on)
