"""Streams of events, over real connections to a real server."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import httpx
import pytest

from tests.kit.device import Device
from tests.kit.keys import new_key
from tests.kit.pair import paired
from tests.kit.server import ServerProcess
from tests.kit.stream import streaming
from tests.kit.sync import account_of

LIVE_MILLISECONDS = 1000


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server for all tests that leave it as it was."""
    with ServerProcess(tmp_path_factory.mktemp("lasting")) as running:
        yield running


@asynccontextmanager
async def registered(server: ServerProcess) -> AsyncIterator[Device]:
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=server.url, timeout=30, limits=limits) as http:
        made = Device(http)
        (await made.register()).raise_for_status()
        yield made


@pytest.fixture
async def device(lasting: ServerProcess) -> AsyncIterator[Device]:
    """A device of an account of its own."""
    async with registered(lasting) as made:
        yield made


@pytest.fixture
async def guest(server: ServerProcess) -> AsyncIterator[Device]:
    """A device of a server that the test may end."""
    async with registered(server) as made:
        yield made


@contextmanager
def deaf_reader(server: ServerProcess, device: Device) -> Iterator[socket.socket]:
    """A stream that nobody reads, over a connection that holds little."""
    token = device.session["access_token"]
    with socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        deaf.connect(("127.0.0.1", server.port))
        head = f"GET /sync/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"
        deaf.sendall(f"{head}\r\n".encode())
        yield deaf


async def now_at(device: Device) -> str:
    return str((await device.call("GET", "/sync/status")).json()["cursor"])


async def test_a_stream_begins_with_where_the_account_stands(device: Device) -> None:
    await device.push(device.change())
    async with streaming(device) as stream:
        assert await stream.next() == ("change", {"cursor": await now_at(device)})
        head = stream.response.headers
        assert stream.response.status_code == 200
        assert head["content-type"].startswith("text/event-stream")
        assert (head["x-accel-buffering"], head["cache-control"]) == ("no", "no-store")


async def test_all_devices_hear_of_a_push_and_so_does_the_one_that_pushed(device: Device) -> None:
    """Twenty of them, each once, with the place that the account stands at then."""
    devices = await account_of(device, 20)
    async with AsyncExitStack() as stack:
        streams = [await stack.enter_async_context(streaming(each)) for each in devices]
        for stream in streams:
            await stream.next()
        began = time.monotonic()
        await devices[7].push(devices[7].change())
        heard = await asyncio.gather(*(stream.next() for stream in streams))
        assert (time.monotonic() - began) * 1000 < LIVE_MILLISECONDS
        assert heard == [("change", {"cursor": await now_at(device)})] * 20


async def test_the_last_of_many_changes_is_told_and_most_of_the_others_are_not(
    device: Device,
) -> None:
    async with streaming(device) as stream:
        await stream.next()
        for _ in range(40):
            await device.push(device.change())
        last, told = await now_at(device), 0
        while (await stream.next())[1]["cursor"] != last:
            told += 1
        assert told < 40


async def test_another_accounts_push_is_not_told(device: Device) -> None:
    stranger = Device(device.http, new_key())
    (await stranger.register()).raise_for_status()
    async with streaming(device) as stream:
        await stream.next()
        await stranger.push(stranger.change())
        await device.push(device.change())
        assert await stream.next() == ("change", {"cursor": await now_at(device)})


async def test_a_push_that_changes_nothing_is_not_told(device: Device) -> None:
    change = device.change()
    await device.push(change)
    async with streaming(device) as stream:
        before = (await stream.next())[1]["cursor"]
        await device.push(change)
        await device.push(device.change())
        assert (await stream.next())[1]["cursor"] == await now_at(device) != before


async def test_a_revoked_device_is_told_so_and_the_others_that_their_list_changed(
    device: Device,
) -> None:
    other = await paired(device, Device(device.http, new_key()))
    async with streaming(device) as stays, streaming(other) as goes:
        await stays.next()
        await goes.next()
        await device.call("DELETE", f"/auth/devices/{other.id}", proof=True)
        assert await goes.end() == [("bye", {"reason": "revoked"})]
        assert await stays.next() == ("devices", {})


