"""The head of a request is bounded in bytes and in time, on the real server."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator

import pytest
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn import Config
from uvicorn.server import ServerState

from app.http import heads
from tests.kit.server import ServerProcess
from tests.kit.wire import exchange, request

CHUNK = b"a" * 64 * 1024


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("heads")) as running:
        yield running


@pytest.mark.parametrize(
    ("head", "more"),
    [
        pytest.param(b"GET /", CHUNK, id="a path"),
        pytest.param(b"GET / HTTP/1.1\r\n", CHUNK, id="a header's name"),
        pytest.param(b"GET / HTTP/1.1\r\nX: ", CHUNK, id="a header's value"),
        pytest.param(b"GET / HTTP/1.1\r\n", b"X: %b\r\n" % CHUNK, id="many headers"),
        pytest.param(
            b"POST /auth/challenge HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n0\r\n",
            b"X: %b\r\n" % CHUNK,
            id="trailers",
        ),
    ],
)
def test_a_head_without_end_is_answered_without_an_end(
    server: ServerProcess, head: bytes, more: bytes
) -> None:
    assert exchange(server.port, head, more * 16).status == 400


def test_a_head_over_the_cap_is_answered_400_and_one_under_it_is_served(
    server: ServerProcess,
) -> None:
    sizes = (heads.MAX_HEAD_BYTES - 1000, heads.MAX_HEAD_BYTES * 20)
    heavy = [request("GET", "/health", b"", f"X: {'a' * size}") for size in sizes]
    served, answer = (exchange(server.port, each) for each in heavy)
    assert (served.status, answer.status) == (200, 400)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "malformed"
    assert {"date", "x-request-id"} < answer.headers.keys()
    assert answer.headers["cache-control"] == "no-store"


class Speaking:
    """The protocol on a port of this process, in front of an application of one line."""

    def __init__(self) -> None:
        self.may_answer = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.may_answer.wait()
        await Response(b"done")(scope, receive, send)

    @contextlib.asynccontextmanager
    async def connected(
        self,
    ) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        config = Config(self, log_config=None, lifespan="off", ws="none")
        config.load()
        state = ServerState()
        server = await asyncio.get_running_loop().create_server(
            lambda: heads.CappedHeads(config, server_state=state, app_state={}), "127.0.0.1", 0
        )
        async with server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            yield reader, writer
            writer.close()


@pytest.mark.parametrize("sent", [b"", b"GET", b"GET / HTTP/1.1\r\nHost: x\r\nX: y"])
async def test_a_head_that_never_ends_ends_the_connection(
    monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr(heads, "HEAD_SECONDS", 0.02)
    async with Speaking().connected() as (reader, writer):
        writer.write(sent)
        assert await asyncio.wait_for(reader.read(), 10) == b""


async def test_a_request_that_is_whole_may_wait_longer_than_its_head(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Even with the beginning of the next one behind it."""
    monkeypatch.setattr(heads, "HEAD_SECONDS", 0.02)
    speaking = Speaking()
    async with speaking.connected() as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        writer.write(b"GET /")
        asyncio.get_running_loop().call_later(0.1, speaking.may_answer.set)
        assert (await asyncio.wait_for(reader.read(), 10)).endswith(b"done")
