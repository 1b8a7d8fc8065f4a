"""A client that costs next to nothing: a blocking socket, requests built beforehand."""

import re
import socket
from typing import NamedTuple

TIMEOUT_SECONDS = 60
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)


class WireError(Exception):
    """The server answered with something that this client does not read."""


class Answer(NamedTuple):
    """An answer whose body has been read to its end."""

    status: int
    body: bytes


def request(
    method: str,
    target: str,
    headers: dict[str, str],
    body: bytes = b"",
    media_type: str = "application/json",
) -> bytes:
    """The bytes of a request, ready to be sent any number of times."""
    lines = [f"{method} {target} HTTP/1.1", "Host: localhost"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if body:
        lines += [f"Content-Type: {media_type}", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


class Connection:
    """One kept-alive connection, used for one request at a time."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), TIMEOUT_SECONDS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = bytearray(1 << 21)

    def exchange(self, sent: bytes) -> Answer:
        """The answer to a request. Raises WireError if it has no Content-Length, OSError if the
        connection breaks."""
        self._socket.sendall(sent)
        filled = 0
        while (end := self._buffer.find(b"\r\n\r\n", 0, filled)) < 0:
            filled = self._receive(filled)
        length = _LENGTH.search(self._buffer[: end + 2])
        if length is None:
            raise WireError("an answer without Content-Length")
        start, stop = end + 4, end + 4 + int(length[1])
        if stop > len(self._buffer):
            self._buffer.extend(bytes(stop - len(self._buffer)))
        while filled < stop:
            filled = self._receive(filled)
        if filled > stop:
            raise WireError("an answer longer than its Content-Length")
        return Answer(int(self._buffer[9:12]), bytes(memoryview(self._buffer)[start:stop]))

    def close(self) -> None:
        self._socket.close()

    def _receive(self, filled: int) -> int:
        with memoryview(self._buffer) as view:
            received = self._socket.recv_into(view[filled:])
        if not received:
            raise ConnectionResetError("the server closed the connection")
        return filled + received
