"""One connection: how it is opened, what a unit of work leaves, what its errors become."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.database import connection as sqlite
from app.database.port import (
    Busy,
    Conflict,
    Many,
    Missing,
    Plan,
    Rows,
    RowTooLarge,
    Statement,
    StorageError,
    Unavailable,
    guard,
)
from tests.kit.storage import INCREMENT, SEQ, disk_full, rows, write_locked

ADD_COMMIT = "INSERT INTO sync_commit VALUES (?, ?)"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "some.db"


@pytest.fixture
def db(path: Path) -> Iterator[apsw.Connection]:
    connection = sqlite.connect(path, create=True)
    sqlite.migrate(connection, "user")
    yield connection
    connection.close()


def pragma(connection: apsw.Connection, name: str) -> Any:
    return connection.execute(f"PRAGMA {name}").fetchall()[0][0]


def test_a_connection_syncs_what_it_commits(db: apsw.Connection) -> None:
    assert pragma(db, "journal_mode") == "wal"
    assert pragma(db, "synchronous") == 2
    assert pragma(db, "busy_timeout") == sqlite.BUSY_MILLISECONDS
    assert pragma(db, "cache_size") == -sqlite.CACHE_KIB
    assert pragma(db, "journal_size_limit") == sqlite.WAL_LIMIT_BYTES
    assert pragma(db, "trusted_schema") == 0
    assert pragma(db, "cell_size_check") == 1
    assert pragma(db, "secure_delete") == 1


def test_a_file_restored_from_a_backup_is_in_wal_mode_again(
    db: apsw.Connection, path: Path
) -> None:
    copy = path.with_name("copy.db")
    db.execute("VACUUM INTO ?", (str(copy),))
    assert rows(copy, "PRAGMA journal_mode") == [("delete",)]
    opened = sqlite.connect(copy)
    assert pragma(opened, "journal_mode") == "wal"
    assert pragma(opened, "synchronous") == 2
    opened.close()


def test_what_is_not_there_is_not_made_by_opening_it(path: Path) -> None:
    with pytest.raises(Missing):
        sqlite.connect(path)
    assert not path.exists()


def test_a_link_is_not_followed(db: apsw.Connection, path: Path) -> None:
    link = path.with_name("link.db")
    link.symlink_to(path)
    for create in (False, True):
        with pytest.raises(Unavailable):
            sqlite.connect(link, create=create)


@pytest.mark.parametrize(
    "content",
    [b"not a database at all" * 400, b"SQLite format 3\0" + b"\xff" * 4080, b"S" * 3],
    ids=["text", "header only", "stub"],
)
def test_a_file_that_is_no_database_is_unavailable(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(Unavailable):
        sqlite.connect(path)


def test_a_damaged_page_is_unavailable(db: apsw.Connection, path: Path) -> None:
    sqlite.write(db, [Statement(ADD_COMMIT, (n, bytes(2000))) for n in range(50)])
    db.close()
    content = bytearray(path.read_bytes())
    content[-40_000:] = b"\xa5" * 40_000
    path.write_bytes(content)
    opened = sqlite.connect(path)
    with pytest.raises(Unavailable):
        sqlite.read(opened, [Statement("SELECT SUM(LENGTH(tag)) FROM sync_commit")])
    opened.close()


def test_a_damaged_schema_is_unavailable(db: apsw.Connection, path: Path) -> None:
    db.close()
    content = bytearray(path.read_bytes())
    content[100:4096] = b"\xa5" * 3996
    path.write_bytes(content)
    with pytest.raises(Unavailable):
        sqlite.migrate(sqlite.connect(path), "user")


def test_a_unit_of_work_is_stored_whole(db: apsw.Connection, path: Path) -> None:
    written = sqlite.write(
        db,
        [
            Statement(ADD_COMMIT + " RETURNING seq", (1, b"a")),
            Many(ADD_COMMIT, [(2, b"b"), (3, b"c")]),
            Statement("SELECT COUNT(*) FROM sync_commit"),
        ],
    )
    assert written.rows == [[(1,)], [], [(3,)]]
    assert rows(path, "SELECT seq FROM sync_commit") == [(1,), (2,), (3,)]


def test_a_guard_that_fails_leaves_nothing(db: apsw.Connection, path: Path) -> None:
    with pytest.raises(Conflict):
        sqlite.write(db, [Statement(ADD_COMMIT, (1, b"a")), guard("1 = 2"), INCREMENT])
    assert not db.in_transaction
    assert rows(path, "SELECT COUNT(*) FROM sync_commit") == [(0,)]
    assert sqlite.read(db, [SEQ]) == [[(0,)]]


def test_a_guard_that_holds_lets_the_work_be_done(db: apsw.Connection) -> None:
    guarded = [guard("(SELECT seq FROM sync_state) = ?", (0,)), INCREMENT]
    sqlite.write(db, guarded)
    assert sqlite.read(db, [SEQ]) == [[(1,)]]
    with pytest.raises(Conflict):
        sqlite.write(db, guarded)
    assert rows(Path(db.filename), "SELECT COUNT(*) FROM guard") == [(0,)]


@pytest.mark.parametrize("condition", ["NULL", "0", "1 = 2", "EXISTS (SELECT 1 WHERE 0)"])
def test_a_guard_holds_only_if_its_condition_is_true(db: apsw.Connection, condition: str) -> None:
    with pytest.raises(Conflict):
        sqlite.write(db, [guard(condition)])


def test_a_null_elsewhere_is_our_mistake_and_no_conflict(db: apsw.Connection) -> None:
    with pytest.raises(apsw.ConstraintError):
        sqlite.write(db, [INCREMENT, Statement(ADD_COMMIT, (1, None))])
    assert sqlite.read(db, [SEQ]) == [[(0,)]]


def test_a_mistake_in_our_sql_stays_what_it_is_and_leaves_nothing(db: apsw.Connection) -> None:
    with pytest.raises(apsw.SQLError):
        sqlite.write(db, [INCREMENT, Statement("SELECT * FROM nowhere")])
    with pytest.raises(apsw.ConstraintError):
        sqlite.write(db, [Statement(ADD_COMMIT, (1, b"")), Statement(ADD_COMMIT, (1, b""))])
    assert sqlite.read(db, [SEQ, Statement("SELECT * FROM sync_commit")]) == [[(0,)], []]


def test_a_decision_runs_its_plan_under_the_lock(db: apsw.Connection, path: Path) -> None:
    other = apsw.Connection(str(path))
    refused: list[bool] = []

    def plan(found: list[Rows]) -> Plan[int]:
        try:
            other.execute(INCREMENT.sql)
        except apsw.BusyError:
            refused.append(True)
        return Plan([INCREMENT, SEQ], found[0][0][0])

    decided = sqlite.decide(db, [SEQ], plan)
    other.close()
    assert refused == [True]
    assert (decided.outcome, decided.rows) == (0, [[], [(1,)]])


def test_an_error_in_a_plan_reaches_the_caller_and_leaves_nothing(db: apsw.Connection) -> None:
    class Refused(Exception):
        pass

    def plan(_: list[Rows]) -> Plan[None]:
        raise Refused

    with pytest.raises(Refused):
        sqlite.decide(db, [SEQ], plan)
    assert not db.in_transaction
    sqlite.write(db, [INCREMENT])


def test_a_read_is_one_snapshot(db: apsw.Connection, path: Path) -> None:
    writer = sqlite.connect(path)

    def meanwhile(seq: int) -> int:
        sqlite.write(writer, [INCREMENT])
        return seq

    looked = Statement(SEQ.sql, (), meanwhile)
    assert sqlite.read(db, [looked, looked, SEQ]) == [[0], [0], [(0,)]]
    assert sqlite.read(db, [SEQ]) == [[(2,)]]
    writer.close()


def test_a_file_held_by_others_for_too_long_is_busy(db: apsw.Connection, path: Path) -> None:
    db.set_busy_timeout(20)
    with write_locked(path):
        with pytest.raises(Busy):
            sqlite.write(db, [INCREMENT])
        assert sqlite.read(db, [SEQ]) == [[(0,)]], "readers do not wait for a writer"
    sqlite.write(db, [INCREMENT])


def test_a_read_only_file_is_unavailable(db: apsw.Connection, path: Path) -> None:
    opened = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    with pytest.raises(Unavailable):
        sqlite.write(opened, [INCREMENT])
    assert not opened.in_transaction
    opened.close()


def test_a_full_disk_stores_nothing_and_serves_again_when_there_is_room(
    db: apsw.Connection, path: Path
) -> None:
    sqlite.write(db, [Statement(ADD_COMMIT, (1, b"kept"))])
    large = [Statement(ADD_COMMIT, (n, bytes(60_000))) for n in range(2, 20)]
    with disk_full(200_000), pytest.raises(StorageError) as refused:
        sqlite.write(db, large)
    assert refused.value.status == 503
    assert not db.in_transaction
    assert sqlite.read(db, [Statement("SELECT seq FROM sync_commit")]) == [[(1,)]]
    sqlite.write(db, large)
    assert rows(path, "SELECT COUNT(*) FROM sync_commit") == [(19,)]


def test_a_full_disk_of_the_engines_own_counting_stores_nothing(db: apsw.Connection) -> None:
    db.execute("PRAGMA max_page_count = 1").fetchall()
    with pytest.raises(Unavailable):
        sqlite.write(db, [INCREMENT, Statement(ADD_COMMIT, (1, bytes(100_000)))])
    assert sqlite.read(db, [SEQ]) == [[(0,)]]


def test_a_value_too_large_for_the_engine_says_so(db: apsw.Connection) -> None:
    db.limit(apsw.SQLITE_LIMIT_LENGTH, 10_000)
    with pytest.raises(RowTooLarge):
        sqlite.write(db, [INCREMENT, Statement(ADD_COMMIT, (1, bytes(20_000)))])
    assert sqlite.read(db, [SEQ]) == [[(0,)]]


@settings(max_examples=60, deadline=None)
@given(fails_at=st.integers(0, 6), kind=st.sampled_from(["guard", "sql", "plan"]))
def test_wherever_a_unit_of_work_fails_nothing_of_it_is_left(fails_at: int, kind: str) -> None:
    connection = apsw.Connection(":memory:")
    sqlite.migrate(connection, "user")
    work: list[Statement] = [Statement(ADD_COMMIT, (n, b"")) for n in range(6)]
    work.insert(fails_at, guard("0") if kind == "guard" else Statement("SELECT nothing"))

    def plan(_: list[Rows]) -> Plan[None]:
        return Plan(work, None)

    def attempt() -> object:
        if kind == "plan":
            return sqlite.decide(connection, [SEQ], plan)
        return sqlite.write(connection, work)

    with pytest.raises((Conflict, apsw.SQLError)):
        attempt()
    assert sqlite.read(connection, [Statement("SELECT * FROM sync_commit")]) == [[]]
    connection.close()


def test_a_rewriting_puts_no_copy_elsewhere_than_beside_the_database(
    path: Path, db: apsw.Connection
) -> None:
    """Where temporary files go otherwise there may be little room, as in a container."""
    db.execute("CREATE TABLE filling (data BLOB)")
    db.executemany("INSERT INTO filling VALUES (?)", [(os.urandom(65_536),) for _ in range(300)])
    before, seen = set(unlinked_files()), set[Path]()
    is_over = threading.Event()

    def watch() -> None:
        while not is_over.is_set():
            seen.update(unlinked_files())

    watcher = threading.Thread(target=watch)
    watcher.start()
    sqlite.rewrite(db)
    is_over.set()
    watcher.join()
    assert {file.parent for file in seen - before} == {path.parent}


def unlinked_files() -> Iterator[Path]:
    """Of this process, files that have no name any more."""
    for held in Path("/proc/self/fd").iterdir():
        try:
            name = str(held.readlink())
        except OSError:  # closed meanwhile
            continue
        if name.startswith("/") and name.endswith("(deleted)") and "#" in name:
            yield Path(name)
