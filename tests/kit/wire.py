"""HTTP spoken byte by byte, for what no well-behaved client sends."""

import socket
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import orjson

PATIENCE_SECONDS = 10


@dataclass(frozen=True)
class Answer:
    """What came back until the connection ended or rested."""

    raw: bytes

    @cached_property
    def status(self) -> int:
        return int(self.raw.split(b" ", 2)[1])

    @cached_property
    def headers(self) -> dict[str, str]:
        head = self.raw.split(b"\r\n\r\n", 1)[0].decode("latin-1").split("\r\n")[1:]
        return {name.lower(): value for name, value in (line.split(": ", 1) for line in head)}

    @property
    def body(self) -> bytes:
        return self.raw.split(b"\r\n\r\n", 1)[1]

    def json(self) -> Any:
        return orjson.loads(self.body)


def exchange(port: int, *parts: bytes) -> Answer:
    """Send the parts and read one answer, or as much of it as comes."""
    with socket.create_connection(("127.0.0.1", port), PATIENCE_SECONDS) as connection:
        for part in parts:
            connection.sendall(part)
        return Answer(_one_answer(connection))


def request(
    method: str, path: str, body: bytes = b"", *headers: str, content_type: str = "application/json"
) -> bytes:
    """A plain request; `headers` are whole lines."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", f"Content-Type: {content_type}"]
    if not any(each.lower().startswith(("content-length", "transfer-enc")) for each in headers):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, *headers, "", ""]).encode("latin-1") + body


def _one_answer(connection: socket.socket) -> bytes:
    received = b""
    while not _is_whole(received):
        try:
            chunk = connection.recv(65536)
        except (TimeoutError, ConnectionResetError):
            break
        if not chunk:
            break
        received += chunk
    return received


def _is_whole(received: bytes) -> bool:
    head, found, body = received.partition(b"\r\n\r\n")
    if not found:
        return False
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length: "):
            return len(body) >= int(line.removeprefix(b"content-length: "))
    return False
