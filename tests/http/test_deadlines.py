"""A request that takes too long is answered, and whatever it began goes on to its end."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.responses import PlainTextResponse
from starlette.types import Message, Receive, Scope, Send
from uvicorn import Config
from uvicorn.server import ServerState

from app import problems, work
from app.http import middleware
from app.http.heads import CappedHeads
from app.http.middleware import Skin
from app.main import create_app
from app.work import current, resting
from tests.conftest import settings_for
from tests.kit.clock import SetClock
from tests.kit.identity import said

ORIGIN = "https://app.example"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(work, "WORK_SECONDS", 0.1)
    monkeypatch.setattr(work, "BODY_SECONDS", 0.1)
    monkeypatch.setattr(work, "BODY_MOST_SECONDS", 0.5)


class Slow:
    """The application, with calls that take as long as they are made to."""

    def __init__(self, folder: Path) -> None:
        settings = settings_for(folder, cors_origins=(ORIGIN,))
        self.app = create_app(settings, clock=SetClock())
        self.may_end = asyncio.Event()
        self.ended = asyncio.Event()
        self.begun = asyncio.Semaphore(0)
        self._add_calls(self.app)

    def _add_calls(self, app: FastAPI) -> None:
        @app.get("/hangs")
        async def hangs() -> dict[str, bool]:
            self.begun.release()
            await self.may_end.wait()
            self.ended.set()
            return {"done": True}

        @app.get("/waits")
        async def waits() -> dict[str, bool]:
            with resting():
                await self.may_end.wait()
            return {"done": True}

        @app.get("/fails")
        async def fails() -> None:
            raise RuntimeError

    @contextlib.asynccontextmanager
    async def served(self) -> AsyncIterator[int]:
        """The port at which the real protocol serves it."""
        async with self.app.router.lifespan_context(self.app):
            config = Config(self.app, log_config=None, lifespan="off", ws="none")
            config.load()
            state = ServerState()
            server = await asyncio.get_running_loop().create_server(
                lambda: CappedHeads(config, server_state=state, app_state={}), "127.0.0.1", 0
            )
            async with server:
                yield server.sockets[0].getsockname()[1]
                self.may_end.set()


@pytest.fixture
def slow(tmp_path: Path) -> Slow:
    return Slow(tmp_path)


@contextlib.asynccontextmanager
async def client_of(port: int) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{port}", headers={"Origin": ORIGIN}
    ) as client:
        yield client


async def test_what_hangs_is_answered_and_its_work_is_not_cut_off(slow: Slow) -> None:
    async with slow.served() as port, client_of(port) as client:
        answer = await client.get("/hangs")
        assert said(answer) == (503, "took_too_long")
        assert answer.headers["Retry-After"] == "2"
        assert not slow.ended.is_set()
        assert (await client.get("/health")).status_code == 200, "on the same connection"
        slow.may_end.set()
        await asyncio.wait_for(slow.ended.wait(), 10)


async def test_who_waits_for_news_may_wait_longer(slow: Slow) -> None:
    async with slow.served() as port, client_of(port) as client:
        asyncio.get_running_loop().call_later(0.4, slow.may_end.set)
        assert (await client.get("/waits")).json() == {"done": True}


async def test_a_body_that_stays_away_is_answered_408_and_the_connection_closed(
    slow: Slow,
) -> None:
    async with slow.served() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(
            b"POST /auth/challenge HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b'Content-Length: 100\r\n\r\n{"key'
        )
        head, _, body = (await asyncio.wait_for(reader.read(), 10)).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 408")
        assert b"connection: close" in head.lower()
        assert json.loads(body)["code"] == "request_timeout"
        writer.close()


async def test_a_body_that_trickles_has_an_end_as_well(slow: Slow) -> None:
    """It earns time with what it brings, but never more than two minutes, here half a second."""
    async with slow.served() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(
            b"POST /auth/challenge HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
        )
        answer = asyncio.ensure_future(reader.read())
        while not answer.done():
            writer.write(b"1\r\n \r\n")
            await asyncio.wait([answer], timeout=0.02)
        # To close on one who is sending may reset the connection, and the answer is lost with it.
        if answer.exception() is None:
            assert answer.result().startswith(b"HTTP/1.1 408")
        else:
            assert isinstance(answer.exception(), ConnectionResetError)
        writer.close()


async def test_more_than_the_server_can_work_at_are_told_to_come_back(
    slow: Slow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(middleware, "MAX_AT_WORK", 2)
    monkeypatch.setattr(work, "WORK_SECONDS", 60.0)
    async with slow.served() as port, client_of(port) as client:
        hanging = [asyncio.ensure_future(client.get("/hangs")) for _ in range(2)]
        for _ in hanging:
            await asyncio.wait_for(slow.begun.acquire(), 10)
        answer = await client.get("/health")
        assert said(answer) == (503, "overloaded")
        assert answer.headers["Retry-After"] == "2"
        slow.may_end.set()
        assert [each.status_code for each in await asyncio.gather(*hanging)] == [200, 200]
        assert (await client.get("/health")).status_code == 200


async def test_those_who_wait_or_send_slowly_are_not_counted(
    slow: Slow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(middleware, "MAX_AT_WORK", 2)
    monkeypatch.setattr(work, "BODY_SECONDS", 60.0)
    async with slow.served() as port, client_of(port) as client:
        waiting = [asyncio.ensure_future(client.get("/waits")) for _ in range(3)]
        sending = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
        for _, writer in sending:
            writer.write(
                b"POST /auth/challenge HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                b"Content-Length: 100\r\n\r\n{"
            )
        for _ in range(5):
            assert (await client.get("/health")).status_code == 200
        slow.may_end.set()
        await asyncio.gather(*waiting)
        for _, writer in sending:
            writer.close()


async def test_web_pages_may_read_the_answers_to_what_went_wrong(
    slow: Slow, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with slow.served() as port, client_of(port) as client:
        answers = [await client.get("/fails"), await client.get("/hangs")]
        monkeypatch.setattr(middleware, "MAX_AT_WORK", 0)
        answers.append(await client.get("/health"))
    assert [answer.status_code for answer in answers] == [500, 503, 503]
    for answer in answers:
        assert answer.headers["access-control-allow-origin"] == ORIGIN
        assert "Retry-After" in answer.headers["access-control-expose-headers"]


async def test_too_many_fields_are_refused_by_whatever_server_runs_the_application(
    slow: Slow,
) -> None:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    scope: dict[str, Any] = {
        "type": "http",
        "method": "GET",
        "path": "/health",
        "query_string": b"",
        "headers": [(b"x", b"y")] * 65,
    }
    await slow.app(scope, receive, send)
    assert sent[0]["status"] == 400


async def test_work_that_ends_in_the_very_turn_of_its_deadline_is_answered_once() -> None:
    async def ending(scope: Scope, receive: Receive, send: Send) -> None:
        work = current()
        assert work is not None
        work.on_late("working")
        await PlainTextResponse("too late")(scope, receive, send)

    skin = Skin(ending, nonce=lambda: "n", failure=problems.render, fixed=lambda _: ())
    transport = httpx.ASGITransport(skin)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
        answer = await http.get("/")
    assert (answer.status_code, answer.json()["code"]) == (503, "took_too_long")
