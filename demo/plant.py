"""Proof that the sweep can find: secrets planted on purpose, by other means than it searches with.

A search that finds nothing is worth what it would have found.
"""

import base64
import gzip
import json
import os
import shutil
import sqlite3
import textwrap
import urllib.parse
import zlib
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from demo.needles import Needle
from demo.sweep import Sieve, sweep

Way = Callable[[bytes], bytes]

_NOISE = 301
"""Bytes; odd, and not a multiple of three."""


@dataclass(frozen=True, slots=True)
class Planted:
    """How many secrets were planted, and which ones (kind and way) the sweep walked past."""

    planted: int
    missed: tuple[str, ...]


def prove(sieve: Sieve, folder: Path) -> Planted:
    """Plant one needle of each kind in every way, each in a file of its own, and look for them."""
    planted: dict[str, tuple[Needle, str]] = {}
    for needle in one_of_each_kind(sieve.needles):
        for way, make in ways(needle).items():
            name = f"{len(planted):04}"
            (folder / name).write_bytes(make(needle.secret))
            planted[name] = (needle, way)
        for way, make_file in _DATABASES.items():
            name = f"{len(planted):04}"
            make_file(folder / name, needle.secret)
            planted[name] = (needle, way)
    found = {
        (find.needle, Path(find.file).name.split("-")[0]) for find in sweep(sieve, [folder]).finds
    }
    missed = [
        f"{needle.kind} {way}"
        for name, (needle, way) in planted.items()
        if (needle, name) not in found
    ]
    return Planted(len(planted), tuple(missed))


def one_of_each_kind(needles: Iterable[Needle]) -> list[Needle]:
    """The first of each kind."""
    first: dict[str, Needle] = {}
    for needle in needles:
        first.setdefault(needle.kind, needle)
    return list(first.values())


def ways(needle: Needle) -> Mapping[str, Way]:
    """The ways in which this kind of secret could end up in a file."""
    return {**_FOR_BYTES, **_FOR_TEXT} if needle.is_text else _FOR_BYTES


def _in_noise(secret: bytes) -> bytes:
    return os.urandom(_NOISE) + secret + os.urandom(_NOISE)


def _compressible(secret: bytes) -> bytes:
    """Among words that repeat: noise would be stored as it is, and the secret with it."""
    return b"so it goes, " * 50 + secret + b" and on, " * 50


def _as_text(secret: bytes) -> str:
    return f"before {secret.decode()} behind"


def _base64_after(behind: int) -> Way:
    return lambda secret: base64.b64encode(b"b" * behind + secret + b"after")


def _wrapped_base64(secret: bytes) -> bytes:
    """As MIME and PEM do it; at the start of a line, since a short text may be cut in two."""
    encoded = base64.b64encode(secret + os.urandom(_NOISE)).decode()
    return "\n".join(textwrap.wrap(encoded, 64)).encode()


_FOR_BYTES: Mapping[str, Way] = {
    "as it is": _in_noise,
    "at the start": lambda secret: secret + os.urandom(_NOISE),
    "at the end": lambda secret: os.urandom(_NOISE) + secret,
    "as base64": _base64_after(0),
    "as base64, one byte on": _base64_after(1),
    "as base64, two bytes on": _base64_after(2),
    "as base64url": lambda secret: base64.urlsafe_b64encode(b"\xff\xfe" + secret).rstrip(b"="),
    "as base64 in lines": _wrapped_base64,
    "as hex": lambda secret: _in_noise(secret.hex().encode()),
    "as capital hex": lambda secret: _in_noise(base64.b16encode(secret)),
    "in a Python message": lambda secret: f"ValueError({secret!r})".encode(),
    "in a zlib member": lambda secret: _in_noise(zlib.compress(_compressible(secret))),
    "in a gzip member": lambda secret: gzip.compress(_compressible(secret)),
    "in a damaged gzip member": lambda secret: gzip.compress(secret + bytes(100_000))[:-30],
    "as base64 in a gzip member": lambda secret: gzip.compress(
        _compressible(base64.b64encode(secret))
    ),
    "compressed twice": lambda secret: zlib.compress(gzip.compress(_compressible(secret))),
}
_FOR_TEXT: Mapping[str, Way] = {
    "as UTF-16": lambda secret: _as_text(secret).encode("utf-16"),
    "as big-endian UTF-16": lambda secret: b"\0" + _as_text(secret).encode("utf-16-be"),
    "as JSON": lambda secret: json.dumps({"event": _as_text(secret)}).encode(),
    "as JSON in UTF-8": lambda secret: json.dumps(
        {"event": _as_text(secret)}, ensure_ascii=False
    ).encode(),
    "in a Python message about text": lambda secret: repr([_as_text(secret)]).encode(),
    "in a query string": lambda secret: urllib.parse.urlencode({"q": _as_text(secret)}).encode(),
    "in a path": lambda secret: b"GET /" + urllib.parse.quote(secret.decode(), safe="").encode(),
}


def _as_row(path: Path, secret: bytes) -> None:
    """A value longer than a page, the secret anywhere in it."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE t (v BLOB)")
        connection.execute("INSERT INTO t VALUES (?)", (os.urandom(4070) + secret + bytes(9000),))


def _as_deleted_row(path: Path, secret: bytes) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA secure_delete = OFF")
        connection.execute("CREATE TABLE t (v BLOB)")
        connection.execute("INSERT INTO t VALUES (?)", (secret,))
        connection.execute("DELETE FROM t")


def _in_write_ahead_log(path: Path, secret: bytes) -> None:
    """Committed, and in nothing but the log: as a killed server leaves it."""
    live = path.with_name(f"{path.name}-live")
    with closing(sqlite3.connect(live, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE t (v BLOB)")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute("INSERT INTO t VALUES (?)", (secret,))
        shutil.copyfile(f"{live}-wal", f"{path}-wal")
        shutil.copyfile(live, path)
    live.unlink()


_DATABASES: Mapping[str, Callable[[Path, bytes], None]] = {
    "in a row over several pages": _as_row,
    "in a deleted row": _as_deleted_row,
    "in a write-ahead log": _in_write_ahead_log,
}
