"""Reading a request's body: capped while it arrives, typed, parsed strictly, validated."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError
from starlette.requests import Request

from app.config import Settings
from app.errors import EcholiaError, Invalid, Malformed, TooLarge, WrongMediaType
from app.http.formats import JSON, Format, sent_in
from app.http.messagepack import Budget
from app.http.validation import faults_of, names_in
from app.work import current

Model = TypeVar("Model", bound=BaseModel)

AUTH_BODY_BYTES = 16 * 1024
LINGER_TIMES = 3
LINGER_SECONDS = 5
MAX_FIELDS = 64
"""More than any body has."""
MAX_PARTS = 16 * 1024
"""Of a body that holds no changes: far more than any has, and read in a millisecond."""
INLINE_BYTES = 192 * 1024
"""Up to here a body is parsed where it is (well under a millisecond); above, on a thread."""


class BodyTooLarge(TooLarge):
    """The body is larger than this path takes; `limit` is in bytes."""

    code = "body_too_large"
    title = "The body is larger than this path takes."


def _few_parts(_: Settings) -> Budget:
    refusal = Invalid(errors=[{"path": "", "reason": "has too many parts"}])
    return Budget(MAX_FIELDS, MAX_PARTS, refusal)


class JsonBody(Generic[Model]):
    """A dependency that yields the request's body, be it JSON or MessagePack, as `model`.

    `max_bytes` is of the body as sent; with a setting's name it is read from the app's settings.
    `check` sees a large JSON body's bytes before they are parsed, and may refuse them; `budget` is
    how much a MessagePack body may hold. `open_in` gives what a body that fits the model may hold
    anything in, where that is not all of it. Raises WrongMediaType, TooLarge, what `check` or the
    budget raises, Malformed or Invalid, in that order.
    """

    refuses = (WrongMediaType, BodyTooLarge, Malformed, Invalid)

    def __init__(
        self,
        model: type[Model],
        max_bytes: int | str = AUTH_BODY_BYTES,
        *,
        check: Callable[[bytes, Settings], None] | None = None,
        budget: Callable[[Settings], Budget] = _few_parts,
        open_in: Callable[[Model], object] | None = None,
    ) -> None:
        self.model = model
        self._max_bytes = max_bytes
        self._check = check
        self._budget = budget
        self._open_in = open_in
        self._adapter = TypeAdapter(model)
        self._names = names_in(self._adapter.json_schema())

    async def __call__(self, request: Request) -> Model:
        format_ = _checked_format(request)
        body = await read_capped(request, self._limit(request))
        settings: Settings = request.app.state.settings
        if len(body) <= INLINE_BYTES:
            return self._validated(body, format_, settings)
        return await asyncio.to_thread(self._checked, body, format_, settings)

    def _limit(self, request: Request) -> int:
        if isinstance(self._max_bytes, int):
            return self._max_bytes
        return int(getattr(request.app.state.settings, self._max_bytes))

    def _checked(self, body: bytes, format_: Format, settings: Settings) -> Model:
        if self._check is not None and format_ is JSON:
            self._check(body, settings)
        return self._validated(body, format_, settings)

    def _validated(self, body: bytes, format_: Format, settings: Settings) -> Model:
        value = format_.read(body, self._budget(settings))
        if format_.check is None:
            return self._fitted(value, format_)
        try:
            model = self._fitted(value, format_)
        except EcholiaError:
            format_.check(value)  # what is malformed is told so first
            raise
        format_.check(value if self._open_in is None else self._open_in(model))
        return model

    def _fitted(self, value: Any, format_: Format) -> Model:
        if isinstance(value, dict) and len(value) > MAX_FIELDS:
            # A fault is kept of each field that is not known: there must not be a million.
            raise Invalid(errors=[{"path": "", "reason": "has too many fields"}])
        try:
            return self._adapter.validate_python(value, context=format_.bytes_of)
        except ValidationError as error:
            faults = error.errors(include_input=False, include_url=False, include_context=False)
            raise Invalid(errors=faults_of(faults, self._names)) from None


def _checked_format(request: Request) -> Format:
    """Raises WrongMediaType also for a body in another alphabet or packed."""
    sent = sent_in(request)
    _, _, parameters = request.headers.get("content-type", "").partition(";")
    charset = parameters.strip().lower().replace('"', "")
    if charset.startswith("charset=") and charset != "charset=utf-8":
        raise WrongMediaType("Send the body in UTF-8.")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise WrongMediaType("Send the body without a content encoding.")
    return sent


async def read_capped(request: Request, max_bytes: int) -> bytes:
    """The whole body. Raises TooLarge when more than `max_bytes` are announced or arrive; nothing
    beyond them is kept."""
    work = current()
    if work is None:
        return await _read_capped(request, max_bytes, _not_counted)
    work.begin_reading()
    try:
        return await _read_capped(request, max_bytes, work.read)
    finally:
        work.end_reading()


async def _read_capped(request: Request, max_bytes: int, count: Callable[[int], None]) -> bytes:
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced[:20]) > max_bytes:
        if int(announced[:20]) <= max_bytes * LINGER_TIMES and "expect" not in request.headers:
            await _discard(request.stream(), max_bytes * LINGER_TIMES)
        raise _too_large(max_bytes)
    chunks: list[bytes] = []
    size = 0
    stream = request.stream()
    async for chunk in stream:
        size += len(chunk)
        count(len(chunk))
        if size > max_bytes:
            await _discard(stream, max_bytes * LINGER_TIMES - size)
            raise _too_large(max_bytes)
        chunks.append(chunk)
    if announced.isdecimal() and size != int(announced[:20]):
        raise Malformed("The body is shorter than announced.")
    return b"".join(chunks)


def _not_counted(_size: int) -> None:
    """For a body that belongs to no request of the server."""


async def _discard(stream: AsyncIterator[bytes], most_bytes: int) -> None:
    """Read on for a while and keep nothing: to close on a client that is still sending resets the
    connection, and the refusal is lost with it (RFC 9112 section 9.6)."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LINGER_SECONDS):
            async for chunk in stream:
                most_bytes -= len(chunk)
                if most_bytes <= 0:
                    return


def _too_large(max_bytes: int) -> TooLarge:
    return BodyTooLarge(limit=max_bytes, headers={"Connection": "close"})
