"""A folder of Markdown into the journal, and the journal out into a folder."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from ._canonical import sha256
from ._client import Client
from ._files import make_private_folder, write_private
from ._journal import Entry
from ._markdown import (
    Document,
    decode_text,
    exported_id,
    new_front_matter,
    read_document,
    slug,
    write_document,
)
from ._push import Progress
from ._sync import silent

SUFFIXES = (".md", ".markdown", ".mdown", ".mkd")
_BATCH = 200
# With the short id added, still a name that every file system takes.
_MAX_NAME_BYTES = 240
_MAX_DEPTH = 16


@dataclass(slots=True)
class ImportReport:
    """Files by what became of them; `skipped` with the reason."""

    added: int = 0
    updated: int = 0
    unchanged: int = 0
    kept_both: int = 0
    deleted_before: int = 0
    skipped: list[tuple[str, str]] = field(default_factory=list)


def import_folder(client: Client, folder: Path, progress: Progress = silent) -> ImportReport:
    """Every Markdown file below `folder` is an entry; doing it again makes no doubles.

    A file is known again by its content, wherever it lies, and by its place, whatever it
    holds. A changed file updates its entry unless that was edited here meanwhile; then
    both are kept. What was deleted from the journal stays deleted.
    """
    if not folder.is_dir():
        raise NotADirectoryError(f"{folder} is not a folder")
    importer = _Importer(client, folder)
    files = list(_markdown_files(folder))
    for start in range(0, len(files), _BATCH):
        batch = files[start : start + _BATCH]
        with client.vault.store.transaction():
            for file in batch:
                importer.take(file)
        progress("import", start + len(batch), len(files))
    return importer.report


class _Importer:
    def __init__(self, client: Client, folder: Path) -> None:
        self.report = ImportReport()
        self._client = client
        self._folder = folder
        self._seen: Counter[str] = Counter()
        self._by_place: defaultdict[str, list[Entry]] = defaultdict(list)
        self._by_digest: Counter[str] = Counter()
        self._by_id: dict[str, Entry] = {}
        for entry in client.entries.list():
            self._by_id[entry.id] = entry
            if entry.source is not None:
                self._by_place[str(entry.source.get("place"))].append(entry)
                self._by_digest[str(entry.source.get("digest"))] += 1

    def take(self, file: Path) -> None:
        path = file.relative_to(self._folder).as_posix()
        try:
            data, modified_at = file.read_bytes(), file.stat().st_mtime
        except OSError as error:
            self.report.skipped.append((path, error.strerror or "unreadable"))
            return
        if not data.strip():
            self.report.skipped.append((path, "empty"))
            return
        if b"\0" in data and not data.startswith((b"\xff\xfe", b"\xfe\xff")):
            self.report.skipped.append((path, "not text"))
            return
        self._take_document(file, path, data, read_document(data, file.name, modified_at))

    def _take_document(self, file: Path, path: str, data: bytes, document: Document) -> None:
        digest = sha256(decode_text(data).encode()).hex()
        place = self._client.vault.derive(b"import-place", str(file.resolve()).encode()).hex()
        source = {"path": path, "place": place, "digest": digest}
        nth = self._seen[digest]
        self._seen[digest] += 1
        if nth < self._by_digest[digest] or self._is_own_export(document):
            self.report.unchanged += 1
            return
        if here := self._by_place[place]:
            self._take_changed(here[0], document, source, nth)
        else:
            self._add(document, source, nth)

    def _is_own_export(self, document: Document) -> bool:
        """Whether this is an entry of this journal, written out by `export_folder` as it is."""
        item_id = exported_id(document.front_matter)
        entry = self._by_id.get(item_id) if item_id else None
        return entry is not None and entry.text == document.text

    def _take_changed(
        self, entry: Entry, document: Document, source: dict[str, str], nth: int
    ) -> None:
        if entry.in_conflict or _digest_of(entry) != (entry.source or {}).get("digest"):
            before = self.report.added
            self._add(document, source, nth)
            self.report.kept_both += self.report.added - before
            self.report.added = before
            return
        self._client.entries.edit(
            entry,
            document.text,
            front_matter=document.front_matter,
            source=source,
            title=document.title,
            day=document.day.isoformat(),
            created_at=document.moment,
        )
        self.report.updated += 1

    def _add(self, document: Document, source: dict[str, str], nth: int) -> None:
        # The id follows from the content, so two devices that import the same folder before
        # they sync make the same items.
        name = f"{source['digest']}:{nth}".encode()
        item_id = self._client.vault.derived_id(b"import", name)
        if self._client.entries.is_known(item_id):
            self.report.deleted_before += 1
            return
        self._client.entries.add(
            document.text,
            title=document.title,
            day=document.day,
            created_at=document.moment,
            front_matter=document.front_matter,
            source=source,
            item_id=item_id,
        )
        self.report.added += 1


def _digest_of(entry: Entry) -> str:
    return sha256(write_document(entry.front_matter, entry.text)).hex()


def _markdown_files(folder: Path) -> Iterator[Path]:
    """Below `folder` in name order, without what is hidden or a link to somewhere else."""
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            file = Path(root, name)
            if not name.lower().endswith(SUFFIXES) or name.startswith("."):
                continue
            if file.is_file() and not file.is_symlink():
                yield file


# -- out


@dataclass(slots=True)
class ExportReport:
    written: int = 0
    unchanged: int = 0


def export_folder(client: Client, folder: Path, progress: Progress = silent) -> ExportReport:
    """Every entry is a file below `folder`; a stranger's file is never written over.

    An imported entry goes back to its own path, byte for byte if it was not edited. Others
    carry their short id in the name, and only such files are replaced.
    """
    entries = client.entries.list()
    report, taken = ExportReport(), set[Path]()
    make_private_folder(folder)
    for done, entry in enumerate(reversed(entries), start=1):
        _export(folder, entry, taken, report)
        progress("export", done, len(entries))
    return report


def _export(folder: Path, entry: Entry, taken: set[Path], report: ExportReport) -> None:
    data = _file_of(entry)
    path = _path_of(folder, entry, data, taken)
    taken.add(path)
    if path.exists() and path.read_bytes() == data:
        report.unchanged += 1
        return
    make_private_folder(path.parent)
    for old in path.parent.glob(f"*-{entry.id[:8]}.md"):
        if old != path and old not in taken:
            old.unlink()
    write_private(path, data)
    os.utime(path, (entry.created_at, entry.created_at))
    report.written += 1


def _file_of(entry: Entry) -> bytes:
    head = entry.front_matter
    if not head and entry.source is None:
        head = new_front_matter(entry.id, entry.created_at, None)
    return write_document(head, entry.text)


def _path_of(folder: Path, entry: Entry, data: bytes, taken: set[Path]) -> Path:
    ours = f"{slug(entry.title)}-{entry.id[:8]}.md"
    own = folder / f"{entry.day.year:04}" / f"{entry.day.isoformat()}-{ours}"
    parts = _safe_parts(entry)
    if not parts:
        return own
    origin = folder.joinpath(*parts)
    if any(above.exists() and not above.is_dir() for above in origin.parents):
        return own
    if origin not in taken and (not origin.exists() or _holds(origin, data)):
        return origin
    return origin.with_name(f"{origin.stem}-{entry.id[:8]}.md")


def _holds(path: Path, data: bytes) -> bool:
    return path.is_file() and path.read_bytes() == data


def _safe_parts(entry: Entry) -> Sequence[str]:
    """The path an entry was imported from, if an import could have found a file there.

    Another device may say anything here: a path out of the folder, or the name of a file that
    some program reads by itself.
    """
    path = (entry.source or {}).get("path")
    if not isinstance(path, str) or not path.isprintable() or not path.lower().endswith(SUFFIXES):
        return ()
    pure = PurePosixPath(path)
    is_safe = not pure.is_absolute() and all(_is_safe(part) for part in pure.parts)
    return pure.parts if is_safe and len(pure.parts) <= _MAX_DEPTH else ()


def _is_safe(part: str) -> bool:
    return (
        not part.startswith(".")
        and not set(part) & set(":\\")
        and len(part.encode()) <= _MAX_NAME_BYTES
    )
