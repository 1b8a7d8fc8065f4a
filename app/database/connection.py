"""One SQLite connection: how it is opened, how a unit of work runs on it, what its errors mean.

Everything here blocks and belongs on a worker thread.
"""

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
    Missing,
    Outcome,
    Plan,
    Rows,
    RowTooLarge,
    Statement,
    StorageError,
    Unavailable,
    Unknown,
    Written,
)

BUSY_MILLISECONDS = 5000
CACHE_KIB = 512
WAL_LIMIT_BYTES = 4 * 1024 * 1024

_PRAGMAS = f"""
PRAGMA busy_timeout = {BUSY_MILLISECONDS};
PRAGMA synchronous = FULL;
PRAGMA cache_size = -{CACHE_KIB};
PRAGMA journal_size_limit = {WAL_LIMIT_BYTES};
PRAGMA secure_delete = FAST;
PRAGMA trusted_schema = OFF;
PRAGMA cell_size_check = ON;
"""

Result = TypeVar("Result")


def connect(path: Path, *, create: bool = False) -> apsw.Connection:
    """Open a database file; commits on it are synced. Raises Missing if it is not there."""
    flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_NOFOLLOW
    if create:
        flags |= apsw.SQLITE_OPEN_CREATE
    elif not path.exists():
        raise Missing
    connection = translated(lambda: apsw.Connection(str(path), flags=flags))
    translated(lambda: connection.execute(_PRAGMAS))
    return connection


def read(connection: apsw.Connection, statements: Sequence[Statement]) -> list[Rows]:
    """Rows per statement, from one snapshot."""
    if len(statements) == 1:
        return translated(lambda: [_run(connection, statements[0])])
    return translated(
        lambda: _within(connection, "BEGIN", lambda: _run_all(connection, statements))
    )


def write(connection: apsw.Connection, statements: Sequence[Statement]) -> Written:
    """One transaction; durable when this returns."""
    work = lambda: _run_all(connection, statements)  # noqa: E731
    return Written(translated(lambda: _within(connection, "BEGIN IMMEDIATE", work)))


def decide(
    connection: apsw.Connection,
    reads: Sequence[Statement],
    plan: Callable[[list[Rows]], Plan[Outcome]],
) -> Decided[Outcome]:
    """Read, plan and write under one write lock; durable when this returns."""

    def work() -> Decided[Outcome]:
        made = plan(_run_all(connection, reads))
        return Decided(made.outcome, _run_all(connection, made.statements))

    return translated(lambda: _within(connection, "BEGIN IMMEDIATE", work))


def migrate(connection: apsw.Connection, schema: Schema) -> None:
    """The database has the latest schema afterwards. Each step takes the write lock, reads the
    version again under it, and commits together with the note that it ran, so any number of first
    requests run it once."""
    while _version(connection) < latest(schema):
        translated(
            lambda: _within(connection, "BEGIN IMMEDIATE", lambda: _step(connection, schema))
        )


def _step(connection: apsw.Connection, schema: Schema) -> None:
    version = _version(connection)
    due: Step | None = next((step for step in steps(schema) if step.version > version), None)
    if due is None:
        return
    _run_all(connection, due.statements)
    if version:
        events.database_migrated(schema=schema, version=due.version)


def _version(connection: apsw.Connection) -> int:
    if not _run(connection, HAS_VERSION):
        return 0
    return int(_run(connection, READ_VERSION)[0][0])


def _run(connection: apsw.Connection, statement: Statement) -> Rows:
    return _run_all(connection, (statement,))[0]


def _run_all(connection: apsw.Connection, statements: Sequence[Statement]) -> list[Rows]:
    execute = connection.cursor().execute
    return [
        (
            execute(sql, params).fetchall()
            if each is None
            else list(starmap(each, execute(sql, params)))
        )
        for sql, params, each in statements
    ]


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
    """Run `work`; what the engine raises comes out as the port's errors. A mistake in our own SQL
    stays what it is."""
    try:
        return work()
    except apsw.Error as error:
        raise _translate(error) from error


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
    return getattr(error, "extendedresult", None) == apsw.SQLITE_CONSTRAINT_NOTNULL


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
}
