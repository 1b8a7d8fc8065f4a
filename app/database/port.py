"""The storage port: what every engine promises and nothing an engine is.

A unit of work is a list of bound statements; open, commit and roll back happen in the engine.
There is no transaction across a caller's `await`. Decisions are pure: `decide` reads, lets a plan
compute statements, and writes them; the plan may run again, so it has no effects of its own.

StorageError
├── Conflict      a guard failed; nothing was written
├── Busy          too much is waiting; nothing was written
├── RowTooLarge   the engine cannot hold a value of that size
├── Blocked       the database is suspended
├── Missing       there is no such database
├── Unavailable   not sent or not begun; nothing was written
└── Unknown       sent, but no answer: it may have been written
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, NamedTuple, Protocol, TypeAlias, TypeVar

from app.errors import EcholiaError

Value: TypeAlias = int | float | str | bytes | None
Rows: TypeAlias = list[Any]
Mark: TypeAlias = int | None
Outcome = TypeVar("Outcome")


class Statement(NamedTuple):
    """One SQL statement, what is bound to it, and what becomes of each row.

    `each`, a pure function of a row's columns, runs as the row is read, on whichever thread reads:
    content is turned into its final form while it is at hand, and never held twice.
    """

    sql: str
    params: Sequence[Value] = ()
    each: Callable[..., Any] | None = None


class Many(NamedTuple):
    """One SQL statement run once for each row of values; it returns no rows."""

    sql: str
    rows: Sequence[Sequence[Value]]


Work: TypeAlias = Statement | Many
Then: TypeAlias = Callable[[list[Rows]], Sequence[Statement]]


@dataclass(frozen=True, slots=True)
class Written:
    """What a committed batch returned: rows per statement, and the replication mark after it."""

    rows: list[Rows]
    mark: Mark = None


@dataclass(frozen=True, slots=True)
class Plan(Generic[Outcome]):
    """What a decision came to: the statements to write (none: nothing is written) and a value."""

    statements: Sequence[Work]
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Decided(Generic[Outcome]):
    """A plan that was carried out: its value and the rows its statements returned."""

    outcome: Outcome
    rows: list[Rows]


class StorageError(EcholiaError):
    """Storage could not do its work."""

    code = "storage_error"
    status = 503
    title = "Storage cannot do this just now; send the request again."
    kind: ClassVar[str] = "error"

    def __init__(self, detail: str | None = None) -> None:
        super().__init__(detail, headers={"Retry-After": "1"})


class Conflict(StorageError):
    """A guard failed: somebody else wrote first. Nothing was written."""

    code = "storage_conflict"


class Busy(StorageError):
    """The database is held by other work for too long. Nothing was written."""

    code = "storage_busy"


class RowTooLarge(StorageError):
    """A value is larger than the engine holds. Nothing was written."""

    code = "storage_row_too_large"
    status = 413
    title = "Storage cannot hold a value of this size."


class Blocked(StorageError):
    """The database is suspended: it is being moved or deleted."""

    code = "storage_blocked"


class Missing(StorageError):
    """There is no such database, though there should be one."""

    code = "storage_missing"


class Unavailable(StorageError):
    """Storage cannot be reached, is full, or failed before the commit. Nothing was written."""

    code = "storage_unavailable"


class Unknown(StorageError):
    """The commit was begun and its result is not known: it may have been written."""

    code = "storage_unknown"


class Database(Protocol):
    """One SQL database."""

    async def read(
        self,
        statements: Sequence[Statement],
        at_least: Mark = None,
        then: Then | None = None,
    ) -> list[Rows]:
        """Rows per statement, all from one snapshot that holds at least `at_least`. `then`, which
        is pure and may run on another thread, names further statements by what was found so far;
        theirs are from the same snapshot or a later one."""
        ...

    async def write(self, statements: Sequence[Work]) -> Written:
        """All statements or none, in order; durable when this returns. Raises Conflict if a guard
        among them fails."""
        ...

    async def decide(
        self, reads: Sequence[Statement], plan: Callable[[list[Rows]], Plan[Outcome]]
    ) -> Decided[Outcome]:
        """Read, plan and write as if nobody else wrote in between; durable when this returns.

        `plan` is pure: it may run more than once and on another thread. Its statements carry a
        guard on whatever it relied on, so that engines without a held transaction are as safe.
        """
        ...


class UserDatabases(Protocol):
    """A database per user."""

    async def create(self, user_id: str) -> None:
        """The user's database exists and is durable afterwards; if it existed, nothing changes."""
        ...

    def open(self, user_id: str) -> Database:
        """The user's database, opened and migrated at first use; at most a set number stay open.
        Its calls raise Missing if it was never created, Blocked while suspended."""
        ...

    async def reopen(self, user_id: str) -> None:
        """The user's database is closed; whoever comes next opens it anew and up to date."""
        ...

    async def suspend(self, user_id: str) -> None:
        """The user's database is closed and refuses to open until the process restarts."""
        ...

    async def destroy(self, user_id: str) -> None:
        """No file of the user's database is left."""
        ...


def guard(condition: str, params: Sequence[Value] = ()) -> Statement:
    """A statement that lets the batch go on only if the SQL condition holds: otherwise it violates
    a NOT NULL, the batch leaves nothing, and Conflict is raised."""
    return Statement(f"INSERT INTO guard (ok) SELECT NULL WHERE ({condition}) IS NOT TRUE", params)
