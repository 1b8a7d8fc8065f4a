"""The two forms of a body on the wire: MessagePack, and JSON for servers that know nothing else.

In a body that is not written yet bytes are bytes; JSON makes base64 of them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgpack

from ._canonical import b64

JSON = "application/json"
MESSAGEPACK = "application/msgpack"
# A length is reserved as it is announced, level by level: beyond any page, and still affordable.
_MAX_LENGTH = 2**16


@dataclass(frozen=True, slots=True)
class Written:
    """A body as it goes out, with the headers that say so."""

    content: bytes | None
    headers: Mapping[str, str]


def write(body: Mapping[str, Any] | None, media_type: str) -> Written:
    """The body, if there is one, in that form; the answer is wanted in it as well."""
    accept = MESSAGEPACK + ", " + JSON + ";q=0.5" if media_type == MESSAGEPACK else JSON
    if body is None:
        return Written(None, {"Accept": accept})
    headers = {"Accept": accept, "Content-Type": media_type}
    if media_type == MESSAGEPACK:
        return Written(msgpack.packb(body), headers)
    return Written(json.dumps(body, default=_bytes_as_text).encode(), headers)


def read(content: bytes, content_type: str) -> object:
    """What an answer holds. ValueError or RecursionError for what is in neither form."""
    if content_type.partition(";")[0].strip().lower() != MESSAGEPACK:
        return json.loads(content)
    value: object = msgpack.unpackb(
        content, max_array_len=_MAX_LENGTH, max_map_len=_MAX_LENGTH, ext_hook=_no_extension
    )
    return value


def _bytes_as_text(value: object) -> str:
    if isinstance(value, bytes):
        return b64(value)
    raise TypeError("a body holds something that has no form on the wire")


def _no_extension(_code: int, _data: bytes) -> object:
    raise ValueError("an extension type, of which the protocol has none")
