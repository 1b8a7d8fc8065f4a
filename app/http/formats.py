"""The two forms of a body, and which of them a request brings and wants."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from starlette.requests import Request

from app.errors import WrongMediaType
from app.http import ijson, messagepack
from app.http.fields import bytes_in_json, bytes_in_messagepack
from app.http.messagepack import Budget

_MAX_ACCEPT = 256
"""Characters of an `Accept` that are looked at; browsers send half of that."""


@dataclass(frozen=True, slots=True)
class Format:
    """How bodies are spelled. What `read` lets through `check` may still refuse (None: it refuses
    nothing); both raise Malformed. `bytes_of` takes what stands where the protocol has bytes, and
    raises NotBytes."""

    media_type: str
    read: Callable[[bytes, Budget], object]
    check: Callable[[object], None] | None
    bytes_of: Callable[[object], bytes]


JSON = Format("application/json", lambda body, _: ijson.parse(body), None, bytes_in_json)
MESSAGEPACK = Format(
    "application/msgpack", messagepack.read, messagepack.check, bytes_in_messagepack
)
_BY_MEDIA_TYPE = {each.media_type: each for each in (JSON, MESSAGEPACK)}


def sent_in(request: Request) -> Format:
    """The form of the request's body. Raises WrongMediaType."""
    found = _format_named(request.headers.get("content-type", ""))
    if found is None:
        raise WrongMediaType
    return found


def wanted_by(request: Request) -> Format:
    """The form that the answer is to have: the one preferred by `Accept` (RFC 9110 section 12.5.1);
    without preference that of the request; and JSON where neither says any."""
    accept = content_type = b""
    for name, value in request.scope["headers"]:
        if name == b"accept":
            accept = accept + b"," + value if accept else value
        elif name == b"content-type":
            content_type = value
    if not accept and not content_type:
        return JSON
    return _wanted(accept[:_MAX_ACCEPT], content_type[:_MAX_ACCEPT])


@lru_cache(64)
def _wanted(accept: bytes, content_type: bytes) -> Format:
    sent = _format_named(content_type.decode("latin-1")) or JSON
    if not accept:
        return sent
    ranges = dict(_ranges(accept.decode("latin-1")))
    order = (sent, MESSAGEPACK if sent is JSON else JSON)
    best = max(order, key=lambda each: _quality(ranges, each))
    return best if _quality(ranges, best) > 0 else JSON


def _format_named(content_type: str) -> Format | None:
    return _BY_MEDIA_TYPE.get(content_type.partition(";")[0].strip().lower())


def _ranges(accept: str) -> Iterator[tuple[str, float]]:
    """Each range with its quality; one whose quality cannot be read counts as not sent."""
    for part in accept.split(","):
        media_range, *parameters = (each.strip().lower() for each in part.split(";"))
        weights = [each[2:] for each in parameters if each.startswith("q=")]
        quality = _weight(weights[0]) if weights else 1.0
        if quality is not None:
            yield media_range, quality


def _weight(text: str) -> float | None:
    """RFC 9110 section 12.4.2: from 0 to 1, three digits behind the point at most."""
    whole, _, rest = text.partition(".")
    if whole not in ("0", "1") or len(rest) > 3 or not (rest == "" or rest.isdecimal()):
        return None
    weight = float(f"{whole}.{rest or 0}")
    return weight if weight <= 1 else None


def _quality(ranges: dict[str, float], wanted: Format) -> float:
    """That of the most specific range that covers the form."""
    for media_range in (wanted.media_type, "application/*", "*/*"):
        if media_range in ranges:
            return ranges[media_range]
    return 0.0
