"""Account exports: fetched, and checked to be whole (spec/export.md).

A file that this module wrote or read to its end is exactly what the server began to tell.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._answers import Answer
from ._calls import Call
from ._errors import AnswerInvalid, ExportDamaged, Offline
from ._files import sync_folder
from ._push import Progress
from ._versions import COLLECTIONS, ItemKey, Version

if TYPE_CHECKING:
    from ._driver import Driver

FORMAT = "echolia-export/1"
_BESIDE_SECTIONS = ("header", "position")
_TRIES = 3
_READ_BYTES = 1024 * 1024
# An item of eight versions of the largest size, in base64; no line of a sound export is longer.
_MAX_LINE_BYTES = 64 * 1024 * 1024
_MAX_SHORT_LINE_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class ExportSummary:
    """What a whole export says of itself. Times in Unix seconds."""

    user_id: str
    exported_at: int
    counts: dict[str, int]


class ExportCheck:
    """Takes an export's bytes as they come; ExportDamaged as soon as they cannot be right."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._all = hashlib.sha256()
        self._section = hashlib.sha256()
        self._lines = self._in_section = 0
        self._counts: dict[str, int] = {}
        self._header: Answer | None = None
        self._is_ended = False

    @property
    def items(self) -> int:
        """Lines since the last section ended: of the items, at the end."""
        return self._in_section

    def feed(self, data: bytes) -> None:
        *lines, rest = data.split(b"\n")
        for line in lines:
            self._take(bytes(self._rest) + line + b"\n")
            self._rest.clear()
        self._rest += rest
        if len(self._rest) > _MAX_LINE_BYTES:
            raise ExportDamaged("the export has a line without an end")

    def finish(self) -> ExportSummary:
        """Nothing is missing; ExportDamaged if it is cut off."""
        if not self._is_ended or self._rest or self._header is None:
            raise ExportDamaged("the export is cut off")
        user_id = self._header.id("user_id")
        return ExportSummary(user_id, self._header.number("exported_at"), dict(self._counts))

    def _take(self, line: bytes) -> None:
        if self._is_ended:
            raise ExportDamaged("the export goes on behind its end")
        kind = _kind_of(line)
        if (kind == "header") != (self._header is None):
            raise ExportDamaged("the export does not begin with its header")
        if kind == "header":
            self._header = _fields_of(line)
            if self._header.fields.get("format") != FORMAT:
                raise ExportDamaged("the export is of a format that this version does not know")
        elif kind == "end":
            self._check_end(_fields_of(line))
            return
        elif kind == "section":
            self._check_section(_fields_of(line))
        elif kind not in _BESIDE_SECTIONS:
            self._section.update(line)
            self._in_section += 1
        self._all.update(line)
        self._lines += 1

    def _check_section(self, line: Answer) -> None:
        found = line.fields.get("count"), line.fields.get("sha256")
        if found != (self._in_section, self._section.hexdigest()):
            raise ExportDamaged("a part of the export was changed or is missing")
        self._counts[line.text("name")] = self._in_section
        self._section, self._in_section = hashlib.sha256(), 0

    def _check_end(self, line: Answer) -> None:
        found = [line.fields.get(name) for name in ("lines", "counts", "sha256")]
        if found != [self._lines, self._counts, self._all.hexdigest()]:
            raise ExportDamaged("the export was changed")
        self._is_ended = True


def _kind_of(line: bytes) -> str:
    """Without parsing megabytes of ciphertext: every line of ours begins with its type."""
    head = line[:40]
    if not head.startswith(b'{"type":"'):
        raise ExportDamaged("this is no export")
    return head[9:].split(b'"', 1)[0].decode("ascii", "replace")


def _fields_of(line: bytes) -> Answer:
    if len(line) > _MAX_SHORT_LINE_BYTES:
        raise ExportDamaged("the export has a line that is far too long")
    return _parsed(line)


def _parsed(line: bytes) -> Answer:
    try:
        return Answer.of(json.loads(line))
    except (ValueError, RecursionError, AnswerInvalid):
        raise ExportDamaged("the export has a line that is no JSON") from None


# -- out of the server


def fetch_export(driver: Driver, path: Path, user_id: str, progress: Progress) -> ExportSummary:
    """`path` holds the whole export (0600), checked, on disk, or what it held before.

    One that is cut off is fetched again from its start; ExportDamaged or Offline at last.
    """
    for left in reversed(range(_TRIES)):
        try:
            return _fetch_once(driver, path, user_id, progress)
        except (ExportDamaged, Offline):
            if not left:
                raise
    raise AssertionError("unreachable")


def _fetch_once(driver: Driver, path: Path, user_id: str, progress: Progress) -> ExportSummary:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".new-")  # 0600 from the start
    try:
        with os.fdopen(handle, "wb") as file, driver.stream(_EXPORT) as parts:
            summary = _written(parts, file, progress)
            file.flush()
            os.fsync(file.fileno())
        if summary.user_id != user_id:
            raise ExportDamaged("the server exports another account")
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
    sync_folder(path.parent)
    return summary


_EXPORT = Call("POST", "/account/export")


def _written(parts: Iterable[bytes], file: Any, progress: Progress) -> ExportSummary:
    check = ExportCheck()
    for part in parts:
        check.feed(part)
        file.write(part)
        progress("export", check.items, check.items + 1)
    return check.finish()


# -- out of the file


def check_export(path: Path) -> ExportSummary:
    """The whole file is read and sound; ExportDamaged otherwise."""
    check = ExportCheck()
    with path.open("rb") as file:
        while data := file.read(_READ_BYTES):
            check.feed(data)
    return check.finish()


def items_of(path: Path) -> Iterator[tuple[ItemKey, list[Version]]]:
    """Every item once, as its last line says, in the order of the account's sequence."""
    last = {key: seq for key, seq, _ in _item_lines(path)}
    for key, seq, line in _item_lines(path):
        if last[key] == seq:
            yield key, [Version.read(key, one) for one in line.objects("versions")]


def _item_lines(path: Path) -> Iterator[tuple[ItemKey, int, Answer]]:
    with path.open("rb") as file:
        for raw in file:
            if raw.startswith(b'{"type":"item"'):
                line = _parsed(raw)
                collection = line.text("collection")
                if collection not in COLLECTIONS:
                    raise ExportDamaged("the export has an item of an unknown collection")
                yield ItemKey(collection, line.id("id")), line.number("seq"), line
