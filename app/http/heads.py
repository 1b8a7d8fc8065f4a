"""The connection: what a stranger may send before there is a request, how slowly, and how slowly
one may take an answer.

The server hands a request over only when its head is whole; until then nobody else bounds it. Nor
does anybody else see a body that no route reads, or an answer that nobody takes.

Time is looked at by one timer per connection, every few seconds; a request sets none.
"""

import secrets
from asyncio import TimerHandle, Transport
from typing import Any, ClassVar

import orjson
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from app import events
from app.errors import EcholiaError, Malformed, Overloaded
from app.http.crowd import Crowd
from app.http.fixed import CACHE, MAX_HEAD_FIELDS, NOSNIFF, SHIELD, Header
from app.http.holding import TRANSPORT
from app.http.middleware import UNROUTED
from app.work import body_seconds

MAX_HEAD_BYTES = 16 * 1024
"""Request line and headers; also trailers, and whatever else comes between parts of a body."""
HEAD_SECONDS = 10.0
BODY_GRACE_SECONDS = 2.0
"""Beyond the time of a body, in which the request itself may be answered 408."""
STALL_SECONDS = 30.0
STALL_BYTES = 64 * 1024
"""An answer must go out by so much, or wholly, in each stretch of so many seconds."""
LINGER_SECONDS = 1.0
LOOK_SECONDS = 5.0
_SOONEST_SECONDS = 0.01


class CappedHeads(HttpToolsProtocol):
    """HTTP/1.1 as the server speaks it. A head that is larger than the cap, or of too many fields,
    is answered 400; one that is not whole after ten seconds not at all; an answer that is not taken
    is given up. Either way the connection ends."""

    crowd: ClassVar[Crowd] = Crowd()

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._unparsed = 0
        self._parsed = 0
        self._fields = 0
        self._in_head = True
        self._head_began: float | None = None
        self._body_began: float | None = None
        self._body_bytes = 0
        self._linger_ends: float | None = None
        self._unsent: tuple[float, int] | None = None
        self._timer: TimerHandle | None = None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._head_began = self.loop.time()
        if self.crowd.enter(self, self.client[0] if self.client else None):
            self._look_again(HEAD_SECONDS)
        else:
            self._refuse(Overloaded(retry_after=5))

    def connection_lost(self, exc: Exception | None) -> None:
        self.crowd.leave(self)
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._linger_ends is not None or self.transport.is_closing():
            return
        if self._in_head and self._head_began is None:
            self._head_began = self.loop.time()
        self._unparsed += len(data)  # until the parser has made something of it
        super().data_received(data)
        if self._unparsed > MAX_HEAD_BYTES and self._linger_ends is None:
            self.send_400_response("")
        elif not self._in_head and self._body_began is None:
            self._body_began = self.loop.time()

    def send_400_response(self, msg: str) -> None:
        """The answer to what is not HTTP, or not within its bounds."""
        self._refuse(Malformed("The request is not HTTP, or its head is too large."))

    def make_way(self) -> None:
        """See `Guest.make_way`."""
        self.transport.abort()

    def on_message_begin(self) -> None:
        self._unparsed = self._parsed = self._fields = 0
        super().on_message_begin()
        self.scope[TRANSPORT] = self.transport  # type: ignore[literal-required]

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(len(name) + len(value))
        self._fields += 1
        if self._fields > MAX_HEAD_FIELDS:
            raise ValueError  # ends the parsing, which is answered 400
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._unparsed = self._body_bytes = 0
        self._in_head = False
        self._head_began = None
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._unparsed = 0
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._unparsed = 0
        self._in_head = True
        self._body_began = None
        if not self._is_answered():
            self.crowd.busy(self)
        super().on_message_complete()

    def on_response_complete(self) -> None:
        self.crowd.rest(self)
        super().on_response_complete()

    def _count(self, size: int) -> None:
        self._unparsed = 0
        self._parsed += size
        if self._parsed > MAX_HEAD_BYTES:
            raise ValueError  # ends the parsing, which is answered 400

    def _is_answered(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle  # none before the first request
        return cycle is None or cycle.response_complete

    # --- time -----------------------------------------------------------------------------------

    def _look_again(self, seconds: float) -> None:
        delay = max(_SOONEST_SECONDS, min(LOOK_SECONDS, seconds))
        self._timer = self.loop.call_later(delay, self._look)

    def _look(self) -> None:
        now = self.loop.time()
        if self._is_stalled(now):
            self.transport.abort()
            return
        due = self._due(now)
        if due <= now and not self.transport.is_closing():
            self.transport.close()
        self._look_again(due - now if due > now else LOOK_SECONDS)

    def _due(self, now: float) -> float:
        """When the connection has to end, as far as is known now."""
        if self._linger_ends is not None:
            return self._linger_ends
        if self._body_began is not None:
            return self._body_began + body_seconds(self._body_bytes) + BODY_GRACE_SECONDS
        if self._head_began is None:
            return float("inf")
        if not self._is_answered():
            self._head_began = now  # the answer to the request before comes first
        return self._head_began + HEAD_SECONDS

    def _is_stalled(self, now: float) -> bool:
        """Whether what was written has not gone out for too long. As long as more is being written
        that cannot be told, and need not be: then it goes out."""
        left = self.transport.get_write_buffer_size()
        if left == 0 or not (self.flow.write_paused or self.transport.is_closing()):
            self._unsent = None
            return False
        if self._unsent is None or left <= self._unsent[1] - STALL_BYTES:
            self._unsent = (now, left)
        return now - self._unsent[0] >= STALL_SECONDS

    # --- answers without a request --------------------------------------------------------------

    def _refuse(self, error: EcholiaError) -> None:
        """Answer, and drop what still comes for a moment: to close on a client that is sending
        resets the connection, and the answer is lost with it (RFC 9112 section 9.6)."""
        self._linger_ends = self.loop.time() + LINGER_SECONDS
        request_id = secrets.token_hex(8)
        events.request_handled(
            request_id=request_id,
            method="other",
            route=UNROUTED,
            status=error.status,
            milliseconds=0,
        )
        self.transport.write(_raw(error, request_id, self.server_state.default_headers))
        if self.transport.can_write_eof():
            self.transport.write_eof()
        if self._timer is not None:
            self._timer.cancel()
        self._look_again(LINGER_SECONDS)


def heads_of(crowd: Crowd) -> type[CappedHeads]:
    """The protocol of a server whose connections are counted in `crowd`."""
    return type("CountedHeads", (CappedHeads,), {"crowd": crowd})


def _raw(error: EcholiaError, request_id: str, default: list[Header]) -> bytes:
    body = orjson.dumps(
        {
            "type": f"urn:echolia:problem:{error.code}",
            "title": error.title,
            "status": error.status,
            "detail": error.detail or error.title,
            "code": error.code,
        }
    )
    headers = [
        *default,
        *((name.lower().encode(), value.encode()) for name, value in error.headers.items()),
        *SHIELD,
        NOSNIFF,
        CACHE,
        (b"content-type", b"application/problem+json"),
        (b"content-length", str(len(body)).encode()),
        (b"x-request-id", request_id.encode()),
        (b"connection", b"close"),
    ]
    lines = b"".join(b"%b: %b\r\n" % each for each in headers)
    return b"%b%b\r\n%b" % (STATUS_LINE[error.status], lines, body)
