"""The head of a request is bounded in bytes and in time, on the real server."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator

import pytest
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn import Config
from uvicorn.server import ServerState

from app.http import heads
from tests.kit.server import ServerProcess

CHUNK = b"a" * 64 * 1024
MOST_CHUNKS = 320
"""Twenty MiB: far more than sockets hold on the way to a server that does not read."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("heads")) as running:
        yield running


def sent_before_the_end(server: ServerProcess, head: bytes, more: bytes) -> int:
    """How many times `more` went out until the server ended the connection."""
    with socket.create_connection(("127.0.0.1", server.port), 10) as connection:
        connection.sendall(head)
        for times in range(MOST_CHUNKS):
            try:
                connection.sendall(more)
            except (BrokenPipeError, ConnectionResetError):
                return times
    return MOST_CHUNKS


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
def test_a_head_without_end_is_not_taken_in(
    server: ServerProcess, head: bytes, more: bytes
) -> None:
    assert sent_before_the_end(server, head, more) < MOST_CHUNKS


def test_a_head_over_the_cap_is_answered_400_and_one_under_it_is_served(
    server: ServerProcess,
) -> None:
    answers = []
    for size in (heads.MAX_HEAD_BYTES - 1000, heads.MAX_HEAD_BYTES + 1):
        with socket.create_connection(("127.0.0.1", server.port), 10) as connection:
            padding = b"a" * size
            connection.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nX: %b\r\n\r\n" % padding)
            answers.append(connection.recv(4096).split(b" ")[1])
    assert answers == [b"200", b"400"]


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
