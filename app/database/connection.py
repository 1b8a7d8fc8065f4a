"""One SQLite connection: how it is opened, how a unit of work runs on it, what its errors mean.

Everything here blocks and belongs on a worker thread.
"""

import os
from collections.abc import Callable, Sequence
from itertools import starmap
from pathlib import Path
from typing import TypeVar

import apsw

from app import events
from app.database.migrate import HAS_VERSION, READ_VERSION, Schema, Step, latest, steps
from app.database.port import (
    Busy,
    Conflict,
    Decided,
    Many,
    Missing,
    Outcome,
    Plan,
    Rows,
    RowTooLarge,
    Statement,
    StorageError,
    Then,
    Unavailable,
    Unknown,
    Work,
    Written,
)

BUSY_MILLISECONDS = 5000
REWRITE_BUSY_MILLISECONDS = 250
CACHE_KIB = 2000
WAL_LIMIT_BYTES = 4 * 1024 * 1024

_PRAGMAS = f"""
PRAGMA busy_timeout = {BUSY_MILLISECONDS};
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
PRAGMA cache_size = -{CACHE_KIB};
PRAGMA journal_size_limit = {WAL_LIMIT_BYTES};
PRAGMA secure_delete = ON;
PRAGMA trusted_schema = OFF;
PRAGMA cell_size_check = ON;
"""

Result = TypeVar("Result")


def connect(path: Path, *, create: bool = False) -> apsw.Connection:
    """Open a database file in WAL mode, whatever mode it came in (a backup has another); commits
    on it are synced, and only its owner may read it. Raises Missing if it is not there."""
    return translated(lambda: _connect(path, create=create))


def _connect(path: Path, *, create: bool) -> apsw.Connection:
    if create:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
    elif not path.exists():
        raise Missing
    flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_NOFOLLOW
    connection = apsw.Connection(str(path), flags=flags)
    try:
        connection.execute(_PRAGMAS).fetchall()
    except BaseException:
        connection.close()
        raise
    return connection


def read(
    connection: apsw.Connection, statements: Sequence[Statement], then: Then | None = None
) -> list[Rows]:
    """Rows per statement, from one snapshot."""

    def work() -> list[Rows]:
        rows = _run_all(connection, statements)
        return rows if then is None else rows + _run_all(connection, then(rows))

    if len(statements) == 1 and then is None:
        return translated(work)
    return _transaction(connection, "BEGIN", work)


def write(connection: apsw.Connection, statements: Sequence[Work]) -> Written:
    """One transaction; durable when this returns."""
    return Written(
        _transaction(connection, "BEGIN IMMEDIATE", lambda: _run_all(connection, statements))
    )


def decide(
    connection: apsw.Connection,
    reads: Sequence[Statement],
    plan: Callable[[list[Rows]], Plan[Outcome]],
) -> Decided[Outcome]:
    """Read, plan and write under one write lock; durable when this returns."""

    def work() -> Decided[Outcome]:
        made = plan(_run_all(connection, reads))
        return Decided(made.outcome, _run_all(connection, made.statements))

    return _transaction(connection, "BEGIN IMMEDIATE", work)


def rewrite(connection: apsw.Connection) -> None:
    """The database's files hold its rows and nothing else. Raises Busy, after a quarter of a
    second, while another process reads them.

    A copy of it all is needed meanwhile. It is made beside the database: where temporary files go
    otherwise there may be little room, and others may read that disk one day.

    `secure_delete` overwrites a row where it lies, but not the copies that lie in the free room of
    other pages since SQLite moved it there or away: about one of a thousand rows leaves one.
    """
    translated(lambda: _rewrite(connection))


def _rewrite(connection: apsw.Connection) -> None:
    folder = str(Path(connection.filename).parent).replace("'", "''")
    connection.execute(f"PRAGMA temp_store_directory = '{folder}'").fetchall()
    connection.set_busy_timeout(REWRITE_BUSY_MILLISECONDS)
    try:
        connection.execute("VACUUM").fetchall()
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    finally:
        connection.set_busy_timeout(BUSY_MILLISECONDS)


