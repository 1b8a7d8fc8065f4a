"""The embedded engine: one SQLite file per user, on this disk.

`data/users/<2 hex>/user_<uuid>.db` and `data/master.db`, in WAL mode with `synchronous = FULL`:
what is acknowledged is synced. A lock on the folder keeps a second process out.
"""

import asyncio
import fcntl
import os
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar
from uuid import UUID

import apsw

from app.database import connection as sqlite
from app.database.migrate import Schema
from app.database.port import (
    Blocked,
    Database,
    Decided,
    Mark,
    Outcome,
    Plan,
    Rows,
    Statement,
    Written,
)
from app.database.workers import Strand, Workers

WORKER_THREADS = 8
SIDE_FILES = ("-wal", "-shm", "-journal")

Result = TypeVar("Result")
OnOpen = Callable[[str], Awaitable[Sequence[Statement]]]


class FolderInUse(Exception):
    """Another process serves this folder."""


class _Closed(Exception):
    """The connection was closed to make room; the work did not begin."""


class EmbeddedFile:
    """One database file with one connection, opened on its strand and used nowhere else."""

    def __init__(self, path: Path, schema: Schema, workers: Workers) -> None:
        self._path = path
        self._schema = schema
        self._strand = Strand(workers)
        self._connection: apsw.Connection | None = None
        self.last_used = time.monotonic()

    def start(
        self, statements: Sequence[Statement] = (), *, create: bool = False
    ) -> asyncio.Future[None]:
        """Open, migrate, and run `statements` in one transaction."""

        def job() -> None:
            opened = sqlite.connect(self._path, create=create)
            try:
                if create:
                    opened.execute("PRAGMA journal_mode = WAL")
                sqlite.migrate(opened, self._schema)
                if statements:
                    sqlite.write(opened, statements)
            except BaseException:
                opened.close()
                raise
            self._connection = opened

        return self._strand.submit(job)

    def run(self, work: Callable[[apsw.Connection], Result]) -> asyncio.Future[Result]:
        """Do `work` after all work asked for before it. Raises _Closed if it was closed first."""
        self.last_used = time.monotonic()

        def job() -> Result:
            if self._connection is None:
                raise _Closed
            return work(self._connection)

        return self._strand.submit(job)

    def close(self) -> asyncio.Future[None]:
        """The file is checkpointed, its WAL gone; work asked for later raises _Closed."""

        def job() -> None:
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.close()

        return self._strand.submit(job)


class _Runs:
    """The port's calls, over anything that can run work on a connection."""

    async def _run(self, work: Callable[[apsw.Connection], Result]) -> Result:
        raise NotImplementedError

    async def read(self, statements: Sequence[Statement], at_least: Mark = None) -> list[Rows]:
        """See `Database.read`; there is one copy, so it is never behind a mark."""
        return await self._run(partial(sqlite.read, statements=statements))

    async def write(self, statements: Sequence[Statement]) -> Written:
        """See `Database.write`."""
        return await self._run(partial(sqlite.write, statements=statements))

    async def decide(
        self, reads: Sequence[Statement], plan: Callable[[list[Rows]], Plan[Outcome]]
    ) -> Decided[Outcome]:
        """See `Database.decide`; here the write lock is held throughout and the plan runs once."""
        return await self._run(lambda held: sqlite.decide(held, reads, plan))


class EmbeddedDatabase(_Runs):
    """A database that stays open: the master database."""

    def __init__(self, file: EmbeddedFile) -> None:
        self._file = file

    async def _run(self, work: Callable[[apsw.Connection], Result]) -> Result:
        return await self._file.run(work)


class EmbeddedUserDatabase(_Runs):
    """A handle on one user's database; it costs nothing until it is used."""

    def __init__(self, databases: "EmbeddedDatabases", user_id: str) -> None:
        self._databases = databases
        self._user_id = user_id

    async def _run(self, work: Callable[[apsw.Connection], Result]) -> Result:
        while True:
            file = await self._databases.opened(self._user_id)
            try:
                return await file.run(work)
            except _Closed:
                continue


