"""Asked to stop, the server answers those who wait, closes its files and goes."""

import asyncio
import signal
import time
from pathlib import Path

import httpx
import pytest

from app.http.stopping import on_stop_signal
from tests.kit.commands import COMMANDS, start
from tests.kit.device import Device
from tests.kit.keys import new_key
from tests.kit.server import free_port
from tests.kit.storage import side_files


async def until_it_answers(client: httpx.AsyncClient) -> None:
    async with asyncio.timeout(30):
        while True:
            try:
                (await client.get("/health")).raise_for_status()
            except httpx.TransportError:
                await asyncio.sleep(0.02)
            else:
                return


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_those_who_wait_are_answered_and_files_closed(
    command: list[str], number: signal.Signals, tmp_path: Path
) -> None:
    port = free_port()
    with start(command, port, tmp_path) as server:
        url = f"http://localhost:{port}"
        async with httpx.AsyncClient(base_url=url, timeout=40) as client:
            await until_it_answers(client)
            device = Device(client, new_key(), origin=url)
            (await device.register()).raise_for_status()
            cursor = (await device.push(device.change())).json()["cursor"]
            held = [asyncio.ensure_future(device.pull(cursor, wait=25)) for _ in range(5)]
            await asyncio.wait(held, timeout=0.5)
            assert not any(each.done() for each in held)
            began = time.perf_counter()
            server.send_signal(number)
            answers = await asyncio.gather(*held)
            assert [each.status_code for each in answers] == [200] * 5
            assert [each.json()["changes"] for each in answers] == [[]] * 5
        await asyncio.to_thread(server.wait, 20)
        assert time.perf_counter() - began < 5
    assert number is signal.SIGINT or (tmp_path / "err").read_text() == ""
    assert side_files(tmp_path / "data") == []


async def test_what_the_server_does_on_a_signal_is_still_done() -> None:
    heard: list[str] = []
    before = signal.signal(signal.SIGTERM, lambda *_: heard.append("server"))
    try:
        with on_stop_signal(lambda: heard.append("application")):
            signal.raise_signal(signal.SIGTERM)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        assert sorted(heard) == ["application", "server"]
        signal.raise_signal(signal.SIGTERM)
        assert sorted(heard) == ["application", "server", "server"], "it listens only within"
    finally:
        signal.signal(signal.SIGTERM, before)


async def test_off_the_main_thread_nothing_is_installed() -> None:
    before = signal.getsignal(signal.SIGTERM)

    def elsewhere() -> object:
        async def inside() -> object:
            with on_stop_signal(lambda: None):
                return signal.getsignal(signal.SIGTERM)

        return asyncio.run(inside())

    assert await asyncio.to_thread(elsewhere) is before
