"""The embedded engine: one SQLite file per user, on this disk.

`data/users/<2 hex>/user_<uuid>.db` and `data/master.db`, in WAL mode with `synchronous = FULL`:
what is acknowledged is synced. A lock on the folder keeps a second process out.
"""

import asyncio
import fcntl
import os
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import apsw

from app import events
from app.database import connection as sqlite
from app.database.migrate import Schema
from app.database.open_files import OpenFiles
from app.database.port import (
    Blocked,
    Database,
    Decided,
    Mark,
    Outcome,
    Plan,
    Rows,
    Statement,
    Then,
    Unavailable,
    Work,
    Written,
)
from app.database.workers import Strand, Workers

WORKER_THREADS = 8
CHECKPOINT_PAGES = 1000
SIDE_FILES = ("-wal", "-shm", "-journal")

Result = TypeVar("Result")
OnOpen = Callable[[str], Awaitable[Sequence[Statement]]]
AfterOpen = Callable[[str, Database], Awaitable[None]]
Run = Callable[[Callable[[apsw.Connection], Any]], Awaitable[Any]]


class FolderRefused(Exception):
    """The folder cannot be served; the message is one sentence for whoever started the server."""


class FolderInUse(FolderRefused):
    """Another process serves this folder."""


class FolderUnusable(FolderRefused):
    """The folder cannot be made, or not be written to."""


class EmbeddedFile:
    """One database file with one connection, opened on its strand and used nowhere else.

    The WAL is written back into the file after an answer and not before it: the work that fills it
    up is acknowledged first.
    """

    def __init__(self, path: Path, schema: Schema, workers: Workers) -> None:
        self._path = path
        self._schema = schema
        self._strand = Strand(workers)
        self._connection: apsw.Connection | None = None
        self._wal_pages = 0

    def start(
        self, statements: Sequence[Statement] = (), *, create: bool = False
    ) -> asyncio.Future[None]:
        """Open, migrate, and run `statements` in one transaction."""

        def job() -> None:
            opened = sqlite.connect(self._path, create=create)
            try:
                sqlite.migrate(opened, self._schema)
                opened.set_wal_hook(self._note_wal)
                if statements:
                    sqlite.write(opened, statements)
            except BaseException:
                opened.close()
                raise
            self._connection = opened

        return self._strand.submit(job)

    def run(self, work: Callable[[apsw.Connection], Result]) -> asyncio.Future[Result]:
        """Do `work` after all work asked for before it. Raises Unavailable if it is closed."""

        def job() -> Result:
            if self._connection is None:
                raise Unavailable
            return work(self._connection)

        done = self._strand.submit(job)
        done.add_done_callback(self._checkpoint_if_due)
        return done

    def _note_wal(self, _connection: apsw.Connection, _schema: str, pages: int) -> int:
        self._wal_pages = pages
        return apsw.SQLITE_OK

    def _checkpoint_if_due(self, _done: asyncio.Future[Any]) -> None:
        if self._wal_pages >= CHECKPOINT_PAGES:
            self._wal_pages = 0
            self._strand.submit(self._checkpoint)

    def _checkpoint(self) -> None:
        """What fails here is tried again after the next write; the WAL keeps all until then."""
        if self._connection is None:
            return
        try:
            self._connection.wal_checkpoint()
        except apsw.Error as error:
            events.storage_failed(kind="checkpoint", error=type(error).__name__)

    def close(self) -> asyncio.Future[None]:
        """The file is checkpointed, its WAL gone; work asked for later raises Unavailable."""

        def job() -> None:
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.close()

        return self._strand.submit(job)


class EmbeddedDatabase:
    """The port's calls, over a way to run work on the database's connection."""

    def __init__(self, run: Run) -> None:
        self._run = run

    async def read(
        self,
        statements: Sequence[Statement],
        at_least: Mark = None,
        then: Then | None = None,
    ) -> list[Rows]:
        """See `Database.read`; there is one copy, so it is never behind a mark."""
        rows: list[Rows] = await self._run(partial(sqlite.read, statements=statements, then=then))
        return rows

    async def write(self, statements: Sequence[Work]) -> Written:
        """See `Database.write`."""
        written: Written = await self._run(partial(sqlite.write, statements=statements))
        return written

    async def decide(
        self, reads: Sequence[Statement], plan: Callable[[list[Rows]], Plan[Outcome]]
    ) -> Decided[Outcome]:
        """See `Database.decide`; here the write lock is held throughout and the plan runs once."""
        decided: Decided[Outcome] = await self._run(lambda held: sqlite.decide(held, reads, plan))
        return decided