def migrate(connection: apsw.Connection, schema: Schema) -> None:
    """The database has the latest schema afterwards. Each step takes the write lock, reads the
    version again under it, and commits together with the note that it ran, so any number of first
    requests run it once."""
    began = version = translated(lambda: _version(connection))
    while version < latest(schema):
        version = _transaction(connection, "BEGIN IMMEDIATE", lambda: _step(connection, schema))
        if began:
            events.database_migrated(schema=schema, version=version)


def _step(connection: apsw.Connection, schema: Schema) -> int:
    """The version afterwards: of the step that was due, or what others have made it meanwhile."""
    version = _version(connection)
    due: Step | None = next((step for step in steps(schema) if step.version > version), None)
    if due is None:
        return version
    _run_all(connection, due.statements)
    return due.version


def _version(connection: apsw.Connection) -> int:
    if not _run(connection, HAS_VERSION):
        return 0
    return int(_run(connection, READ_VERSION)[0][0])


def _run(connection: apsw.Connection, statement: Statement) -> Rows:
    return _run_all(connection, (statement,))[0]


def _run_all(connection: apsw.Connection, statements: Sequence[Work]) -> list[Rows]:
    cursor = connection.cursor()
    return [_run_one(cursor, statement) for statement in statements]


def _run_one(cursor: apsw.Cursor, statement: Work) -> Rows:
    if isinstance(statement, Many):
        cursor.executemany(statement.sql, statement.rows)
        return []
    sql, params, each = statement
    rows = cursor.execute(sql, params)
    return rows.fetchall() if each is None else list(starmap(each, rows))


def _transaction(connection: apsw.Connection, begin: str, work: Callable[[], Result]) -> Result:
    return translated(lambda: _within(connection, begin, work))


def _within(connection: apsw.Connection, begin: str, work: Callable[[], Result]) -> Result:
    connection.execute(begin)
    try:
        result = work()
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    _commit(connection)
    return result


def _commit(connection: apsw.Connection) -> None:
    try:
        connection.execute("COMMIT")
    except apsw.Error as error:
        events.storage_failed(kind="commit", error=type(error).__name__)
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise Unknown from None


def translated(work: Callable[[], Result]) -> Result:
    """Run `work`; what the engine or the disk raises comes out as the port's errors. A mistake in
    our own SQL stays what it is."""
    try:
        return work()
    except apsw.Error as error:
        raise _translate(error) from error
    except OSError as error:
        events.storage_failed(kind="file", error=type(error).__name__)
        raise Unavailable from error


def _translate(error: apsw.Error) -> Exception:
    if isinstance(error, apsw.ConstraintError):
        return Conflict() if _is_a_guard(error) else error
    known = _KINDS.get(type(error))
    if known is None:
        return error
    if known is Unavailable:
        events.storage_failed(kind="unit", error=type(error).__name__)
    return known()


def _is_a_guard(error: apsw.Error) -> bool:
    """Only the table that exists for guards makes one; a NULL elsewhere is a mistake of ours."""
    return str(error) == "NOT NULL constraint failed: guard.ok"


_KINDS: dict[type[apsw.Error], type[StorageError]] = {
    apsw.BusyError: Busy,
    apsw.LockedError: Busy,
    apsw.TooBigError: RowTooLarge,
    apsw.FullError: Unavailable,
    apsw.IOError: Unavailable,
    apsw.CantOpenError: Unavailable,
    apsw.CorruptError: Unavailable,
    apsw.NotADBError: Unavailable,
    apsw.ReadOnlyError: Unavailable,
    apsw.NoMemError: Unavailable,
    apsw.PermissionsError: Unavailable,
    apsw.ProtocolError: Unavailable,
}
