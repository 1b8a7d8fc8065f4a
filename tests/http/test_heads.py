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
from app.http.crowd import Crowd
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


def test_a_head_has_64_fields_and_no_more(server: ServerProcess) -> None:
    own = len(request("GET", "/health").split(b"\r\n")) - 3  # the request line, and the end
    most = [f"X-{number}: a" for number in range(64 - own)]
    served = exchange(server.port, request("GET", "/health", b"", *most))
    refused = exchange(server.port, request("GET", "/health", b"", *most, "X-Last: a"))
    assert (served.status, refused.status) == (200, 400)
    assert refused.json()["code"] == "malformed"


class Speaking:
    """The protocol on a port of this process, in front of an application of few lines."""

    def __init__(self, answer: bytes = b"done", crowd: Crowd | None = None) -> None:
        self.may_answer = asyncio.Event()
        self.answer = answer
        self.protocol = heads.heads_of(crowd or Crowd())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.may_answer.wait()
        await Response(self.answer)(scope, receive, send)

    @contextlib.asynccontextmanager
    async def connected(
        self,
    ) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        config = Config(self, log_config=None, lifespan="off", ws="none")
        config.load()
        state = ServerState()
        server = await asyncio.get_running_loop().create_server(
            lambda: self.protocol(config, server_state=state, app_state={}), "127.0.0.1", 0
        )
        async with server:
            self.address = server.sockets[0].getsockname()
            reader, writer = await asyncio.open_connection(*self.address)
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


BODY = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks often, and gives up soon."""
    monkeypatch.setattr(heads, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(heads, "BODY_GRACE_SECONDS", 0.0)
    monkeypatch.setattr(heads, "body_seconds", lambda received: 0.05)
    monkeypatch.setattr(heads, "STALL_SECONDS", 0.1)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("answered", [True, False])
async def test_a_body_that_never_ends_ends_the_connection_answered_or_not(answered: bool) -> None:
    speaking = Speaking()
    if answered:
        speaking.may_answer.set()
    async with speaking.connected() as (reader, writer):
        writer.write(BODY + b"a" * 10)
        answer = await asyncio.wait_for(reader.read(), 10)
        assert answer.endswith(b"done") is answered


@pytest.mark.usefixtures("impatient")
async def test_an_answer_that_nobody_takes_is_given_up() -> None:
    speaking = Speaking(bytes(64 * 1024 * 1024))
    speaking.may_answer.set()
    async with speaking.connected() as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        reader._transport.pause_reading()  # type: ignore[attr-defined]
        protocol = await one_in(speaking)
        async with asyncio.timeout(10):
            while speaking.protocol.crowd.count:  # noqa: ASYNC110 - its end is no event
                await asyncio.sleep(0.01)
        assert protocol.transport.is_closing()


async def one_in(speaking: Speaking) -> heads.CappedHeads:
    """The server's side of the connection."""
    async with asyncio.timeout(10):
        while not speaking.protocol.crowd.count:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0)
    (found,) = speaking.protocol.crowd._groups
    assert isinstance(found, heads.CappedHeads)
    return found


async def test_an_answer_that_is_taken_slowly_is_taken_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Longer than a stall may last, but with something going out all the while."""
    monkeypatch.setattr(heads, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(heads, "STALL_SECONDS", 0.3)
    size = 24 * 1024 * 1024
    speaking = Speaking(bytes(size))
    speaking.may_answer.set()
    async with speaking.connected() as (reader, writer):
        began = asyncio.get_running_loop().time()
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        got = 0
        while chunk := await reader.read(256 * 1024):
            got += len(chunk)
            await asyncio.sleep(0.005)
        assert got > size
        assert asyncio.get_running_loop().time() - began > 0.3


async def test_one_too_many_of_an_address_is_told_to_come_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A test comes from this machine, whose connections are not counted otherwise."""
    crowd = Crowd(10, 1)
    monkeypatch.setattr(crowd, "_group", lambda peer: "one")
    speaking = Speaking(crowd=crowd)
    speaking.may_answer.set()
    async with speaking.connected() as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await reader.readuntil(b"done")).startswith(b"HTTP/1.1 200")
        second, other = await asyncio.open_connection(*speaking.address)
        refused = await asyncio.wait_for(second.read(), 10)
        assert refused.startswith(b"HTTP/1.1 503")
        assert b"retry-after: 5\r\n" in refused
        assert b'"code":"overloaded"' in refused
        other.close()
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await reader.readuntil(b"done")).startswith(b"HTTP/1.1 200")


async def test_who_says_nothing_makes_way_for_who_comes() -> None:
    speaking = Speaking(crowd=Crowd(1, None))
    speaking.may_answer.set()
    async with speaking.connected() as (silent, _):
        reader, writer = await asyncio.open_connection(*speaking.address)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert (await asyncio.wait_for(reader.read(), 10)).endswith(b"done")
        with contextlib.suppress(ConnectionResetError):
            assert await asyncio.wait_for(silent.read(), 10) == b""
        writer.close()
