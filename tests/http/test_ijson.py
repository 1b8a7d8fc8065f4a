"""I-JSON (RFC 7493) and nothing more."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import Malformed
from app.http import ijson

REFUSED = {
    "nothing": b"",
    "white space": b" \n",
    "NaN": b'{"a": NaN}',
    "infinity": b"[Infinity]",
    "minus infinity": b"[-Infinity]",
    "lone high surrogate": rb'{"a": "\ud800"}',
    "lone low surrogate": rb'"\udc00x"',
    "surrogates in the wrong order": rb'"\udc00\ud800"',
    "lone surrogate in a name": rb'{"\ud800": 1}',
    "raw surrogate": b'"\xed\xa0\x80"',
    "overlong": b'"\xc0\xaf"',
    "beyond Unicode": b'"\xf4\x90\x80\x80"',
    "cut UTF-8": b'"\xe2\x82"',
    "Latin-1": b'"\xe9"',
    "noncharacter": rb'"\uffff"',
    "noncharacter within": rb'[{"a": ["x\ufdd0"]}]',
    "raw noncharacter": '{"a": "\ufffe"}'.encode(),
    "noncharacter of a later plane": '"\U0001ffff"'.encode(),
    "last noncharacter": rb'"\udbff\udfff"',
    "noncharacter in a name": rb'{"\ufffe": 1}',
    "same name twice": b'{"a": 1, "a": 1}',
    "same name spelled twice": rb'{"a": 1, "\u0061": 2}',
    "same name twice, deep": b'{"x": [{"y": {"a": 1, "b": 2, "a": 3}}]}',
    "byte order mark": b"\xef\xbb\xbf{}",
    "UTF-16": "{}".encode("utf-16"),
    "UTF-16 without mark": "{}".encode("utf-16-le"),
    "UTF-32": "{}".encode("utf-32"),
    "text after it": b"{} x",
    "value after it": b"{} {}",
    "zero after it": b"{}\0",
    "cut object": b'{"a":',
    "cut text": b'"abc',
    "cut word": b"tru",
    "comma at the end": b"[1,]",
    "leading zero": b"01",
    "plus": b"+1",
    "bare point": b".5",
    "hexadecimal": b"0x10",
    "single quotes": b"{'a': 1}",
    "bare name": b"{a: 1}",
    "comment": b"{} // x",
    "control character": b'"\x01"',
    "line break in a text": b'"a\nb"',
    "bad escape": rb'"\x41"',
    "nesting of 1,000": b"[" * 1000 + b"]" * 1000,
    "nesting of 100,000": b"[" * 100_000 + b"]" * 100_000,
    "objects nested 100,000": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "5,000 digits": b"1" * 5000,
}


@pytest.mark.parametrize("body", REFUSED.values(), ids=REFUSED)
def test_what_is_not_i_json_is_refused_whole(body: bytes) -> None:
    with pytest.raises(Malformed) as refused:
        ijson.parse(body)
    assert refused.value.__cause__ is None, "a parser's words repeat the body"


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b' {"a": [1, 2.5, true, null, "x"]} ', {"a": [1, 2.5, True, None, "x"]}),
        (rb'"\ud83d\ude00"', "😀"),
        ('"\ufffd\ufdf0\U0001fffd"'.encode(), "\ufffd\ufdf0\U0001fffd"),
        (rb'"\u0000"', "\0"),
        (b"[" * 100 + b"]" * 100, None),
        (b"1" * 400, int("1" * 400)),
        (b"-0", 0),
    ],
    ids=[
        "mixed",
        "pair",
        "close to noncharacters",
        "zero",
        "nesting of 100",
        "large",
        "minus zero",
    ],
)
def test_what_is_i_json_is_read(body: bytes, value: Any) -> None:
    found = ijson.parse(body)
    assert found == value if value is not None else found


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="")).filter(
    lambda text: not any(ord(c) & 0xFFFE == 0xFFFE or 0xFDD0 <= ord(c) <= 0xFDEF for c in text)
)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)


@given(values, st.booleans())
def test_whatever_a_common_writer_writes_is_read_back(value: Any, ascii_only: bool) -> None:
    assert ijson.parse(json.dumps(value, ensure_ascii=ascii_only).encode()) == value


@given(st.binary(max_size=60))
def test_no_bytes_bring_out_anything_but_a_value_or_malformed(body: bytes) -> None:
    try:
        found = ijson.parse(body)
    except Malformed:
        return
    assert json.loads(body) == found or found != found


def test_a_noncharacter_is_found_wherever_in_a_long_text_it_stands() -> None:
    size = 40_000
    for at in (0, 16_383, 16_384, 16_385, 32_768, size - 1):
        text = "é" * at + "\ufffe" + "é" * (size - 1 - at)
        with pytest.raises(Malformed):
            ijson.parse(json.dumps(text, ensure_ascii=False).encode())
    assert ijson.parse(json.dumps("é" * size, ensure_ascii=False).encode()) == "é" * size