async def test_what_is_pushed_after_a_revocation_is_not_told_to_the_revoked(
    device: Device,
) -> None:
    other = await paired(device, Device(device.http, new_key()))
    async with streaming(other) as stream:
        await stream.next()
        await asyncio.gather(
            device.call("DELETE", f"/auth/devices/{other.id}", proof=True),
            *(device.push(device.change()) for _ in range(5)),
        )
        heard = await stream.end()
    assert heard[-1] == ("bye", {"reason": "revoked"})


async def test_a_logout_ends_the_streams_of_that_session_alone(device: Device) -> None:
    again = Device(device.http, device.key)
    (await again.log_in()).raise_for_status()
    async with streaming(device) as stays, streaming(again) as goes:
        await stays.next()
        await goes.next()
        await again.call("POST", "/auth/logout")
        assert await goes.end() == [("bye", {"reason": "logout"})]
        await device.push(device.change())
        assert (await stays.next())[0] == "change"


async def test_a_new_device_is_told(device: Device) -> None:
    async with streaming(device) as stream:
        await stream.next()
        await paired(device, Device(device.http, new_key()))
        assert await stream.next() == ("devices", {})


async def test_a_stop_says_goodbye_and_is_quick(guest: Device, server: ServerProcess) -> None:
    async with streaming(guest) as stream:
        await stream.next()
        began = time.monotonic()
        stop = asyncio.create_task(asyncio.to_thread(server.stop))
        assert await stream.end() == [("bye", {"reason": "shutdown"})]
        assert time.monotonic() - began < 1
        await stop
    assert time.monotonic() - began < 5


async def test_a_sixth_stream_of_a_device_ends_its_first(device: Device) -> None:
    async with AsyncExitStack() as stack:
        streams = [await stack.enter_async_context(streaming(device)) for _ in range(6)]
        assert ("bye", {"reason": "slow"}) in await streams[0].end()
        for stream in streams[1:]:
            await stream.next()
        await device.push(device.change())
        assert [(await stream.next())[0] for stream in streams[1:]] == ["change"] * 5


async def test_head_has_the_headers_and_no_stream(device: Device) -> None:
    answer = await device.call("HEAD", "/sync/events")
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-type"].startswith("text/event-stream")


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("POST", "/sync/events", 405, "method_not_allowed"),
        ("GET", "/sync/events?cursor=x", 422, "invalid"),
    ],
)
async def test_what_is_no_such_call_is_refused_as_everywhere(
    device: Device, method: str, path: str, status: int, code: str
) -> None:
    answer = await device.call(method, path)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_without_a_token_there_is_no_stream(device: Device) -> None:
    answer = await device.call("GET", "/sync/events", token=None)
    assert (answer.status_code, answer.json()["code"]) == (401, "not_authenticated")


async def test_where_every_call_needs_a_proof_so_does_a_stream(
    tmp_path: Path,
) -> None:
    with ServerProcess(tmp_path, PROOF_REQUIRED="always") as strict:
        async with registered(strict) as device:
            bare = await device.call("GET", "/sync/events")
            assert (bare.status_code, bare.json()["code"]) == (401, "proof_required")
            async with streaming(device, proof=True) as stream:
                assert (await stream.next())[0] == "change"


async def test_a_reader_that_takes_nothing_holds_up_nobody_and_nothing_is_kept_for_it(
    lasting: ServerProcess, device: Device
) -> None:
    """Its connection is full soon; then the server keeps one event for it, however many follow."""
    with deaf_reader(lasting, device):
        async with streaming(device) as stream:
            await stream.next()
            for _ in range(30):
                await device.push(device.change())
                await stream.until("change")


async def test_a_follower_hears_again_after_the_server_was_killed(
    server: ServerProcess, guest: Device
) -> None:
    async with streaming(guest) as stream:
        await stream.next()
        await guest.push(guest.change())
        server.kill()
        with pytest.raises(httpx.TransportError):
            await stream.end()
    server.start()
    async with streaming(guest) as stream:
        assert await stream.next() == ("change", {"cursor": await now_at(guest)})


@pytest.mark.soak
async def test_a_reader_that_takes_nothing_for_half_a_minute_is_cut_off(
    server: ServerProcess, guest: Device
) -> None:
    began = time.monotonic()
    with deaf_reader(server, guest):
        while "/sync/events" not in server.log.read_text():  # it is logged when it is over
            assert time.monotonic() - began < 120
            await guest.push(guest.change())
            await asyncio.sleep(0.05)
    assert time.monotonic() - began >= 30
