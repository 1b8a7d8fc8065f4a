"""Around every request: an id, the fixed headers, the log line, and no exception gets out."""

import secrets
import time
from collections.abc import Callable

from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app import events

UNROUTED = "(none)"


class Skin:
    """The outermost layer. `nonce` gives the proof nonce for answers that carry one;
    `failure` renders a fault of ours."""

    def __init__(
        self, app: ASGIApp, *, nonce: Callable[[], str], failure: Callable[[], Response]
    ) -> None:
        self._app = app
        self._nonce = nonce
        self._failure = failure

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        method = scope["method"]
        if method == "HEAD":  # RFC 9110 section 9.3.2: as GET, without the content
            scope = {**scope, "method": "GET"}
        exchange = _Exchange(scope, send, self._nonce, method)
        try:
            await self._app(scope, receive, exchange.send)
        except ClientDisconnect:
            events.client_left(request_id=exchange.request_id, route=exchange.route)
        except Exception as error:
            await self._answer_fault(scope, receive, exchange, error)
        finally:
            exchange.finished()

    async def _answer_fault(
        self, scope: Scope, receive: Receive, exchange: "_Exchange", error: Exception
    ) -> None:
        events.request_failed(
            request_id=exchange.request_id,
            route=exchange.route,
            error=type(error).__name__,
            where=events.frames(error.__traceback__),
        )
        if exchange.status is None:
            await self._failure()(scope, receive, exchange.send)


class _Exchange:
    """One request and its answer."""

    def __init__(self, scope: Scope, send: Send, nonce: Callable[[], str], method: str) -> None:
        self.request_id = secrets.token_hex(8)
        self.status: int | None = None
        self._scope = scope
        self._send = send
        self._nonce = nonce
        self._method = method
        self._started = time.perf_counter()
        scope.setdefault("state", {})["request_id"] = self.request_id

    @property
    def route(self) -> str:
        """The matched path template; a path that matched nothing is never repeated."""
        return getattr(self._scope.get("route"), "path", UNROUTED)

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self._add_headers(MutableHeaders(scope=message))
        elif self._method == "HEAD":
            message = {**message, "body": b""}
        await self._send(message)

    def _add_headers(self, headers: MutableHeaders) -> None:
        headers["X-Request-Id"] = self.request_id
        headers["X-Content-Type-Options"] = "nosniff"
        headers.setdefault("Cache-Control", "no-store")
        if self.status == 401 or self._scope["path"].startswith("/auth/"):
            headers["DPoP-Nonce"] = self._nonce()

    def finished(self) -> None:
        events.request_handled(
            request_id=self.request_id,
            method=_known_method(self._method),
            route=self.route,
            status=self.status or 499,
            milliseconds=round((time.perf_counter() - self._started) * 1000, 2),
        )


def _known_method(method: str) -> str:
    """A method is free text on the wire; only the standard ones are repeated."""
    standard = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
    return method if method in standard else "other"
