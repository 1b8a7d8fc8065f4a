"""Around every request: an id, the fixed headers, a deadline, the log line, and no exception gets
out."""

import asyncio
import secrets
import time
from collections.abc import Callable, Sequence

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app import events
from app.errors import (
    EcholiaError,
    InternalError,
    Malformed,
    Overloaded,
    RequestTimeout,
    TookTooLong,
)
from app.http.fixed import CACHE, MAX_HEAD_FIELDS, NOSNIFF, Header
from app.http.holding import Line, held_in
from app.work import AtWork, Phase, Work

UNROUTED = "(none)"
MAX_AT_WORK = 1000
"""Requests at work at a time. Those that read a body or wait for news are not counted."""
RETRY_OVERLOADED_SECONDS = 2


class Skin:
    """The outermost layer. `nonce` gives the proof nonce for answers that carry one, `failure` an
    answer for what went wrong outside the routes, `fixed` the headers of an answer to a path."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        nonce: Callable[[], str],
        failure: Callable[[EcholiaError], ASGIApp],
        fixed: Callable[[str], Sequence[Header]],
    ) -> None:
        self._app = app
        self._nonce = nonce
        self._failure = failure
        self._fixed = fixed
        self._at_work = AtWork()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        method = scope["method"]
        if method == "HEAD":  # RFC 9110 section 9.3.2: as GET, without the content
            scope = {**scope, "method": "GET"}
        exchange = _Exchange(scope, send, self._nonce, self._failure, self._fixed, method)
        if refused := self._refusal(scope):
            await self._failure(refused)(scope, receive, exchange.send)
            exchange.finished()
            return
        work = exchange.work = self._at_work.begin(exchange.late)
        try:
            await self._app(scope, receive, exchange.send)
            await exchange.hold(receive)
        except ClientDisconnect:
            events.client_left(request_id=exchange.request_id, route=exchange.route)
        except Exception as error:
            await self._answer_fault(scope, receive, exchange, error)
        finally:
            work.end()
            await exchange.answered_late()
            exchange.finished()

    def _refusal(self, scope: Scope) -> EcholiaError | None:
        if len(scope["headers"]) > MAX_HEAD_FIELDS:
            return Malformed("The head has too many fields.")
        if self._at_work.count >= MAX_AT_WORK:
            return Overloaded(retry_after=RETRY_OVERLOADED_SECONDS)
        return None

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
            fault = InternalError(headers={"Retry-After": "1"})
            await self._failure(fault)(scope, receive, exchange.send)


class _Exchange:
    """One request and its answer."""

    def __init__(
        self,
        scope: Scope,
        send: Send,
        nonce: Callable[[], str],
        failure: Callable[[EcholiaError], ASGIApp],
        fixed: Callable[[str], Sequence[Header]],
        method: str,
    ) -> None:
        self.request_id = secrets.token_hex(8)
        self.status: int | None = None
        self.work: Work | None = None
        self._scope = scope
        self._send = send
        self._nonce = nonce
        self._failure = failure
        self._fixed = fixed
        self._method = method
        self._late_answer: asyncio.Task[None] | None = None
        self._started = time.perf_counter()
        scope.setdefault("state", {})["request_id"] = self.request_id

    @property
    def route(self) -> str:
        """The matched path template; a path that matched nothing is never repeated."""
        return getattr(self._scope.get("route"), "path", UNROUTED)

    async def send(self, message: Message) -> None:
        """What the application answers; nothing of it, if that comes after its deadline."""
        if self._late_answer is None:
            await self._pass_on(message)

    async def hold(self, receive: Receive) -> None:
        """What of the answer is still to come, if its route left some to be held here."""
        held = held_in(self._scope)
        if held is None or self._late_answer is not None:
            return
        if self._method == "HEAD":
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})
            return
        await held.stay(Line(receive, self._send, held.transport))

    def late(self, phase: Phase) -> None:
        """The deadline is over: it is answered here and now, and whatever is at work goes on."""
        if self.status is not None:
            return
        events.request_late(request_id=self.request_id, route=self.route, phase=phase)
        error: EcholiaError = (
            RequestTimeout(headers={"Connection": "close"})
            if phase == "reading"
            else TookTooLong(retry_after=RETRY_OVERLOADED_SECONDS)
        )
        self._late_answer = asyncio.ensure_future(self._answer_late(error))

    async def answered_late(self) -> None:
        """The late answer, if there is one, is out: the request may be over before its turn."""
        if self._late_answer is not None:
            await self._late_answer

    async def _answer_late(self, error: EcholiaError) -> None:
        async def nothing() -> Message:
            return {"type": "http.disconnect"}

        await self._failure(error)(self._scope, nothing, self._pass_on)

    async def _pass_on(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            if self.work is not None and self._late_answer is None:
                self.work.end()
            self._add_headers(message)
        elif self._method == "HEAD":
            message = {**message, "body": b""}
        await self._send(message)

    def _add_headers(self, message: Message) -> None:
        path = self._scope["path"]
        headers = [*message.get("headers", ()), *self._fixed(path)]
        headers.append((b"x-request-id", self.request_id.encode()))
        headers.append(NOSNIFF)
        if not any(name == b"cache-control" for name, _ in headers):
            headers.append(CACHE)
        if self.status == 401 or path.startswith("/auth/"):
            headers.append((b"dpop-nonce", self._nonce().encode()))
        message["headers"] = headers

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
