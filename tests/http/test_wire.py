"""What only a real server and no well-behaved client shows."""

import contextlib
import json
import socket
from collections.abc import Iterator

import httpx
import pytest

from tests.http.test_bodies import CANARY
from tests.kit.device import Device
from tests.kit.keys import new_key
from tests.kit.server import ServerProcess
from tests.kit.wire import exchange, request

MIB = 1024 * 1024


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("wire"), LOG_LEVEL="debug") as running:
        yield running
    lines = running.log.read_text().splitlines()
    assert lines
    assert all("event" in json.loads(line) for line in lines), "something else wrote to the log"
    assert CANARY not in running.log.read_text()


def socket_of(server: ServerProcess) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), 10)


def test_every_answer_is_dated_and_names_no_server(server: ServerProcess) -> None:
    for method, path in (("GET", "/"), ("GET", "/none"), ("POST", "/sync/push"), ("PUT", "/")):
        headers = exchange(server.port, request(method, path)).headers
        assert headers["date"].endswith(" GMT")
        assert headers["x-request-id"]
        assert "server" not in headers
        assert headers["cache-control"] == "no-store"


def test_a_length_beyond_the_cap_is_refused_before_the_body(server: ServerProcess) -> None:
    for length in (64 * 1024, 10**9, 10**18):
        head = request("POST", "/auth/challenge", b"", f"Content-Length: {length}")
        answer = exchange(server.port, head)
        assert (answer.status, answer.json()["code"]) == (413, "body_too_large")


@pytest.mark.parametrize("length", ["-1", "x", "1x", "0x10", "1, 2", CANARY, "9" * 40])
def test_a_length_that_is_none_ends_the_connection(server: ServerProcess, length: str) -> None:
    answer = exchange(
        server.port, request("POST", "/auth/challenge", b"{}", f"Content-Length: {length}")
    )
    assert answer.raw == b"" or answer.status in (400, 413)
    assert CANARY.encode() not in answer.raw


def test_two_lengths_or_a_length_beside_chunks_are_not_two_requests(
    server: ServerProcess,
) -> None:
    smuggled = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
    for lines in (
        ("Content-Length: 2", f"Content-Length: {2 + len(smuggled)}"),
        ("Content-Length: 2", "Transfer-Encoding: chunked"),
        ("Transfer-Encoding: chunked", "Transfer-Encoding: identity"),
        ("Transfer-Encoding: xchunked",),
    ):
        answer = exchange(server.port, request("POST", "/auth/challenge", b"{}" + smuggled, *lines))
        assert answer.raw == b"" or answer.status >= 400, lines


def test_a_body_shorter_than_announced_stores_nothing_and_ends(server: ServerProcess) -> None:
    head = request("POST", "/auth/register/challenge", b"", "Content-Length: 100")
    with socket_of(server) as connection:
        connection.sendall(head + b"{}")
        connection.shutdown(socket.SHUT_WR)
        assert b"200 OK" not in connection.recv(4096)
    assert exchange(server.port, request("GET", "/health")).status == 200


def test_chunks_beyond_the_cap_are_cut(server: ServerProcess) -> None:
    head = request("POST", "/auth/challenge", b"", "Transfer-Encoding: chunked")
    chunk = b"2000\r\n" + b" " * 0x2000 + b"\r\n"
    answer = exchange(server.port, head, *[chunk] * 3, b"0\r\n\r\n")
    assert (answer.status, answer.json()["code"]) == (413, "body_too_large")


def test_chunks_within_the_cap_are_read(server: ServerProcess) -> None:
    head = request("POST", "/auth/register/challenge", b"", "Transfer-Encoding: chunked")
    answer = exchange(server.port, head, b"1\r\n{\r\n", b"1\r\n}\r\n", b"0\r\n\r\n")
    assert answer.status == 200


@pytest.mark.parametrize(
    "raw",
    [
        b"\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        CANARY.encode() + b"\r\n\r\n",
        b"GET /" + CANARY.encode() + b"\x00 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nBad Header: " + CANARY.encode() + b"\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET " + b"/a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
    ids=["empty", "short", "version", "word", "zero", "header", "TLS", "long path"],
)
def test_what_is_no_http_does_not_hurt_others(server: ServerProcess, raw: bytes) -> None:
    received = b""
    with socket_of(server) as connection, contextlib.suppress(OSError):  # it may hang up early
        connection.sendall(raw)
        connection.shutdown(socket.SHUT_WR)
        received = connection.recv(65536)
    assert CANARY.encode() not in received
    assert not received or int(received.split(b" ")[1]) in range(400, 500)
    assert exchange(server.port, request("GET", "/health")).status == 200


@pytest.mark.parametrize("size", [9 * MIB, 40 * MIB])
def test_a_client_that_sends_far_too_much_is_told_so(server: ServerProcess, size: int) -> None:
    """Not only cut off: the refusal can be read while the body is still being sent."""
    with httpx.Client(base_url=server.url) as client:
        for _ in range(5):
            answer = client.post(
                "/auth/challenge", content=bytes(size), headers={"Content-Type": "application/json"}
            )
            assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


async def test_a_push_over_the_cap_is_told_so(server: ServerProcess) -> None:
    async with httpx.AsyncClient(base_url=server.url) as client:
        device = Device(client, new_key(), origin=server.url)
        (await device.register()).raise_for_status()
        headers = {"Content-Type": "application/json"}
        headers["Authorization"] = f"Bearer {device.session['access_token']}"
        for _ in range(3):
            answer = await client.post("/sync/push", content=b" " * (8 * MIB + 1), headers=headers)
            assert answer.status_code == 413
