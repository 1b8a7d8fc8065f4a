"""What every answer carries, and what a fault of ours shows: nothing."""

import contextlib
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Response
from starlette.responses import StreamingResponse

from app import events
from app.config import Settings
from app.main import create_app
from tests.conftest import Running, settings_for
from tests.kit.clock import SetClock
from tests.kit.device import Device
from tests.kit.identity import said

CANARY = "canary_e4d909c290d0fb1c"

Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def settings(tmp_path: Any) -> Settings:
    return settings_for(tmp_path, log_level="debug")


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]) -> Lines:
    def read() -> list[dict[str, Any]]:
        events.flush()
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    return read


async def answers(device: Device) -> AsyncIterator[httpx.Response]:
    """One of each kind."""
    yield await device.call("GET", "/")
    yield await device.call("GET", "/nowhere")
    yield await device.call("PUT", "/sync/pull")
    yield await device.call("GET", "/sync/status")
    yield await device.call("GET", "/sync/status", token=None)
    yield await device.call("GET", "/sync/status", token="x")
    yield await device.call("POST", "/sync/push", {})
    yield await device.call("POST", "/auth/challenge", {})
    yield await device.call("GET", "/auth/nowhere")
    yield await device.call("DELETE", f"/auth/devices/{device.id}")
    yield await device.call("POST", "/auth/register/challenge", {})
    yield await device.push(device.change())


async def test_every_answer_carries_the_fixed_headers(device: Device) -> None:
    seen = set()
    async for answer in answers(device):
        headers = answer.headers
        seen.add(headers["x-request-id"])
        assert headers["cache-control"] == "no-store"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        policy = headers["content-security-policy"]
        assert policy == "default-src 'none'; frame-ancestors 'none'"
        assert "strict-transport-security" not in headers
        assert "server" not in headers
        renews = answer.status_code == 401 or answer.url.path.startswith("/auth/")
        assert ("dpop-nonce" in headers) == renews, answer.url.path
        assert ("www-authenticate" in headers) == (answer.status_code == 401)
    assert len(seen) == 12


async def test_each_request_is_one_line_that_tells_no_path(device: Device, lines: Lines) -> None:
    lines()
    await device.call("GET", f"/{CANARY}")
    await device.call("GET", f"/auth/pairings/{CANARY}")
    await device.call("GET", f"/sync/pull?cursor={CANARY}", headers={"X-Request-Id": CANARY})
    await device.http.request(CANARY, "/health")
    found = lines()
    assert CANARY not in json.dumps(found)
    told = [(each["method"], each["route"], each["status"]) for each in found]
    assert told == [
        ("GET", "(none)", 404),
        ("GET", "/auth/pairings/{pairing_id}", 404),
        ("GET", "/sync/pull", 422),
        ("other", "/health", 405),
    ]
    for each in found:
        assert set(each) == {
            "event", "level", "at", "request_id", "method", "route", "status", "milliseconds",
        }  # fmt: skip


async def test_a_line_is_found_by_the_id_that_the_answer_carries(
    device: Device, lines: Lines
) -> None:
    lines()
    answer = await device.call("GET", "/health")
    assert [each["request_id"] for each in lines()] == [answer.headers["x-request-id"]]


class Faulty(Exception):
    pass


@pytest.fixture
async def faulty(settings: Settings, clock: SetClock) -> AsyncIterator[httpx.AsyncClient]:
    """The application with calls that fail."""
    app = create_app(settings, clock=clock)
    add_faults(app)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            yield client


def add_faults(app: FastAPI) -> None:
    @app.get("/fails")
    async def fails() -> None:
        secret = CANARY
        raise Faulty(secret, {CANARY: secret})

    @app.get("/fails/within")
    async def within() -> None:
        try:
            raise KeyError(CANARY)
        except KeyError as error:
            raise Faulty(CANARY) from error

    @app.get("/fails/late")
    async def late() -> Response:
        async def content() -> AsyncIterator[bytes]:
            yield b"begun"
            raise Faulty(CANARY)

        return StreamingResponse(content())

    @app.get("/fails/group")
    async def group() -> None:
        raise ExceptionGroup(CANARY, [Faulty(CANARY)])


@pytest.mark.parametrize("path", ["/fails", "/fails/within", "/fails/group"])
async def test_a_fault_of_ours_shows_nothing_and_is_told_by_class_and_place(
    faulty: httpx.AsyncClient, lines: Lines, path: str
) -> None:
    answer = await faulty.get(path)
    assert said(answer) == (500, "internal_error")
    assert answer.headers["x-request-id"]
    assert answer.headers["cache-control"] == "no-store"
    assert CANARY not in answer.text + str(answer.headers)
    found = lines()
    assert CANARY not in json.dumps(found)
    failed = next(each for each in found if each["event"] == "request_failed")
    assert failed["error"] == ("ExceptionGroup" if path.endswith("group") else "Faulty")
    assert failed["where"][-1].startswith("http/test_middleware.py:")
    assert failed["request_id"] == answer.headers["x-request-id"]


async def test_a_fault_after_the_answer_began_is_told_too(
    faulty: httpx.AsyncClient, lines: Lines
) -> None:
    with contextlib.suppress(AssertionError):  # the client in this process insists on an end
        await faulty.get("/fails/late")
    found = lines()
    assert [each["error"] for each in found if each["event"] == "request_failed"] == ["Faulty"]
    assert CANARY not in json.dumps(found)


async def test_where_the_origin_is_https_browsers_are_told_to_keep_to_it(
    running: Running, tmp_path: Path
) -> None:
    http = await running(settings_for(tmp_path, public_origin="https://sync.example"))
    answer = await http.get("/nowhere")
    assert answer.headers["strict-transport-security"] == "max-age=31536000"


async def test_the_pages_of_debug_may_load_what_they_are_made_of(
    running: Running, tmp_path: Path
) -> None:
    http = await running(settings_for(tmp_path, debug=True))
    for path in ("/docs", "/redoc"):
        assert "cdn.jsdelivr.net" in (await http.get(path)).headers["content-security-policy"]
    for path in ("/", "/openapi.json"):
        policy = (await http.get(path)).headers["content-security-policy"]
        assert policy == "default-src 'none'; frame-ancestors 'none'"
