"""What the sweep looks for."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demo.needles import (
    PIECE,
    bytes_needle,
    diary_needles,
    line_needle,
    spellings,
    text_needle,
)
from demo.story import DIARY


@given(st.text(min_size=1, max_size=200), st.binary(max_size=7), st.binary(max_size=7))
def test_base64_of_anything_around_a_piece_contains_one_of_its_spellings(
    text: str, before: bytes, behind: bytes
) -> None:
    try:
        piece = text.encode()
    except UnicodeEncodeError:
        return
    forms = [form for name, form in spellings(piece, is_text=True) if name == "base64"]
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        assert any(form in encode(before + piece + behind) for form in forms)


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=300))
def test_the_pieces_of_a_text_cover_all_of_it(text: str) -> None:
    needle = text_needle("title", "here", text)
    if needle is None:
        assert any(len(text[at : at + PIECE].encode()) < 6 for at in range(0, len(text) + 1, PIECE))
        return
    pieces = [piece.decode() for piece in needle.pieces]
    assert all(piece in text for piece in pieces)
    if len(text) >= PIECE:
        covered = {
            at + offset
            for piece in pieces
            for at in range(len(text))
            if text.startswith(piece, at)
            for offset in range(len(piece))
        }
        assert covered == set(range(len(text)))


@pytest.mark.parametrize("line", ["", "---", "- [x]", "| --- | --- |", "2024-09-01", "\U0001f331"])
def test_a_line_that_anybody_could_have_written_is_no_needle(line: str) -> None:
    assert line_needle("here", line) is None


def test_a_secret_that_chance_could_make_is_refused() -> None:
    with pytest.raises(ValueError, match="too short"):
        bytes_needle("vault key", "here", b"fifteen bytes!!")


def test_every_file_of_the_diary_gives_needles_of_its_name_and_all_but_one_of_their_lines() -> None:
    needles = list(diary_needles(DIARY))
    files = {file.relative_to(DIARY).as_posix() for file in DIARY.rglob("*.md")}
    named = {needle.where for needle in needles if needle.kind == "file name"}
    lined = {needle.where.rsplit(":", 1)[0] for needle in needles if needle.kind == "line"}
    assert named == files
    assert files - lined == {"2025/2025-01-13-monday.md"}, "the one that is a single emoji"


def test_lines_of_every_script_in_the_diary_are_needles() -> None:
    wanted = ["Ελληνικά", "日本語", "Українська", "עברית", "العربية", "हिन्दी", "ไทย"]
    scripts = [
        range(min(map(ord, word)) & ~0x7F, (max(map(ord, word)) | 0x7F) + 1) for word in wanted
    ]
    text = "".join(piece.decode() for needle in diary_needles(DIARY) for piece in needle.pieces)
    seen = set(map(ord, text))
    assert all(seen.intersection(script) for script in scripts)
