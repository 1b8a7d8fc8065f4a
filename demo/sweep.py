"""Looking for needles in every byte of every file.

Files are read raw, whatever they are, so freed pages, write-ahead logs and lock files count as
much as rows. Compressed members are unpacked wherever they begin. Rows of a SQLite file are read
as values too, since a long one is scattered over pages. A file's name is searched as well.
"""

import os
import re
import shutil
import sqlite3
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from demo.needles import LEAST_BYTES, Needle, spellings

_PREFIX = LEAST_BYTES
_COMPRESSED = re.compile(rb"\x78[\x01\x5e\x9c\xda]|\x1f\x8b\x08")
_BLOCK = 256
_MAX_UNPACKED = 16 * 1024 * 1024
_MAX_DEPTH = 2
_SQLITE = b"SQLite format 3\0"

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Find:
    """A needle that was there: in which file, in which form."""

    needle: Needle
    form: str
    file: str

    def __str__(self) -> str:
        return f"{self.needle.kind} ({self.needle.where}), {self.form}, in {self.file}"


@dataclass(frozen=True, slots=True)
class Swept:
    """What was looked through, and what was found."""

    files: int
    size_bytes: int
    finds: frozenset[Find]


class Sieve:
    """Needles made ready: looking takes about a tenth of a second per megabyte, however many."""

    def __init__(self, needles: Iterable[Needle]) -> None:
        self.needles = tuple(needles)
        self._by_prefix: dict[bytes, list[tuple[bytes, str, Needle]]] = {}
        known: set[tuple[bytes, str, str]] = set()
        for needle in self.needles:
            for form, pattern in _patterns(needle):
                if (pattern, needle.kind, needle.where) not in known:
                    known.add((pattern, needle.kind, needle.where))
                    same = self._by_prefix.setdefault(pattern[:_PREFIX], [])
                    same.append((pattern, form, needle))
        self.spellings = len({pattern for pattern, _, _ in known})

    def matches(self, data: bytes) -> Iterator[tuple[str, Needle]]:
        """Form and needle of all that stands in the data."""
        prefixes = self._by_prefix
        for at in range(len(data) - _PREFIX + 1):
            if (prefix := data[at : at + _PREFIX]) in prefixes:
                for pattern, form, needle in prefixes[prefix]:
                    if data.startswith(pattern, at):
                        yield form, needle


def _patterns(needle: Needle) -> Iterator[tuple[str, bytes]]:
    for piece in needle.pieces:
        for form, pattern in spellings(piece, is_text=needle.is_text):
            if len(pattern) >= _PREFIX:
                yield form, pattern


def sweep(
    sieve: Sieve, roots: Iterable[Path], progress: Progress = lambda size_bytes: None
) -> Swept:
    """Look through everything below the roots. A file that cannot be read is an error, not skipped:
    OSError. `progress` is told of each file's size once it is done."""
    files, size_bytes, finds = 0, 0, set[Find]()
    for root in roots:
        for file in files_below(root):
            data = file.read_bytes()
            name = file.relative_to(root.parent).as_posix()
            finds.update(Find(needle, form, name) for form, needle in _in_file(sieve, file, data))
            # Not the root's own parents: what a machine's folders are called is not ours.
            finds.update(Find(needle, form, name) for form, needle in sieve.matches(name.encode()))
            files, size_bytes = files + 1, size_bytes + len(data)
            progress(len(data))
    return Swept(files, size_bytes, frozenset(finds))


def files_below(root: Path) -> list[Path]:
    """Every file below a folder, or the file itself."""
    if root.is_file():
        return [root]
    return sorted(Path(folder, name) for folder, _, names in os.walk(root) for name in names)


def _in_file(sieve: Sieve, file: Path, data: bytes) -> Iterator[tuple[str, Needle]]:
    yield from _in_data(sieve, data)
    if data.startswith(_SQLITE):
        for value in _values(file):
            yield from _in_data(sieve, value)


def _in_data(sieve: Sieve, data: bytes, depth: int = 0) -> Iterator[tuple[str, Needle]]:
    yield from sieve.matches(data)
    if depth == _MAX_DEPTH:
        return
    for unpacked in _unpacked(data):
        for form, needle in _in_data(sieve, unpacked, depth + 1):
            yield form if form.endswith("compressed") else f"{form}, compressed", needle


def _unpacked(data: bytes) -> Iterator[bytes]:
    """What zlib and gzip members hold, as far as they can be read."""
    for match in _COMPRESSED.finditer(data):
        if unpacked := _unpack(memoryview(data)[match.start() :]):
            yield unpacked


def _unpack(data: memoryview) -> bytes:
    either = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
    out = bytearray()
    try:
        # In blocks, so that what stands before a damaged place still comes out.
        for at in range(0, len(data), _BLOCK):
            out += either.decompress(data[at : at + _BLOCK], _MAX_UNPACKED)
            if either.eof or len(out) > _MAX_UNPACKED:
                break
    except zlib.error:
        return bytes(out)
    return bytes(out)


def _values(database: Path) -> Iterator[bytes]:
    """Every text and blob of every table, read from a copy: looking must leave no trace."""
    with TemporaryDirectory(prefix="echolia-sweep-") as folder:
        copy = Path(folder, "copy.db")
        shutil.copyfile(database, copy)
        log = database.with_name(database.name + "-wal")
        if log.exists():
            shutil.copyfile(log, copy.with_name(copy.name + "-wal"))
        with closing(sqlite3.connect(copy)) as connection:
            connection.text_factory = bytes
            for table in table_names(connection):
                for row in connection.execute(f"SELECT * FROM {quoted(table)}"):
                    yield from (value for value in row if isinstance(value, bytes))


def table_names(connection: sqlite3.Connection) -> list[str]:
    """The database's own tables, in the order they were made."""
    rows = connection.execute(
        "SELECT CAST(name AS BLOB) FROM sqlite_master"
        " WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY rowid"
    )
    return [bytes(name).decode() for (name,) in rows]


def quoted(name: str) -> str:
    """The name as SQL takes it, whatever is in it."""
    return '"' + name.replace('"', '""') + '"'
