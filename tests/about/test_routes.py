"""`GET /` and `GET /health`."""

import asyncio
import time

import httpx

from app import __version__
from app.config import Settings
from app.limits import published_limits
from tests.kit.device import Device
from tests.kit.identity import said
from tests.kit.storage import write_locked
from tests.kit.sync import user_file


async def test_anybody_may_see_name_version_and_limits(
    http: httpx.AsyncClient, settings: Settings
) -> None:
    assert (await http.get("/")).json() == {
        "name": "echolia",
        "version": __version__,
        "api_version": 1,
        "limits": published_limits(settings),
    }


async def test_health_says_that_all_is_well_and_nothing_more(http: httpx.AsyncClient) -> None:
    answer = await http.get("/health")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok", "database": "ok"})


async def test_limits_are_the_same_wherever_they_are_told(
    device: Device, settings: Settings
) -> None:
    status = (await device.call("GET", "/sync/status")).json()
    assert status["limits"] == (await device.call("GET", "/")).json()["limits"]
    assert all(isinstance(value, int) and value > 0 for value in status["limits"].values())


async def test_health_answers_while_users_work_is_stuck(device: Device, settings: Settings) -> None:
    (await device.push(device.change())).raise_for_status()
    with write_locked(user_file(settings.data_dir, device.user_id)):
        stuck = [asyncio.ensure_future(device.push(device.change())) for _ in range(5)]
        await asyncio.wait(stuck, timeout=0.2)
        began = time.perf_counter()
        assert said(await device.call("GET", "/health", token=None)) == (200, None)
        assert time.perf_counter() - began < 1.5
        assert not any(each.done() for each in stuck)
    answers = await asyncio.gather(*stuck)
    assert [each.status_code for each in answers] == [200] * 5


async def test_health_does_not_wait_for_a_master_database_that_is_stuck(
    device: Device, settings: Settings
) -> None:
    """Somebody else's lock delays the one write before it; the answer comes all the same."""
    with write_locked(settings.data_dir / "master.db"):
        stuck = asyncio.ensure_future(Device(device.http, clock=device.clock).register())
        await asyncio.wait([stuck], timeout=0.2)
        answer = await device.call("GET", "/health", token=None)
        assert said(answer) == (503, "storage_busy")
        assert answer.headers["retry-after"] == "1"
    assert (await stuck).status_code == 201
    assert said(await device.call("GET", "/health", token=None)) == (200, None)
