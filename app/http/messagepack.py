"""Bytes to values and back as MessagePack, with the strictness of `ijson`: what JSON could not say
is refused, and so is what two readers could read differently.

Of the readers there are, only this one shows the pairs of a map, and counts as it goes: a few bytes
of MessagePack can ask for a gigabyte of empty lists.
"""

from collections.abc import Iterable, Sequence
from itertools import chain
from math import isfinite
from typing import Any, NoReturn

import msgpack

from app.errors import EcholiaError, Malformed
from app.http.ijson import has_noncharacter

MAX_DEPTH = 200
CONTAINER_PARTS = 8
"""What a list or a map weighs beside what it holds: reading it costs as much as so many numbers."""
_PLAIN = frozenset((dict, list, str, bytes, int, float, bool, type(None)))


class Budget:
    """How much a body may hold: `longest` elements in one list or map, `parts` in all. What holds
    more is answered with `refusal`."""

    def __init__(self, longest: int, parts: int, refusal: EcholiaError) -> None:
        self.longest = longest
        self.refusal = refusal
        self._left = parts

    def take_list(self, values: list[Any]) -> list[Any]:
        """A list that was read to its end."""
        self._left -= len(values) + CONTAINER_PARTS
        if self._left < 0:
            raise self.refusal
        return values

    def take_map(self, pairs: Sequence[tuple[Any, Any]]) -> dict[Any, Any]:
        """A map that was read to its end, whose keys must all be different."""
        count = len(pairs)
        self._left -= count + CONTAINER_PARTS
        if self._left < 0:
            raise self.refusal
        found = dict(pairs)
        if len(found) != count:
            raise _malformed()
        return found


def parse(body: bytes, budget: Budget) -> object:
    """The value the body holds. Raises Malformed for anything but one whole value: cut or with
    bytes after it, invalid UTF-8, keys that are not text, a key twice in one map, extension types,
    timestamps, NaN and infinities, noncharacters, nesting beyond 200; and the budget's refusal.
    """
    value = read(body, budget)
    check(value)
    return value


def read(body: bytes, budget: Budget) -> object:
    """As `parse`, but for what `check` finds."""
    try:
        value: object = msgpack.unpackb(
            body,
            object_pairs_hook=budget.take_map,
            list_hook=budget.take_list,
            ext_hook=_no_extension,
            max_array_len=budget.longest,
            max_map_len=budget.longest,
        )
    except ValueError as error:
        # Lengths are reserved as they are announced, so the reader has to refuse them itself.
        is_too_long = str(error).endswith(
            (f"array_len({budget.longest})", f"map_len({budget.longest})")
        )
        raise (budget.refusal if is_too_long else _malformed()) from None
    return value


def encode(value: object) -> bytes:
    """An answer's body; of dicts with text for keys, lists, and what `parse` lets through."""
    packed: bytes = msgpack.packb(value)
    return packed


def _no_extension(_code: int, _data: bytes) -> NoReturn:
    raise _malformed()


def check(value: object) -> None:
    """Raises Malformed for what `read` lets through and `parse` refuses: kinds of values, keys that
    are bytes, NaN and infinities, noncharacters, nesting."""
    # Level by level, which is a fraction of the cost of value by value.
    level: list[Any] = [value]
    for _ in range(MAX_DEPTH):
        kinds = set(map(type, level))
        if not kinds <= _PLAIN:
            raise _malformed()
        if float in kinds and not all(isfinite(each) for each in level if type(each) is float):
            raise _malformed()
        maps = [each for each in level if type(each) is dict] if dict in kinds else []
        _check_texts(chain(*maps, [each for each in level if type(each) is str]))
        lists = [each for each in level if type(each) is list] if list in kinds else []
        if not maps and not lists:
            return
        level = [*chain.from_iterable(lists)]
        for each in maps:
            level += each.values()
    raise _malformed()


def _check_texts(texts: Iterable[str]) -> None:
    """Keys among them may be bytes, which cannot be joined to text."""
    try:
        joined = "".join(texts)
    except TypeError:
        raise _malformed() from None
    if has_noncharacter(joined):
        raise _malformed()


def _malformed() -> Malformed:
    return Malformed("The body is not MessagePack as the protocol has it.")


# --- writing in parts ---------------------------------------------------------------------------


def integer(number: int) -> bytes:
    """A whole number from 0 to 2^64 - 1, in the shortest form."""
    if number < 0x80:
        return _BYTES[number]
    if number < 0x100:
        return b"\xcc" + _BYTES[number]
    if number < 0x10000:
        return b"\xcd" + number.to_bytes(2, "big")
    if number < 0x100000000:
        return b"\xce" + number.to_bytes(4, "big")
    return b"\xcf" + number.to_bytes(8, "big")


def text(value: str) -> bytes:
    """A text, whole."""
    raw = value.encode()
    size = len(raw)
    if size < 0x20:
        return _BYTES[0xA0 | size] + raw
    return _head(size, b"\xd9", b"\xda", b"\xdb") + raw


def binary_head(size: int) -> bytes:
    """What stands before so many raw bytes."""
    return _head(size, b"\xc4", b"\xc5", b"\xc6")


def list_head(count: int) -> bytes:
    """What stands before so many values."""
    return _BYTES[0x90 | count] if count < 0x10 else _long_head(count, b"\xdc", b"\xdd")


def map_head(count: int) -> bytes:
    """What stands before so many pairs of a key and a value."""
    return _BYTES[0x80 | count] if count < 0x10 else _long_head(count, b"\xde", b"\xdf")


_BYTES = tuple(bytes((number,)) for number in range(0x100))


def _head(size: int, short: bytes, middle: bytes, long: bytes) -> bytes:
    return short + _BYTES[size] if size < 0x100 else _long_head(size, middle, long)


def _long_head(size: int, middle: bytes, long: bytes) -> bytes:
    if size < 0x10000:
        return middle + size.to_bytes(2, "big")
    return long + size.to_bytes(4, "big")
