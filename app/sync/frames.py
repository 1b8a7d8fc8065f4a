"""Events as lines of text (WHATWG HTML, section 9.2 "Server-sent events")."""

from collections.abc import Collection
from typing import Literal, TypeAlias

import orjson

NewsKind: TypeAlias = Literal["change", "devices", "entitlements"]
ByeReason: TypeAlias = Literal["revoked", "expired", "logout", "shutdown", "slow"]

MEDIA_TYPE = "text/event-stream"
COMMENT = b":\n\n"
ORDER: tuple[NewsKind, ...] = ("change", "devices", "entitlements")


def news(kinds: Collection[NewsKind], cursor: str) -> bytes:
    """One event for each kind, always in the same order."""
    data: dict[NewsKind, dict[str, str]] = {"change": {"cursor": cursor}}
    return b"".join(_event(kind, data.get(kind, {})) for kind in ORDER if kind in kinds)


def bye(reason: ByeReason) -> bytes:
    """The last event of a stream."""
    return _event("bye", {"reason": reason})


def _event(name: str, data: dict[str, str]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), orjson.dumps(data))
