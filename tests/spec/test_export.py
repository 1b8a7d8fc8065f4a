"""spec/vectors/export.json against a reader written from spec/export.md, and the server's sums."""

from typing import Any

import orjson
import pytest

from app.account.tally import Tally
from tests.kit.account import Export
from tests.spec.make_export import COMMENT, cases
from tests.spec.vectors import name_of, vectors

VECTORS = vectors("export")


@pytest.mark.parametrize("case", VECTORS["cases"], ids=name_of)
def test_what_is_whole_is_read_and_nothing_else(case: Any) -> None:
    if case["valid"]:
        Export.read(case["text"].encode())
        return
    with pytest.raises((AssertionError, IndexError, KeyError, ValueError)):
        Export.read(case["text"].encode())


def test_the_server_sums_up_as_the_vectors_do() -> None:
    text = VECTORS["cases"][0]["text"].encode()
    lines = text.splitlines(keepends=True)
    tally, made = Tally(), b""
    held: list[bytes] = []
    for line in lines[:-1]:
        members = orjson.loads(line)
        if members["type"] in ("header", "position"):
            made += tally.line(**members)
        elif members["type"] == "section":
            made += tally.rows(held) + tally.close_section(members["name"])
            held = []
        else:
            held.append(line)
    assert made + tally.end() == text


def test_the_file_is_what_its_program_makes() -> None:
    assert {"comment": COMMENT, "cases": cases()} == VECTORS
