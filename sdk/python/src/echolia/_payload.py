"""Plaintexts inside envelopes (spec/journal.md): JSON objects, never trusted to be whole."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from ._clocks import VectorClock
from ._errors import CannotOpen, PayloadInvalid

Payload = Mapping[str, Any]
FORMAT = 1
KINDS: Mapping[str, str] = {"entries": "entry", "memories": "memory", "tags": "tag"}


def encode(payload: Payload) -> bytes:
    """UTF-8 JSON; PayloadInvalid for what JSON or UTF-8 cannot carry (lone surrogates, NaN)."""
    try:
        return _ENCODER.encode(payload).encode()
    except (ValueError, TypeError, RecursionError) as error:
        raise PayloadInvalid("this text has characters that UTF-8 cannot carry") from error


def decode(collection: str, data: bytes) -> Payload:
    """The payload, unknown members kept; CannotOpen for another kind or a newer format."""
    try:
        payload = _DECODER.decode(data.decode())
        if b"\\u" in data:
            encode(payload)  # an escape may stand for half a character, which no text can hold
    except (ValueError, RecursionError, PayloadInvalid):
        raise CannotOpen("schema") from None
    if not isinstance(payload, dict) or payload.get("v") != FORMAT:
        raise CannotOpen("schema")
    if payload.get("kind") != KINDS[collection]:
        raise CannotOpen("schema")
    return payload


def _refuse(constant: str) -> None:
    raise ValueError("not a number")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError("beyond every number")
    return number


# Made once: making one takes longer than using it.
_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
_DECODER = json.JSONDecoder(parse_constant=_refuse, parse_float=_finite)


def tombstone(collection: str, deleted_at: int) -> Payload:
    return {"v": FORMAT, "kind": KINDS[collection], "edited_at": deleted_at}


def edited_at(payload: Payload) -> int:
    value = payload.get("edited_at")
    return value if type(value) is int else 0


def merged_set(payload: Payload) -> frozenset[VectorClock]:
    """The clocks that a machine put together in this version; empty if a person wrote it."""
    clocks = payload.get("merged")
    if not isinstance(clocks, list):
        return frozenset()
    try:
        return frozenset(VectorClock.of(clock) for clock in clocks)
    except (ValueError, AttributeError, TypeError):
        return frozenset()
