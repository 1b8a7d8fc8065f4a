"""What must never lie readable in a file: secrets, cut into pieces, each in many spellings.

A piece is short enough to survive whole where storage cuts a text in two (a page of a database, a
line of a PEM file, a shortened log value), and long enough never to occur by chance.
"""

import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote_from_bytes, quote_plus

PIECE = 24
"""Characters of a text, or bytes of a long key, in one piece. Short keys are cut finer, so that one
piece stays whole wherever base64 is broken into lines."""
LEAST_BYTES_OF_KEY = 16
LEAST_BYTES = 6
LEAST_BYTES_OF_LINE = 12
LEAST_LETTERS_OF_LINE = 8
_FIRST_WHOLE_CHARACTER = (0, 2, 3)


@dataclass(frozen=True, slots=True)
class Needle:
    """One secret. `where` says where it came from, without saying it."""

    kind: str
    where: str
    secret: bytes
    pieces: tuple[bytes, ...]
    is_text: bool


def text_needle(kind: str, where: str, text: str) -> Needle | None:
    """None if the text is too short to tell from chance."""
    return _of_text(kind, where, text, _is_long_enough)


def line_needle(where: str, line: str, kind: str = "line") -> Needle | None:
    """A line somebody wrote; None if it has too few letters to be anybody's own."""
    return _of_text(kind, where, line.strip(), _is_distinctive)


def bytes_needle(kind: str, where: str, secret: bytes) -> Needle:
    """A key or the like. Raises ValueError if it is too short to tell from chance."""
    if len(secret) < LEAST_BYTES_OF_KEY:
        raise ValueError("too short to be found for certain")
    size, step = (PIECE, PIECE) if len(secret) > 4 * PIECE else (PIECE // 2, PIECE // 6)
    starts = range(0, len(secret) - size + 1, step)
    pieces = dict.fromkeys([*(secret[at : at + size] for at in starts), secret[-size:]])
    return Needle(kind, where, secret, tuple(pieces), is_text=False)


def diary_needles(folder: Path) -> Iterator[Needle]:
    """Every distinctive line of every Markdown file, every title, every file name."""
    for file in sorted(folder.rglob("*.md")):
        where = file.relative_to(folder).as_posix()
        lines = file.read_text("utf-8-sig").splitlines()
        found = [
            text_needle("file name", where, file.name),
            _slug_needle(where, file.stem),
            *(text_needle("title", where, title) for title in _titles(lines)),
            *(line_needle(f"{where}:{n}", line) for n, line in enumerate(lines, start=1)),
        ]
        yield from (needle for needle in found if needle is not None)


def _slug_needle(where: str, stem: str) -> Needle | None:
    """The words of a file name, without the date that any log line could have."""
    return line_needle(where, stem[len("2024-09-01-") :], "file name")


def _titles(lines: list[str]) -> list[str]:
    marked = [line.removeprefix("title:") for line in lines[:6] if line.startswith("title:")]
    headings = [line.removeprefix("# ") for line in lines if line.startswith("# ")]
    return [title.strip().strip("\"'") for title in marked + headings]


def _of_text(kind: str, where: str, text: str, fits: Callable[[str], bool]) -> Needle | None:
    pieces = tuple(piece.encode() for piece in _cut(text) if fits(piece))
    return Needle(kind, where, text.encode(), pieces, is_text=True) if pieces else None


def _cut(text: str) -> list[str]:
    """Pieces that cover the text; the last one reaches back rather than being short."""
    starts = range(0, max(1, len(text) - PIECE + 1), PIECE)
    pieces = [text[at : at + PIECE] for at in starts]
    return pieces if len(text) % PIECE == 0 else [*pieces, text[-PIECE:]]


def _is_long_enough(piece: str) -> bool:
    return len(piece.encode()) >= LEAST_BYTES


def _is_distinctive(piece: str) -> bool:
    letters = sum(character.isalpha() for character in piece)
    return len(piece.encode()) >= LEAST_BYTES_OF_LINE and letters >= LEAST_LETTERS_OF_LINE


# --- spellings ----------------------------------------------------------------------------------


def spellings(piece: bytes, *, is_text: bool) -> Iterator[tuple[str, bytes]]:
    """The piece in every form that programs write bytes or text in: (name of the form, bytes)."""
    yield "as it is", piece
    yield "hex", piece.hex().encode()
    yield "hex", piece.hex().upper().encode()
    yield "Python escapes", repr(piece)[2:-1].encode()
    for behind in range(3):
        yield from (("base64", form) for form in _base64_forms(piece, behind))
    if not is_text:
        return
    text = piece.decode()
    yield "UTF-16", text.encode("utf-16-le")
    yield "UTF-16", text.encode("utf-16-be")
    yield "JSON escapes", json.dumps(text)[1:-1].encode()
    yield "JSON escapes", json.dumps(text, ensure_ascii=False)[1:-1].encode()
    yield "Python escapes", repr(text)[1:-1].encode()
    for escape in (quote_from_bytes, quote_plus):
        yield "percent escapes", escape(piece, safe="").encode()
        yield "percent escapes", escape(piece, safe="/").encode()


def _base64_forms(piece: bytes, behind: int) -> set[bytes]:
    """The characters that this piece alone decides when `behind` (mod 3) bytes stand before it."""
    encoded = base64.b64encode(bytes(behind) + piece)
    whole = (behind + len(piece)) * 8 // 6
    standard = encoded[_FIRST_WHOLE_CHARACTER[behind] : whole]
    return {standard, standard.translate(bytes.maketrans(b"+/", b"-_"))}
