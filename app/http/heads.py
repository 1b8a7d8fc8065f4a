"""The head of a request, before there is a request: capped in bytes and in time.

The server hands a request over only when its head is whole; until then nobody else bounds what a
stranger sends, or how slowly.
"""

import secrets
from asyncio import TimerHandle, Transport
from typing import Any

import orjson
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from app import events
from app.errors import Malformed
from app.http.middleware import UNROUTED

MAX_HEAD_BYTES = 16 * 1024
"""Request line and headers; also trailers, and whatever else comes between parts of a body."""
HEAD_SECONDS = 10
LINGER_SECONDS = 1
_PROBLEM = orjson.dumps(
    {
        "type": f"urn:echolia:problem:{Malformed.code}",
        "title": Malformed.title,
        "status": Malformed.status,
        "detail": "The request is not HTTP, or its head is too large.",
        "code": Malformed.code,
    }
)


class CappedHeads(HttpToolsProtocol):
    """HTTP/1.1 as the server speaks it. A head that is larger than the cap is answered 400, one
    that is not whole after ten seconds not at all; either way the connection ends."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._unparsed = 0
        self._parsed = 0
        self._in_head = True
        self._is_refused = False
        self._deadline: TimerHandle | None = None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._start_clock()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_clock()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._is_refused or self.transport.is_closing():
            return
        if self._in_head and self._deadline is None:
            self._start_clock()
        self._unparsed += len(data)  # until the parser has made something of it
        super().data_received(data)
        if self._unparsed > MAX_HEAD_BYTES and not self._is_refused:
            self.send_400_response("")

    def send_400_response(self, msg: str) -> None:
        """Answer, and drop what still comes for a moment: to close on a client that is sending
        resets the connection, and the answer is lost with it (RFC 9112 section 9.6)."""
        self._is_refused = True
        self._stop_clock()
        request_id = secrets.token_hex(8)
        events.request_handled(
            request_id=request_id, method="other", route=UNROUTED, status=400, milliseconds=0
        )
        fixed = [
            (b"content-type", b"application/problem+json"),
            (b"content-length", str(len(_PROBLEM)).encode()),
            (b"cache-control", b"no-store"),
            (b"x-content-type-options", b"nosniff"),
            (b"x-request-id", request_id.encode()),
            (b"connection", b"close"),
        ]
        headers = [*self.server_state.default_headers, *fixed]
        lines = b"".join(b"%b: %b\r\n" % each for each in headers)
        self.transport.write(b"HTTP/1.1 400 Bad Request\r\n%b\r\n%b" % (lines, _PROBLEM))
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._deadline = self.loop.call_later(LINGER_SECONDS, self._close)

    def on_message_begin(self) -> None:
        self._unparsed = self._parsed = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(len(name) + len(value))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._unparsed = 0
        self._in_head = False
        self._stop_clock()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._unparsed = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._unparsed = 0
        self._in_head = True
        super().on_message_complete()

    def _count(self, size: int) -> None:
        self._unparsed = 0
        self._parsed += size
        if self._parsed > MAX_HEAD_BYTES:
            raise ValueError  # ends the parsing, which is answered 400

    def _start_clock(self) -> None:
        self._deadline = self.loop.call_later(HEAD_SECONDS, self._too_slow)

    def _stop_clock(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_slow(self) -> None:
        self._deadline = None
        cycle: RequestResponseCycle | None = self.cycle  # none before the first request
        if cycle is not None and not cycle.response_complete:
            self._start_clock()  # the answer to the request before comes first
            return
        self._close()

    def _close(self) -> None:
        self._deadline = None
        self.transport.close()
