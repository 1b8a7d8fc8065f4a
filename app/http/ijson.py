"""Bytes to values, strictly: I-JSON (RFC 7493), nothing more.

The standard parsers take duplicate keys, NaN or lone surrogates and let two readers of one body
see two different things. Here such a body is refused whole.
"""

import re
from itertools import chain

import jiter

from app.errors import Malformed

_NONCHARACTER = re.compile(
    "[\\ufdd0-\\ufdef"
    + "".join(f"\\U{plane:04x}fffe\\U{plane:04x}ffff" for plane in range(0x11))
    + "]"
)


_SLICE = 16 * 1024
"""Characters looked at in one go, about a millisecond: other threads have a turn in between."""


def parse(body: bytes) -> object:
    """The value the body holds. Raises Malformed for anything that is not I-JSON: invalid UTF-8,
    duplicate keys, NaN and infinities, lone surrogates, noncharacters, text after the value; and
    for nesting beyond about 200.
    """
    try:
        value = jiter.from_json(
            body, allow_inf_nan=False, cache_mode="keys", catch_duplicate_keys=True
        )
    except ValueError:
        raise _malformed() from None
    if _may_hold_noncharacters(body) and _holds_noncharacter(value):
        raise _malformed()
    return value


def _may_hold_noncharacters(body: bytes) -> bool:
    """Most bodies are names, numbers and base64: they are done after one look."""
    return not body.isascii() or b"\\" in body


def has_noncharacter(text: str) -> bool:
    """Whether the text holds a code point that is none (RFC 7493 section 2.1)."""
    if text.isascii():
        return False
    starts = range(0, len(text), _SLICE)
    return any(_NONCHARACTER.search(text, at, at + _SLICE) for at in starts)


def _holds_noncharacter(value: object) -> bool:
    """Neither in names nor in texts."""
    if isinstance(value, str):
        return has_noncharacter(value)
    if isinstance(value, list):
        return any(map(_holds_noncharacter, value))
    if isinstance(value, dict):
        inner = chain(value, value.values())
        return any(map(_holds_noncharacter, inner))
    return False


def _malformed() -> Malformed:
    return Malformed("The body is not I-JSON (RFC 7493).")
