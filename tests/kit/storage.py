"""What storage tests build and look at: folders of databases, old files, locks, full disks."""

import os
import resource
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw

from app.database.embedded import EmbeddedDatabases
from app.database.migrate import Schema, steps
from app.database.port import Database, Statement

INCREMENT = Statement("UPDATE sync_state SET seq = seq + 1")
SEQ = Statement("SELECT seq FROM sync_state")


async def nothing(_user_id: str) -> Sequence[Statement]:
    """What most tests bring a database up to when it is opened."""
    return ()


@dataclass(frozen=True)
class Storage:
    folder: Path
    databases: EmbeddedDatabases
    master: Database

    def file(self, user_id: str) -> Path:
        return self.folder / "users" / user_id[:2] / f"user_{user_id}.db"


@asynccontextmanager
async def storage(folder: Path, *, max_open: int = 100) -> AsyncIterator[Storage]:
    """The folder, served, until the block ends."""
    databases = EmbeddedDatabases(folder, max_open=max_open, on_open=nothing)
    master = await databases.start()
    try:
        yield Storage(folder, databases, master)
    finally:
        await databases.stop()


def build(path: Path, schema: Schema, version: int) -> None:
    """A database file as the code of that schema version left it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = apsw.Connection(str(path))
    connection.execute("PRAGMA journal_mode = WAL")
    for step in steps(schema):
        if step.version <= version:
            for statement in step.statements:
                connection.execute(statement.sql, statement.params).fetchall()
    connection.close()


def rows(path: Path, sql: str) -> list[Any]:
    """Read past the application."""
    connection = apsw.Connection(str(path))
    try:
        return list(connection.execute(sql).fetchall())
    finally:
        connection.close()


def side_file(path: Path, end: str = "-wal") -> bytes | None:
    """What stands in the file beside a database; None if there is no such file."""
    beside = Path(f"{path}{end}")
    return beside.read_bytes() if beside.exists() else None


def side_files(folder: Path) -> list[str]:
    """Names of everything under the folder that is neither a folder, a lock nor a database."""
    return [path.name for path in folder.rglob("*") if path.suffix not in ("", ".db")]


@contextmanager
def write_locked(path: Path) -> Iterator[None]:
    """Another process's tool holds the file's write lock."""
    connection = apsw.Connection(str(path))
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")
        connection.close()


def open_paths(folder: Path) -> list[Path]:
    """Files under the folder that this process holds open, once for each time."""
    found = []
    for number in os.listdir("/proc/self/fd"):
        try:
            target = Path(os.readlink(f"/proc/self/fd/{number}"))
        except OSError:
            continue
        if target.is_relative_to(folder):
            found.append(target)
    return found


@contextmanager
def disk_full(at_bytes: int) -> Iterator[None]:
    """No file of this process grows past that size, as on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (at_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
