"""Fixtures that every folder of tests shares."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Protocol

import httpx
import pytest
from fastapi import FastAPI

from app.config import Settings
from app.main import create_app
from tests.kit.clock import SetClock
from tests.kit.device import Device
from tests.kit.keys import DeviceKey, new_key
from tests.kit.server import ServerProcess

SECRET = "a secret of thirty-two bytes or more"


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


def settings_for(folder: Path, **changes: object) -> Settings:
    """Settings that neither the environment nor a `.env` can change. Limits of rates are off: most
    tests are one address that asks a great deal."""
    values = {
        "data_dir": folder / "data",
        "jwt_secret": SECRET,
        "log_level": "error",
        "rate_limits": "off",
    } | changes
    return Settings(_env_file=None, **values)  # type: ignore[arg-type]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_for(tmp_path)


class Running(Protocol):
    """Starts an application in this process and yields a client for it."""

    async def __call__(self, settings: Settings) -> httpx.AsyncClient: ...


@pytest.fixture
async def running(clock: SetClock) -> AsyncIterator[Running]:
    async with AsyncExitStack() as stack:

        async def start(settings: Settings) -> httpx.AsyncClient:
            app: FastAPI = create_app(settings, clock=clock)
            await stack.enter_async_context(app.router.lifespan_context(app))
            transport = httpx.ASGITransport(app, raise_app_exceptions=False)
            client = httpx.AsyncClient(transport=transport, base_url="http://localhost:8000")
            return await stack.enter_async_context(client)

        yield start


@pytest.fixture
async def http(running: Running, settings: Settings) -> httpx.AsyncClient:
    """A client of an application in this process, on real files, with the test's clock."""
    return await running(settings)


NewDevice = Callable[..., Device]


@pytest.fixture
def new_device(http: httpx.AsyncClient, clock: SetClock) -> NewDevice:
    """Makes devices that have not registered yet."""

    def make(key: DeviceKey | None = None) -> Device:
        return Device(http, key or new_key(), clock=clock)

    return make


@pytest.fixture
async def device(new_device: NewDevice) -> Device:
    """A registered device."""
    made = new_device()
    (await made.register()).raise_for_status()
    return made


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    """A real server process on real files."""
    with ServerProcess(tmp_path) as running:
        yield running
