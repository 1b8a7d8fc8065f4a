"""The folder of vectors as a whole."""

import json
from pathlib import Path

import pytest

from tests.spec.vectors import FOLDER

FILES = sorted(FOLDER.glob("*.json"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_each_file_is_ordinary_json_in_utf_8(path: Path) -> None:
    text = path.read_text("utf-8")
    assert json.loads(text)
    assert text.endswith("\n")


def test_each_file_is_named_by_a_page_of_the_specification() -> None:
    pages = "".join(page.read_text() for page in FOLDER.parent.glob("*.md"))
    assert [path.name for path in FILES if f"vectors/{path.name}" not in pages] == []
