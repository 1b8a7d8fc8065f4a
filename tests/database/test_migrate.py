"""Schemas: each step once, whole or not at all, for any number of first requests."""

import asyncio
import threading
import uuid
from collections import Counter
from pathlib import Path
from typing import Literal

import apsw
import pytest

from app import events
from app.database import connection as sqlite
from app.database import migrate
from app.database.migrate import Schema, Step, latest, steps
from app.database.port import Statement
from tests.kit.storage import SEQ, build, rows, storage

APPLIED = "SELECT version FROM schema_version ORDER BY version"
EVERY = [(version,) for version in range(1, latest("user") + 1)]


@pytest.mark.parametrize("schema", ["master", "user"])
def test_steps_are_numbered_from_one_without_a_gap(schema: Literal["master", "user"]) -> None:
    assert [step.version for step in steps(schema)] == list(range(1, latest(schema) + 1))


@pytest.mark.parametrize("schema", ["master", "user"])
def test_every_statement_of_a_step_is_one_whole_statement(schema: Schema, tmp_path: Path) -> None:
    for step in steps(schema):
        assert all(apsw.complete(f"{each.sql.rstrip(';')};") for each in step.statements)


async def test_thirty_first_requests_at_an_old_schema_run_each_step_once(tmp_path: Path) -> None:
    user_id = str(uuid.uuid4())
    async with storage(tmp_path) as kept:
        build(kept.file(user_id), "user", 1)
        db = kept.databases.open(user_id)
        found = await asyncio.gather(*(db.read([SEQ]) for _ in range(30)))
        assert found == [[[(0,)]]] * 30
    assert rows(kept.file(user_id), APPLIED) == EVERY


def test_thirty_connections_at_an_old_schema_run_each_step_once(tmp_path: Path) -> None:
    """As several processes would, without anything that they share but the file."""
    path = tmp_path / "old.db"
    build(path, "user", 1)
    failures: list[BaseException] = []
    ready = threading.Barrier(30)

    def first_request() -> None:
        try:
            connection = sqlite.connect(path)
            ready.wait()
            sqlite.migrate(connection, "user")
            connection.close()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=first_request) for _ in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert rows(path, APPLIED) == EVERY


def test_an_old_database_keeps_its_rows(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    build(path, "user", 1)
    writer = apsw.Connection(str(path))
    writer.execute("INSERT INTO llm_usage VALUES ('r', 'd', 1, 'p', 'm', 's', 2, 3, 4)")
    writer.close()
    connection = sqlite.connect(path)
    sqlite.migrate(connection, "user")
    connection.close()
    assert rows(path, "SELECT * FROM llm_usage") == [("r", "d", 1, "p", "m", "s", 2, 3, 4)]
    assert rows(path, APPLIED) == EVERY


def test_a_step_that_fails_half_way_leaves_the_old_version_and_its_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "old.db"
    build(path, "user", 2)
    before = (rows(path, "SELECT * FROM sync_state"), rows(path, "SELECT sql FROM sqlite_schema"))
    real = steps("user")
    broken = (
        Statement("CREATE TABLE half (a)"),
        Statement("UPDATE sync_state SET seq = 99"),
        Statement("CREATE TABLE half (a)"),
    )
    monkeypatch.setattr(sqlite, "steps", lambda _: (*real[:2], Step(3, broken)))
    connection = sqlite.connect(path)
    with pytest.raises(apsw.SQLError):
        sqlite.migrate(connection, "user")
    connection.close()
    assert rows(path, APPLIED) == EVERY[:2]
    after = (rows(path, "SELECT * FROM sync_state"), rows(path, "SELECT sql FROM sqlite_schema"))
    assert after == before

    monkeypatch.undo()
    connection = sqlite.connect(path)
    sqlite.migrate(connection, "user")
    connection.close()
    assert rows(path, APPLIED) == EVERY


def test_only_what_was_there_before_is_told_as_migrated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: Counter[int] = Counter()
    monkeypatch.setattr(
        events, "database_migrated", lambda *, schema, version: told.update([version])
    )
    new = sqlite.connect(tmp_path / "new.db", create=True)
    sqlite.migrate(new, "user")
    new.close()
    assert not told
    build(tmp_path / "old.db", "user", 1)
    old = sqlite.connect(tmp_path / "old.db")
    sqlite.migrate(old, "user")
    old.close()
    assert told == Counter(version for (version,) in EVERY[1:])


def test_a_steps_note_is_the_last_of_its_statements() -> None:
    for step in migrate.steps("user"):
        assert step.statements[-1].sql.startswith("INSERT INTO schema_version")
        assert step.statements[-1].params == (step.version,)


def test_siblings_of_an_old_database_take_slots_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    build(path, "user", 3)
    item, lone = str(uuid.uuid4()), str(uuid.uuid4())
    authors = sorted(str(uuid.uuid4()) for _ in range(3))
    writer = apsw.Connection(str(path))
    for item_id, author in [*((item, each) for each in authors), (lone, authors[2])]:
        writer.execute(
            "INSERT INTO synced_tags VALUES (?, 1, ?, 1, '{}', 1, 0, 1, 1, x'00', x'00', NULL)",
            (item_id, author),
        )
    writer.close()
    connection = sqlite.connect(path)
    sqlite.migrate(connection, "user")
    connection.close()
    slots = "SELECT device_id, slot FROM synced_tags WHERE id = '{}' ORDER BY device_id"
    assert rows(path, slots.format(item)) == [(authors[0], 0), (authors[1], 1), (authors[2], 2)]
    assert rows(path, slots.format(lone)) == [(authors[2], 0)]
