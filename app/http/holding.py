"""Answers that go on for hours: a stream of events.

Such an answer is begun by its route like any other, and then leaves everything that led to it: the
layers between unwind, the request with its headers and its token is forgotten, and what stays is
one coroutine at the outermost layer. Thousands of these must fit into memory.
"""

import contextlib
import socket
import sys
from asyncio import WriteTransport
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

SEND_BUFFER_BYTES = 16 * 1024
"""That the system keeps of what a client does not take."""
UNTAKEN_SECONDS = 30
"""After so long without a word from its side, the system gives the connection up, where it can."""
_HELD = "held"
TRANSPORT = "echolia.transport"
"""In a request's scope: the connection it came by."""
_KEPT = ("app", "http_version", "method", "path", "route", "state", "type")
"""Of a request, for what is done when its answer is over."""


class Line:
    """What is left of an exchange whose answer goes on."""

    __slots__ = ("_receive", "_send", "_transport")

    def __init__(self, receive: Receive, send: Send, transport: WriteTransport | None) -> None:
        self._receive = receive
        self._send = send
        self._transport = transport
        if transport is not None:
            _narrow(transport)

    async def write(self, text: bytes) -> None:
        """Returns when the connection has room for more; nothing is kept beyond that. A client that
        has left is no error."""
        await self._send({"type": "http.response.body", "body": text, "more_body": True})

    async def end(self, text: bytes) -> None:
        """The last of the answer; the connection ends with it."""
        await self._send({"type": "http.response.body", "body": text, "more_body": False})

    def cut(self) -> None:
        """The connection ends at once, whatever was not taken."""
        if self._transport is not None:
            self._transport.abort()

    async def closed(self) -> None:
        """Returns when the client has left, or the answer has ended."""
        while (await self._receive())["type"] != "http.disconnect":
            continue


Stay: TypeAlias = Callable[[Line], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Held:
    """The rest of an answer, and the connection it goes out on. Under another server than ours
    that is not known: then it is that server's, how much it keeps for a slow client."""

    stay: Stay
    transport: WriteTransport | None


class HeldResponse(Response):
    """Begins an answer, and hands the rest of it to `stay`, which returns when it is over. After
    `HEAD` there is no rest."""

    def __init__(self, stay: Stay, media_type: str) -> None:
        self._stay = stay
        self.media_type = media_type
        self.status_code = 200
        self.background = None
        # A proxy that gathers an answer before passing it on would hold the events up, and the
        # connection is of no use for anything else afterwards.
        self.init_headers({"X-Accel-Buffering": "no", "Connection": "close"})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send(
            {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
        )
        scope["state"][_HELD] = self._stay


def held_in(scope: Scope) -> Held | None:
    """The rest of the answer, if it was begun to be held. What the request said is forgotten."""
    state = scope["state"]
    if _HELD not in state:
        return None
    held = Held(state[_HELD], scope.get(TRANSPORT))
    state.clear()
    kept = {name: scope[name] for name in _KEPT if name in scope}
    scope.clear()  # and not name by name: that would leave it as large as it was
    scope.update(kept, headers=[])
    return held


def _narrow(transport: WriteTransport) -> None:
    """The client's slowness is noticed soon, and costs little; one that has gone without a word is
    noticed at all."""
    transport.set_write_buffer_limits(0)
    own: socket.socket | None = transport.get_extra_info("socket")
    if own is None:
        return
    with contextlib.suppress(OSError):  # a system that knows no such option, or a closed socket
        own.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        if sys.platform == "linux":
            own.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNTAKEN_SECONDS * 1000)
