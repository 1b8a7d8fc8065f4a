"""The headers that every answer carries, whoever gives it."""

from collections.abc import Callable, Sequence
from typing import TypeAlias

Header: TypeAlias = tuple[bytes, bytes]

MAX_HEAD_FIELDS = 64
NOSNIFF: Header = (b"x-content-type-options", b"nosniff")
CACHE: Header = (b"cache-control", b"no-store")
SHIELD: tuple[Header, ...] = (
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
    # Calls that CORS allows are not touched by it: it is for pages that would embed an answer.
    (b"cross-origin-resource-policy", b"same-origin"),
)
_HSTS: Header = (b"strict-transport-security", b"max-age=31536000")
_DOCS = ("/docs", "/redoc")
_DOCS_POLICY: Header = (
    b"content-security-policy",
    b"default-src 'none'; connect-src 'self'; frame-ancestors 'none'; worker-src blob:;"
    b" img-src 'self' data: https://fastapi.tiangolo.com https://cdn.redoc.ly;"
    b" font-src https://fonts.gstatic.com;"
    b" script-src 'unsafe-inline' https://cdn.jsdelivr.net;"
    b" style-src 'unsafe-inline' https://cdn.jsdelivr.net https://fonts.googleapis.com",
)
"""The pages of `DEBUG` are the framework's, which loads them from elsewhere."""


def fixed_headers(*, is_https: bool, has_docs: bool) -> Callable[[str], Sequence[Header]]:
    """The headers of an answer to a path."""
    usual = (*SHIELD, _HSTS) if is_https else SHIELD
    if not has_docs:
        return lambda _path: usual
    docs = (_DOCS_POLICY, *usual[1:])
    return lambda path: docs if path.startswith(_DOCS) else usual
