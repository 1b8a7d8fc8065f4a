"""MessagePack as strict as I-JSON: one meaning or none, and no more of it than was allowed."""

import json
import math
import struct
import tracemalloc
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import Invalid, Malformed
from app.http import ijson, messagepack
from app.http.messagepack import MAX_DEPTH, Budget, parse
from tests.http.test_ijson import texts

REFUSED = {
    "nothing": b"",
    "a byte after it": b"\x80\x00",
    "a value after it": b"\x80\x80",
    "cut map": b"\x82\xa1a\x01",
    "cut text": b"\xa5ab",
    "cut bytes": b"\xc4\x05ab",
    "cut number": b"\xcd\x01",
    "more announced than there is": b"\xdd\x00\x00\x00\x10\x01",
    "a type that is none": b"\xc1",
    "same key twice": b"\x82\xa1a\x01\xa1a\x01",
    "same key twice, deep": b"\x81\xa1x\x91\x82\xa1a\x01\xa1a\x02",
    "same key in two lengths": b"\x82\xa1a\x01\xd9\x01a\x02",
    "a number as key": b"\x81\x01\x02",
    "bytes as key": b"\x81\xc4\x01a\x02",
    "bytes as key beside the same text": b"\x82\xa1a\x01\xc4\x01a\x02",
    "nil as key": b"\x81\xc0\x02",
    "a map as key": b"\x81\x80\x02",
    "extension type": b"\xd4\x05\x00",
    "extension type, deep": b"\x81\xa1a\x91\xc7\x00\x01",
    "timestamp of 32 bits": b"\xd6\xff\x00\x00\x00\x01",
    "timestamp of 64 bits, deep": b"\x91\xd7\xff" + bytes(8),
    "timestamp of 96 bits in a map": b"\x81\xa1a\xc7\x0c\xff" + bytes(12),
    "timestamp of no known length": b"\xd4\xff\x00",
    "NaN": b"\xcb" + struct.pack(">d", math.nan),
    "short NaN in a list": b"\x91\xca" + struct.pack(">f", math.nan),
    "infinity": b"\x81\xa1a\xcb" + struct.pack(">d", math.inf),
    "minus infinity": b"\x91\x91\xca" + struct.pack(">f", -math.inf),
    "text that is not UTF-8": b"\xa1\xff",
    "key that is not UTF-8": b"\x81\xa1\xff\x01",
    "overlong UTF-8": b"\xa2\xc0\xaf",
    "cut UTF-8": b"\xa2\xe2\x82",
    "surrogate": b"\xa3\xed\xa0\x80",
    "beyond Unicode": b"\xa4\xf4\x90\x80\x80",
    "noncharacter": msgpack.packb("\uffff"),
    "noncharacter within": msgpack.packb([{"a": ["x\ufdd0"]}]),
    "noncharacter in a key": msgpack.packb({"\U0001fffe": 1}),
    "nesting of 1,000": b"\x91" * 1000 + b"\xc0",
    "nesting of 16,000": b"\x91" * 16_000 + b"\xc0",
    "maps nested 5,000": b"\x81\xa1a" * 5000 + b"\x01",
}


def budget(longest: int = 64, parts: int = 10_000) -> Budget:
    return Budget(longest, parts, Invalid("too much"))


@pytest.mark.parametrize("body", REFUSED.values(), ids=REFUSED)
def test_what_has_no_one_meaning_is_refused_whole(body: bytes) -> None:
    with pytest.raises(Malformed) as refused:
        parse(body, budget(parts=10**6))
    assert refused.value.__cause__ is None, "a parser's words repeat the body"


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b"\x80", {}),
        (b"\xde\x00\x01\xda\x00\x01a\xcf" + bytes(7) + b"\x01", {"a": 1}),
        (b"\xdf\x00\x00\x00\x01\xdb\x00\x00\x00\x01a\xd3" + b"\xff" * 8, {"a": -1}),
        (b"\xc6\x00\x00\x00\x01a", b"a"),
        (b"\xcf" + b"\xff" * 8, 2**64 - 1),
        (b"\xca\x3f\x80\x00\x00", 1.0),
        (msgpack.packb("\ufffd\ufdf0\U0001fffd"), "\ufffd\ufdf0\U0001fffd"),
        (b"\x93\xc0\xc2\xc3", [None, False, True]),
    ],
    ids=["empty map", "long heads", "longest heads", "long bytes", "largest", "short float",
         "close to noncharacters", "words"],
)  # fmt: skip
def test_every_spelling_of_a_value_is_read(body: bytes, value: object) -> None:
    found = parse(body, budget())
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(("depth", "is_read"), [(MAX_DEPTH - 1, True), (MAX_DEPTH, False)])
def test_nesting_ends_where_it_is_said_to(depth: int, is_read: bool) -> None:
    body = b"\x91" * depth + b"\xc0"
    if is_read:
        assert parse(body, budget())
        return
    with pytest.raises(Malformed):
        parse(body, budget())


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | texts | st.binary(max_size=40),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)