class EmbeddedDatabases:
    """The folder: its lock, its threads, and at most `max_open` user databases held open, the
    least recently used closed first.

    `on_open` names what to bring up to date in a user's database before anything else sees it.
    """

    def __init__(self, folder: Path, *, max_open: int, on_open: OnOpen) -> None:
        self._folder = folder
        self._max_open = max_open
        self._on_open = on_open
        self._open: OrderedDict[str, tuple[EmbeddedFile, asyncio.Task[None]]] = OrderedDict()
        self._suspended: set[str] = set()

    async def start(self) -> Database:
        """Lock the folder, prepare the template, and open the master database, which is returned.
        Raises FolderInUse if another process holds the folder."""
        self._lock = await asyncio.to_thread(_locked, self._folder)
        self._workers = Workers(WORKER_THREADS)
        self._files = Strand(self._workers)
        self._template = await self._files.submit(partial(_make_template, self._folder))
        self._master = EmbeddedFile(self._folder / "master.db", "master", self._workers)
        await self._master.start(create=True)
        return EmbeddedDatabase(self._master)

    async def stop(self) -> None:
        """Everything begun is finished, every file closed, the folder free."""
        while self._open:
            user_id = next(iter(self._open))
            await self._close(user_id)
        await self._master.close()
        await asyncio.to_thread(self._workers.stop)
        os.close(self._lock)

    async def create(self, user_id: str) -> None:
        """See `UserDatabases.create`: the template is written aside, synced, and renamed."""
        self._refuse_suspended(user_id)
        await self._files.submit(partial(_create, self._path(user_id), self._template))

    def open(self, user_id: str) -> Database:
        """See `UserDatabases.open`."""
        return EmbeddedUserDatabase(self, user_id)

    async def suspend(self, user_id: str) -> None:
        """See `UserDatabases.suspend`."""
        self._suspended.add(user_id)
        await self._close(user_id)

    async def destroy(self, user_id: str) -> None:
        """See `UserDatabases.destroy`."""
        await self.suspend(user_id)
        await self._files.submit(partial(_destroy, self._path(user_id)))
        self._suspended.discard(user_id)

    async def close_idle(self, seconds: float) -> int:
        """Close (and so checkpoint and truncate) what was not used for that long; how many."""
        before = time.monotonic() - seconds
        idle = [user_id for user_id, (file, _) in self._open.items() if file.last_used <= before]
        for user_id in idle:
            await self._close(user_id)
        return len(idle)

    @property
    def open_count(self) -> int:
        """User databases held open now."""
        return len(self._open)

    async def opened(self, user_id: str) -> EmbeddedFile:
        """The user's file, open and up to date. Concurrent first callers share one opening."""
        self._refuse_suspended(user_id)
        if user_id not in self._open:
            file = EmbeddedFile(self._path(user_id), "user", self._workers)
            self._open[user_id] = (file, asyncio.create_task(self._start(user_id, file)))
            self._make_room()
        self._open.move_to_end(user_id)
        file, opening = self._open[user_id]
        if not opening.done():
            await asyncio.shield(opening)
        return file

    async def _start(self, user_id: str, file: EmbeddedFile) -> None:
        try:
            await file.start(await self._on_open(user_id))
        except BaseException:
            self._open.pop(user_id, None)
            raise
        if self._open.get(user_id, (None,))[0] is not file:
            file.close()  # it had to make room while it was being opened

    def _make_room(self) -> None:
        while len(self._open) > self._max_open:
            _, (file, _) = self._open.popitem(last=False)
            file.close()

    async def _close(self, user_id: str) -> None:
        held = self._open.pop(user_id, None)
        if held is not None:
            file, opening = held
            await asyncio.wait([opening])
            await file.close()

    def _refuse_suspended(self, user_id: str) -> None:
        if user_id in self._suspended:
            raise Blocked

    def _path(self, user_id: str) -> Path:
        name = str(UUID(user_id))
        return self._folder / "users" / name[:2] / f"user_{name}.db"


def _locked(folder: Path) -> int:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / "users").mkdir(mode=0o700, exist_ok=True)
    held = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(held)
        raise FolderInUse(
            "DATA_DIR is served by another process already; the embedded engine takes one process, "
            "several servers need DATABASE_URL to name a libSQL server."
        ) from None
    return held


def _make_template(folder: Path) -> bytes:
    """An empty user database of the latest schema, as bytes, with WAL mode noted in its header."""
    path = folder / ".template.db"
    _unlink(path)
    made = sqlite.connect(path, create=True)
    made.execute("PRAGMA journal_mode = WAL")
    sqlite.migrate(made, "user")
    made.close()
    template = path.read_bytes()
    _unlink(path)
    return template


def _create(path: Path, template: bytes) -> None:
    if path.exists():
        return
    path.parent.mkdir(mode=0o700, exist_ok=True)
    aside = path.with_suffix(".new")
    with open(aside, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(template)
        file.flush()
        os.fsync(file.fileno())
    aside.rename(path)
    _sync_folder(path.parent)
    _sync_folder(path.parent.parent)


def _destroy(path: Path) -> None:
    _unlink(path)
    if path.parent.exists():
        _sync_folder(path.parent)


def _unlink(path: Path) -> None:
    for side in ("", *SIDE_FILES):
        Path(f"{path}{side}").unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(held)
    finally:
        os.close(held)
