"""The server is asked to stop while devices are at work."""

import asyncio
import time

import httpx

from tests.kit.device import Device
from tests.kit.server import ServerProcess
from tests.kit.sync import tables_of, verdicts

PROMPTLY_SECONDS = 5


async def test_a_stop_answers_who_waits_and_does_not_wait_for_them(server: ServerProcess) -> None:
    """A pull may wait 25 seconds; a stop takes a fraction of that, and the pull ends as a page or
    as a refusal that says to come again."""
    async with httpx.AsyncClient(base_url=server.url, timeout=30) as http:
        device = Device(http)
        (await device.register()).raise_for_status()
        cursor = (await device.pull()).json()["cursor"]
        pull = asyncio.create_task(device.pull(cursor, wait=25))
        for _ in range(5):
            await device.call("GET", "/sync/status")
        assert not pull.done()
        began = time.monotonic()
        await asyncio.to_thread(server.stop)
        assert time.monotonic() - began < PROMPTLY_SECONDS
        answer = await pull
    assert answer.status_code in (200, 503)
    if answer.is_success:
        assert answer.json()["changes"] == []


async def test_pushes_that_a_stop_crosses_are_answered_or_were_never_taken(
    server: ServerProcess,
) -> None:
    async with httpx.AsyncClient(base_url=server.url, timeout=30) as http:
        device = Device(http)
        (await device.register()).raise_for_status()
        changes = [device.change() for _ in range(40)]
        pushes = [asyncio.create_task(device.push(change)) for change in changes]
        await pushes[0]
        stopping = asyncio.create_task(asyncio.to_thread(server.stop))
        answers = await asyncio.gather(*pushes, return_exceptions=True)
        await stopping
    taken = set()
    for change, answer in zip(changes, answers, strict=True):
        if isinstance(answer, httpx.Response) and answer.is_success:
            assert verdicts(answer.json()) == ["applied"]
            taken.add(change["id"])
    stored = tables_of(server.data, device.user_id)
    stored.check()
    assert taken <= {version.key[1] for version in stored.versions}
    assert (
        not server.data.joinpath("users", device.user_id[:2])
        .joinpath(f"user_{device.user_id}.db-wal")
        .exists()
    ), "a stop leaves a closed database"
