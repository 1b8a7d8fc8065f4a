"""Everything that can go wrong and be said to a client; knows no web framework.

EcholiaError
├── Malformed            400  the bytes are not what they claim to be
├── NotAuthenticated     401  nobody the server knows
├── Forbidden            403  known, but not allowed
├── NotFound             404
├── MethodNotAllowed     405
├── RequestTimeout       408  the body did not come in time
├── StateConflict        409  true once, or true for somebody else
├── Gone                 410
├── TooLarge             413
├── WrongMediaType       415
├── Invalid              422  parses, but does not fit
├── RateLimited          429  too much, too soon
├── InternalError        500  our fault
└── Unavailable          503  try again

Features hang their leaves here (`app/*/errors.py`). A leaf is a stable `code`, a status and a
sentence. No error ever carries a rejected value: it could be a key, a token or a thought.
"""

from collections.abc import Mapping
from typing import ClassVar


class EcholiaError(Exception):
    """Something a client is told about, by a stable code."""

    code: ClassVar[str] = "error"
    status: ClassVar[int] = 500
    title: ClassVar[str] = "Something went wrong."

    def __init__(
        self,
        detail: str | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        **extras: object,
    ) -> None:
        super().__init__(self.code)
        self.detail = detail
        self.headers = dict(headers or {})
        self.extras = extras


class Malformed(EcholiaError):
    """The body is not well-formed I-JSON (RFC 7493), or a header cannot be read."""

    code = "malformed"
    status = 400
    title = "The request is not well-formed."


class NotAuthenticated(EcholiaError):
    """No valid access token, or its device is revoked."""

    code = "not_authenticated"
    status = 401
    title = "This request needs a valid access token."


class Forbidden(EcholiaError):
    """The caller is known and may not do this."""

    code = "forbidden"
    status = 403
    title = "This is not allowed."


class NotFound(EcholiaError):
    """Nothing here, or nothing that belongs to the caller."""

    code = "not_found"
    status = 404
    title = "There is nothing here."


class MethodNotAllowed(EcholiaError):
    """The path exists, under other methods; `Allow` names them."""

    code = "method_not_allowed"
    status = 405
    title = "This path does not take that method."


class RequestTimeout(EcholiaError):
    """The body was not whole within its time; the connection is closed."""

    code = "request_timeout"
    status = 408
    title = "The body did not come in time."


class StateConflict(EcholiaError):
    """The request does not fit the present state of what it addresses."""

    code = "state_conflict"
    status = 409
    title = "The present state does not allow this."


class Gone(EcholiaError):
    """It was here once and will not come back."""

    code = "gone"
    status = 410
    title = "This is gone."


class TooLarge(EcholiaError):
    """A published limit is exceeded; `limit` says which number."""

    code = "too_large"
    status = 413
    title = "The request is larger than the published limit."


class WrongMediaType(EcholiaError):
    """The body is of a type this path does not read."""

    code = "unsupported_media_type"
    status = 415
    title = "Send the body as application/json."


class Invalid(EcholiaError):
    """Well-formed, but it does not fit; `errors` lists where and why, never the value."""

    code = "invalid"
    status = 422
    title = "The request does not fit this call."


class RateLimited(EcholiaError):
    """This address, account or device asked too often; `Retry-After` says when one more request
    will be taken, in seconds."""

    code = "rate_limited"
    status = 429
    title = "Too many requests; wait as long as Retry-After says."

    def __init__(self, detail: str | None = None, *, retry_after: int = 1) -> None:
        super().__init__(detail, headers={"Retry-After": str(retry_after)})


class InternalError(EcholiaError):
    """A fault of the server's own."""

    code = "internal_error"
    status = 500
    title = "The server failed; the request can be sent again."


class Unavailable(EcholiaError):
    """The server cannot do this now; `Retry-After` says when to ask again, in seconds."""

    code = "unavailable"
    status = 503
    title = "The server cannot do this just now."

    def __init__(self, detail: str | None = None, *, retry_after: int = 1) -> None:
        super().__init__(detail, headers={"Retry-After": str(retry_after)})


class Overloaded(Unavailable):
    """More requests are at work than the server takes at a time; this one was not begun."""

    code = "overloaded"
    title = "The server has too much to do just now; nothing was begun."


class TookTooLong(Unavailable):
    """The server did not finish in time. What was begun is finished or left undone as a whole, and
    the same request sent again tells which."""

    code = "took_too_long"
    title = "The server did not finish in time; send the request again to learn what became of it."
