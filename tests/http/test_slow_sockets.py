"""Two thousand sockets that take their time, and one device that does not notice them."""

import asyncio
import contextlib
import itertools
import random
import resource
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from app.http.heads import BODY_GRACE_SECONDS, HEAD_SECONDS, STALL_SECONDS
from app.work import BODY_SECONDS
from tests.kit.device import Device
from tests.kit.server import ServerProcess

HEADS, BODIES, READERS = 950, 950, 100
GRACE_SECONDS = 15
KEEP_ALIVE_SECONDS = 5
DRIP_SECONDS = 4
PAGE_ITEMS = 63
"""A page as large as pages are: the system itself keeps some MiB of an answer."""
ITEM_BYTES = 64 * 1024
MEASURED = 200
SERIES = 3


@pytest.fixture
def many_files() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 8192)), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@dataclass
class Slow(asyncio.Protocol):
    """A client that sends a byte now and then, or reads nothing; knows when it was cut off."""

    first: bytes
    drip: bytes
    reads: bool = True
    received: int = 0
    ended_after: float | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.began = time.monotonic()
        self.transport = transport
        transport.write(self.first)
        if not self.reads:
            transport.pause_reading()
        elif self.drip:
            # Not all at once: this process measures as well.
            first = random.uniform(0, DRIP_SECONDS)
            asyncio.get_running_loop().call_later(first, self._drip)

    def _drip(self) -> None:
        if self.ended_after is None and not self.transport.is_closing():
            self.transport.write(self.drip)
            asyncio.get_running_loop().call_later(DRIP_SECONDS, self._drip)

    def data_received(self, data: bytes) -> None:
        self.received += len(data)

    def eof_received(self) -> None:
        self._ended()

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended()

    def _ended(self) -> None:
        if self.ended_after is None:
            self.ended_after = time.monotonic() - self.began


async def opened(port: int, count: int, make: Callable[[], Slow]) -> list[Slow]:
    loop = asyncio.get_running_loop()
    found = []
    for _ in range(count):
        small = socket.socket()
        small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        small.setblocking(False)
        await loop.sock_connect(small, ("127.0.0.1", port))
        _, slow = await loop.create_connection(make, sock=small)
        found.append(slow)
    return found


async def p99(device: Device) -> float:
    """Of a poll that finds nothing new, in seconds: the best of three series, since the machine
    has other work as well."""
    cursor = (await device.pull_all()).cursor
    return min([await series(device, cursor) for _ in range(SERIES)])


async def series(device: Device, cursor: str) -> float:
    took = []
    for _ in range(MEASURED):
        began = time.perf_counter()
        (await device.pull(cursor)).raise_for_status()
        took.append(time.perf_counter() - began)
        await asyncio.sleep(0.005)
    return sorted(took)[int(MEASURED * 0.99)]


async def all_ended(slow: list[Slow], within: float) -> None:
    """Each was cut off within so many seconds of its beginning."""
    for each in slow:
        left = each.began + within - time.monotonic()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, left)):
                for pause in itertools.repeat(0.05):
                    if each.ended_after is not None:
                        break
                    await asyncio.sleep(pause)
    assert [each for each in slow if each.ended_after is None] == []
    assert max(each.ended_after or 0.0 for each in slow) <= within


@pytest.mark.soak
@pytest.mark.usefixtures("many_files")
async def test_two_thousand_slow_sockets_do_not_slow_an_honest_device(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with ServerProcess(tmp_path, LOG_LEVEL="error") as server:
        async with httpx.AsyncClient(base_url=server.url, timeout=30) as http:
            device = Device(http, origin=server.url)
            (await device.register()).raise_for_status()
            data = bytes(ITEM_BYTES)
            for _ in range(PAGE_ITEMS):
                (await device.push(device.change(data=data))).raise_for_status()
            idle = await p99(device)
            token = str(device.session["access_token"])
            whole = len((await device.pull()).content)
            asking = f"GET /sync/pull HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n"
            readers = await opened(
                server.port, READERS, lambda: Slow(asking.encode(), b"", reads=False)
            )
            heads = await opened(
                server.port, HEADS, lambda: Slow(b"GET / HTTP/1.1\r\nHost: x\r\n", b"X: y\r\n")
            )
            body = (
                b"POST /auth/challenge HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                b"Content-Length: 10000\r\n\r\n"
            )
            bodies = await opened(server.port, BODIES, lambda: Slow(body, b" "))
            busy = await p99(device)
            await all_ended(heads, HEAD_SECONDS + GRACE_SECONDS)
            await all_ended(bodies, BODY_SECONDS + BODY_GRACE_SECONDS + GRACE_SECONDS)
            until = max(each.began for each in readers) + KEEP_ALIVE_SECONDS
            until += STALL_SECONDS + GRACE_SECONDS
            await asyncio.sleep(max(0.0, until - time.monotonic()))
            for each in readers:
                each.transport.resume_reading()
            await all_ended(readers, until + 10 - readers[0].began)
            assert max(each.received for each in readers) < whole, "what was cut off is not whole"
            last = max(each.ended_after or 0.0 for each in heads), max(
                each.ended_after or 0.0 for each in bodies
            )
    with capsys.disabled():
        print(
            f"\np99 idle {idle * 1000:.1f} ms, among slow sockets {busy * 1000:.1f} ms;"
            f" the last slow head ended after {last[0]:.1f} s, the last slow body {last[1]:.1f} s"
        )
    assert busy < 5 * idle