@given(values)
def test_whatever_is_written_is_read_back(value: Any) -> None:
    assert parse(messagepack.encode(value), budget()) == value


def longest_forms(value: Any) -> bytes:
    """The value with every length in four bytes and every number in eight."""
    if isinstance(value, dict):
        inner = b"".join(longest_forms(each) for pair in value.items() for each in pair)
        return b"\xdf" + len(value).to_bytes(4, "big") + inner
    if isinstance(value, list):
        inner = b"".join(map(longest_forms, value))
        return b"\xdd" + len(value).to_bytes(4, "big") + inner
    if isinstance(value, str | bytes):
        raw = value.encode() if isinstance(value, str) else value
        return (b"\xdb" if isinstance(value, str) else b"\xc6") + struct.pack(">I", len(raw)) + raw
    if type(value) is int:
        return struct.pack(">bQ", -0x31, value) if value >= 0 else struct.pack(">bq", -0x2D, value)
    return bytes(msgpack.packb(value))


@given(values)
def test_the_longest_spelling_means_what_the_shortest_does(value: Any) -> None:
    assert parse(longest_forms(value), budget()) == value


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3)), max_size=4), st.booleans())
def test_a_key_that_stands_twice_is_found_however_it_is_spelled(
    pairs: list[tuple[str, int]], is_long: bool
) -> None:
    """Also with the very same value, and within other maps."""
    key = b"\xd9\x01" if is_long else b"\xa1"
    inner = b"".join(key + name.encode() + bytes((number,)) for name, number in pairs)
    body = b"\x92\x01\x81\xa1x" + bytes((0x80 | len(pairs),)) + inner
    is_twice = len(dict(pairs)) < len(pairs)
    assert is_refused(lambda: parse(body, budget())) == is_twice


@given(st.binary(max_size=80))
def test_no_bytes_bring_out_anything_but_a_value_or_a_refusal(body: bytes) -> None:
    try:
        found = parse(body, budget())
    except (Malformed, Invalid):
        return
    assert msgpack.unpackb(body) == found


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=8,
    )
)
def test_a_text_that_one_format_refuses_the_other_refuses_too(value: Any) -> None:
    try:
        packed = msgpack.packb(value)
    except UnicodeEncodeError:  # a lone surrogate, which only JSON can spell
        return
    written = json.dumps(value).encode()
    assert is_refused(lambda: parse(packed, budget())) == is_refused(lambda: ijson.parse(written))


def is_refused(read: Any) -> bool:
    try:
        read()
    except Malformed:
        return True
    return False


@pytest.mark.parametrize(
    "body",
    [
        b"\xdc\x00\x41" + bytes(65),
        b"\xdd\x00\xff\xff\xff" * 400,
        b"\x91\xde\x00\x41" + bytes(200),
        (b"\xdc\x00\x40" + b"\x90" * 64) * 1,
        b"\xdc\x00\x40" + (b"\xdc\x00\x40" + bytes(64)) * 64,
    ],
    ids=["a long list", "lengths nobody keeps", "a long map", "many lists", "many numbers"],
)
def test_more_than_the_budget_is_refused_with_its_own_words(body: bytes) -> None:
    asked = budget(parts=500)
    with pytest.raises(Invalid) as refused:
        parse(body, asked)
    assert refused.value is asked.refusal


def test_lengths_that_are_announced_and_not_kept_cost_no_memory() -> None:
    tracemalloc.start()
    try:
        assert is_refused(lambda: parse(b"\xdc\x04\x00" * 1000, budget(1024)))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 16 * 2**20


@given(st.integers(0, 2**64 - 1))
def test_a_number_is_written_as_briefly_as_it_can_be(number: int) -> None:
    assert messagepack.integer(number) == msgpack.packb(number)


@given(st.text(max_size=300))
def test_a_text_is_written_as_briefly_as_it_can_be(value: str) -> None:
    if not any("\ud800" <= each <= "\udfff" for each in value):
        assert messagepack.text(value) == msgpack.packb(value)


@pytest.mark.parametrize("size", [0, 15, 16, 31, 32, 255, 256, 65_535, 65_536])
def test_heads_are_those_of_the_sizes_behind_them(size: int) -> None:
    assert messagepack.binary_head(size) + bytes(size) == msgpack.packb(bytes(size))
    assert messagepack.list_head(size) + b"\xc0" * size == msgpack.packb([None] * size)
    assert msgpack.packb(dict.fromkeys(range(size))).startswith(messagepack.map_head(size))
    assert messagepack.text("x" * size) == msgpack.packb("x" * size)