class EmbeddedDatabases:
    """The folder: its lock, its threads, and at most `max_open` user databases held open, the
    least recently used closed first.

    `on_open` names what to bring up to date in a user's database before anything else sees it, and
    `after_open` sees it then, still before anything else. If one of them fails, it does not open.
    """

    def __init__(
        self,
        folder: Path,
        *,
        max_open: int,
        on_open: OnOpen,
        after_open: AfterOpen | None = None,
    ) -> None:
        self._folder = folder
        self._on_open = on_open
        self._after_open = after_open
        self._open = OpenFiles(max_open, self._file, self._start)
        self._suspended: set[str] = set()

    async def start(self) -> Database:
        """Lock the folder, prepare the template, and open the master database, which is returned.
        Raises FolderInUse if another process holds the folder, FolderUnusable if it is none."""
        self._lock = await asyncio.to_thread(_locked, self._folder)
        self._workers = Workers(WORKER_THREADS)
        try:
            return await self._opened_master()
        except BaseException:
            await self._let_go()
            raise

    async def _opened_master(self) -> Database:
        self._files = Strand(self._workers)
        make = partial(_make_template, self._folder)
        self._template = await self._files.submit(partial(sqlite.translated, make))
        self._master = EmbeddedFile(self._folder / "master.db", "master", self._workers)
        await self._master.start(create=True)
        return EmbeddedDatabase(self._master.run)

    async def stop(self) -> None:
        """Everything begun is finished, every file closed, the folder free."""
        await self._open.close_all()
        await self._master.close()
        await self._let_go()

    async def _let_go(self) -> None:
        await asyncio.to_thread(self._workers.stop)
        os.close(self._lock)

    async def create(self, user_id: str) -> None:
        """See `UserDatabases.create`: the template is written aside, synced, and renamed."""
        self._refuse_suspended(user_id)
        write = partial(_create, self._path(user_id), self._template)
        await self._files.submit(partial(sqlite.translated, write))

    def open(self, user_id: str) -> Database:
        """See `UserDatabases.open`."""
        return EmbeddedDatabase(partial(self.run, user_id))

    async def reopen(self, user_id: str) -> None:
        """See `UserDatabases.reopen`."""
        await self._open.close(user_id)

    async def suspend(self, user_id: str) -> None:
        """See `UserDatabases.suspend`."""
        self._suspended.add(user_id)
        await self._open.close(user_id)

    async def destroy(self, user_id: str) -> None:
        """See `UserDatabases.destroy`."""
        await self.suspend(user_id)
        erase = partial(_destroy, self._path(user_id))
        await self._files.submit(partial(sqlite.translated, erase))
        self._suspended.discard(user_id)

    async def close_idle(self, seconds: float) -> int:
        """Close (and so checkpoint and truncate) what was not used for that long; how many."""
        return await self._open.close_idle(seconds)

    async def forget_erased(self) -> None:
        """No file of the master database holds what was deleted from it. Raises Busy while another
        process, as a backup, reads it."""
        await self._master.run(sqlite.rewrite)

    @property
    def open_count(self) -> int:
        """User databases held open now."""
        return self._open.count

    async def run(self, user_id: str, work: Callable[[apsw.Connection], Result]) -> Result:
        """Do `work` on the user's database, open and up to date."""
        self._refuse_suspended(user_id)
        return await self._open.run(user_id, lambda file: file.run(work))

    def _file(self, user_id: str) -> EmbeddedFile:
        return EmbeddedFile(self._path(user_id), "user", self._workers)

    async def _start(self, user_id: str, file: EmbeddedFile) -> None:
        self._refuse_suspended(user_id)
        await file.start(await self._on_open(user_id))
        if self._after_open is None:
            return
        try:
            await self._after_open(user_id, EmbeddedDatabase(file.run))
        except BaseException:
            await file.close()
            raise

    def _refuse_suspended(self, user_id: str) -> None:
        if user_id in self._suspended:
            raise Blocked

    def _path(self, user_id: str) -> Path:
        name = str(UUID(user_id))
        return self._folder / "users" / name[:2] / f"user_{name}.db"


def _locked(folder: Path) -> int:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (folder / "users").mkdir(mode=0o700, exist_ok=True)
        held = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:
        raise FolderUnusable("DATA_DIR must be a folder that the server can write to.") from None
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
    sqlite.migrate(made, "user")
    made.close()
    template = path.read_bytes()
    _unlink(path)
    return template


def _create(path: Path, template: bytes) -> None:
    if not path.exists():
        path.parent.mkdir(mode=0o700, exist_ok=True)
        aside = path.with_suffix(".new")
        with open(aside, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            file.write(template)
            file.flush()
            os.fsync(file.fileno())
        _unlink(path)  # a WAL left over from an erasure cut short would be played into the new file
        aside.rename(path)
    # Also when the file is there: who renamed it may have been cut off before this.
    _sync_folder(path.parent)
    _sync_folder(path.parent.parent)


def _destroy(path: Path) -> None:
    _unlink(path)
    if path.parent.exists():
        _sync_folder(path.parent)


def _unlink(path: Path) -> None:
    for side in ("", *SIDE_FILES):
        _unlink_one(Path(f"{path}{side}"))


def _unlink_one(path: Path) -> None:
    path.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(held)
    finally:
        os.close(held)
