"""The embedded engine on real files: creating, opening, locking, crashing, leaving."""

import asyncio
import os
import signal
import stat
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import pytest

from app.database import connection as sqlite
from app.database.embedded import (
    CHECKPOINT_PAGES,
    EmbeddedDatabases,
    FolderInUse,
    FolderUnusable,
)
from app.database.port import (
    Blocked,
    Conflict,
    Missing,
    Plan,
    Rows,
    Statement,
    Unavailable,
    Unknown,
    guard,
)
from tests.kit.server import ROOT
from tests.kit.storage import (
    INCREMENT,
    SEQ,
    Storage,
    build,
    disk_full,
    open_paths,
    rows,
    side_file,
    side_files,
    storage,
    write_locked,
)

HELD_ELSEWHERE = """
import asyncio, sys
from pathlib import Path
from app.database.embedded import EmbeddedDatabases

async def nothing(user_id):
    return ()

async def main():
    await EmbeddedDatabases(Path(sys.argv[1]), max_open=5, on_open=nothing).start()
    print("held", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""

CUT_OFF = """
import asyncio, os, signal, sys
from pathlib import Path
from app.database.embedded import EmbeddedDatabases

async def nothing(user_id):
    return ()

async def main():
    databases = EmbeddedDatabases(Path(sys.argv[1]), max_open=5, on_open=nothing)
    await databases.start()
    Path.rename = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
    await databases.create(sys.argv[2])

asyncio.run(main())
"""


def new_user() -> str:
    return str(uuid.uuid4())


@pytest.fixture
async def kept(tmp_path: Path) -> AsyncIterator[Storage]:
    async with storage(tmp_path / "data", max_open=10) as started:
        yield started


@pytest.fixture
async def user_id(kept: Storage) -> str:
    made = new_user()
    await kept.databases.create(made)
    return made


@pytest.fixture(params=[0o000, 0o022, 0o077])
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


def run_elsewhere(code: str, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


# --- creating and opening -----------------------------------------------------------------------


async def test_opening_is_not_creating(kept: Storage) -> None:
    user_id = new_user()
    db = kept.databases.open(user_id)
    for attempt in (db.read([SEQ]), db.write([INCREMENT])):
        with pytest.raises(Missing):
            await attempt
    assert not kept.file(user_id).exists()
    assert kept.databases.open_count == 0
    await kept.databases.create(user_id)
    assert await db.read([SEQ]) == [[(0,)]], "a handle that was refused works once there is one"


async def test_creating_again_changes_nothing(kept: Storage, user_id: str) -> None:
    await kept.databases.open(user_id).write([INCREMENT])
    await asyncio.gather(*(kept.databases.create(user_id) for _ in range(20)))
    assert await kept.databases.open(user_id).read([SEQ]) == [[(1,)]]


async def test_a_database_cut_off_while_it_is_made_does_not_open(tmp_path: Path) -> None:
    user_id = new_user()
    with run_elsewhere(CUT_OFF, str(tmp_path), user_id) as killed:
        assert killed.wait(30) == -signal.SIGKILL
    async with storage(tmp_path) as kept:
        assert kept.file(user_id).with_suffix(".new").exists(), "it was not cut off where we think"
        with pytest.raises(Missing):
            await kept.databases.open(user_id).read([SEQ])
        await kept.databases.create(user_id)
        assert await kept.databases.open(user_id).read([SEQ]) == [[(0,)]]
        assert not kept.file(user_id).with_suffix(".new").exists()


async def test_what_an_erasure_left_behind_does_not_come_back(kept: Storage, user_id: str) -> None:
    await kept.databases.open(user_id).write([INCREMENT])
    path = kept.file(user_id)
    wal = side_file(path)
    assert wal
    await kept.databases.destroy(user_id)
    path.with_name(f"{path.name}-wal").write_bytes(wal)
    await kept.databases.create(user_id)
    assert await kept.databases.open(user_id).read([SEQ]) == [[(0,)]]


async def test_no_file_of_a_destroyed_database_is_left(kept: Storage, user_id: str) -> None:
    await kept.databases.open(user_id).write([INCREMENT])
    await kept.databases.destroy(user_id)
    assert list(kept.file(user_id).parent.iterdir()) == []
    with pytest.raises(Missing):
        await kept.databases.open(user_id).read([SEQ])
    await kept.databases.destroy(user_id)


async def test_a_suspended_database_is_closed_and_refuses(kept: Storage, user_id: str) -> None:
    db = kept.databases.open(user_id)
    work = [asyncio.ensure_future(db.write([INCREMENT])) for _ in range(20)]
    await asyncio.sleep(0)
    await kept.databases.suspend(user_id)
    assert open_paths(kept.file(user_id).parent) == []
    with pytest.raises(Blocked):
        await db.read([SEQ])
    with pytest.raises(Blocked):
        await kept.databases.create(user_id)
    told = await asyncio.gather(*work, return_exceptions=True)
    done = sum(not isinstance(each, BaseException) for each in told)
    assert all(isinstance(each, Blocked) for each in told if isinstance(each, BaseException))
    assert rows(kept.file(user_id), SEQ.sql) == [(done,)]


async def test_what_is_brought_up_to_date_is_there_before_the_first_work(tmp_path: Path) -> None:
    asked: list[str] = []

    async def on_open(user_id: str) -> Sequence[Statement]:
        asked.append(user_id)
        return [INCREMENT]

    databases = EmbeddedDatabases(tmp_path, max_open=5, on_open=on_open)
    await databases.start()
    user_id = new_user()
    await databases.create(user_id)
    found = await asyncio.gather(*(databases.open(user_id).read([SEQ]) for _ in range(10)))
    await databases.stop()
    assert (found, asked) == ([[[(1,)]]] * 10, [user_id])


async def test_every_users_connection_syncs_what_it_commits(kept: Storage, user_id: str) -> None:
    names = ("journal_mode", "synchronous")
    found = await kept.databases.open(user_id).read(
        [Statement(f"SELECT * FROM pragma_{name}") for name in names]
    )
    assert found == [[("wal",)], [(2,)]]
    found = await kept.master.read([Statement(f"SELECT * FROM pragma_{name}") for name in names])
    assert found == [[("wal",)], [(2,)]]


def wal_size(file: Path) -> int:
    return Path(f"{file}-wal").stat().st_size


async def test_a_wal_is_written_back_while_work_goes_on(kept: Storage, user_id: str) -> None:
    """However much is written, it stays near the size at which it is due."""
    db = kept.databases.open(user_id)
    content = bytes(400_000)
    for number in range(60):
        await db.write(
            [
                Statement("DELETE FROM sync_commit"),
                Statement("INSERT INTO sync_commit VALUES (?, ?)", (number, content)),
            ]
        )
    written = 60 * len(content)
    wal = wal_size(kept.file(user_id))
    assert wal <= 2 * CHECKPOINT_PAGES * 4096 < written
    assert len((await db.read([Statement("SELECT tag FROM sync_commit")]))[0][0][0]) == 400_000


async def test_a_database_restored_from_a_backup_is_in_wal_mode(kept: Storage) -> None:
    user_id = new_user()
    build(kept.file(user_id), "user", 3)
    rows(kept.file(user_id), "PRAGMA journal_mode = DELETE")
    found = await kept.databases.open(user_id).read(
        [Statement("SELECT * FROM pragma_journal_mode")]
    )
    assert found == [[("wal",)]]


@pytest.mark.usefixtures("umask")
async def test_only_the_owner_may_read_whatever_the_umask(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    async with storage(folder) as kept:
        user_id = new_user()
        await kept.databases.create(user_id)
        await kept.databases.open(user_id).write([INCREMENT])
        await kept.master.read([Statement("SELECT 1")])
        found = {path: stat.S_IMODE(path.stat().st_mode) for path in (folder, *folder.rglob("*"))}
    assert {path.name for path in found} >= {"master.db", f"user_{user_id}.db-wal", ".lock"}
    for path, mode in found.items():
        assert mode == (0o700 if path.is_dir() else 0o600), path.name


@pytest.mark.parametrize("name", ["../../etc/passwd", "", "user", "a" * 36, "{}"])
async def test_nothing_but_a_uuid_becomes_a_path(kept: Storage, name: str) -> None:
    with pytest.raises(ValueError, match=r"badly formed|hexadecimal"):
        await kept.databases.open(name).read([SEQ])


# --- the folder ---------------------------------------------------------------------------------


async def test_a_folder_serves_one_process_and_is_free_when_that_is_killed(tmp_path: Path) -> None:
    with run_elsewhere(HELD_ELSEWHERE, str(tmp_path)) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(FolderInUse, match="libSQL server"):
            async with storage(tmp_path):
                pass
        holder.kill()
    async with storage(tmp_path):
        pass


async def test_a_folder_that_cannot_be_used_is_refused_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FolderUnusable, match=r"^DATA_DIR must be a folder"):
        async with storage(tmp_path / "file"):
            pass


async def test_a_start_that_fails_lets_go_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "master.db").write_bytes(b"no database " * 1000)
    for _ in range(2):
        with pytest.raises(Unavailable):
            async with storage(tmp_path):
                pass
    assert open_paths(tmp_path) == []
    (tmp_path / "master.db").unlink()
    async with storage(tmp_path):
        pass


async def test_stopping_finishes_what_was_begun_and_leaves_no_wal(tmp_path: Path) -> None:
    users = [new_user() for _ in range(5)]
    async with storage(tmp_path) as kept:
        for user_id in users:
            await kept.databases.create(user_id)
            await kept.databases.open(user_id).write([INCREMENT])
        assert side_files(tmp_path)
    assert side_files(tmp_path) == []
    assert open_paths(tmp_path) == []
    assert [rows(kept.file(user_id), SEQ.sql) for user_id in users] == [[(1,)]] * 5


# --- how many are open --------------------------------------------------------------------------


async def test_three_hundred_users_on_ten_connections_lose_nothing(kept: Storage) -> None:
    users = [new_user() for _ in range(300)]
    for user_id in users:
        await kept.databases.create(user_id)
    before = len(open_paths(kept.folder))
    most = 0
    watching = True

    async def watch() -> None:
        nonlocal most
        while watching:
            open_now = [path for path in open_paths(kept.folder) if path.suffix == ".db"]
            most = max(most, len([path for path in open_now if path.parent != kept.folder]))
            await asyncio.sleep(0.005)

    watcher = asyncio.ensure_future(watch())

    async def device(user_id: str) -> None:
        db = kept.databases.open(user_id)
        for _ in range(3):
            await db.write([INCREMENT])
            await db.read([SEQ])

    async with asyncio.timeout(60):
        await asyncio.gather(*(device(user_id) for user_id in users for _ in range(2)))
    watching = False
    await watcher
    assert 0 < most <= 10
    assert kept.databases.open_count <= 10
    await kept.databases.close_idle(0)
    assert len(open_paths(kept.folder)) == before
    assert {tuple(rows(kept.file(user_id), SEQ.sql)) for user_id in users} == {((6,),)}


async def test_a_handle_whose_file_was_closed_works_again(kept: Storage, user_id: str) -> None:
    db = kept.databases.open(user_id)
    await db.write([INCREMENT])
    assert await kept.databases.close_idle(0) == 1
    assert kept.databases.open_count == 0
    assert side_file(kept.file(user_id)) is None
    await db.write([INCREMENT])
    assert await db.read([SEQ]) == [[(2,)]]


# --- units of work ------------------------------------------------------------------------------


async def test_concurrent_decisions_never_see_the_same_state(kept: Storage, user_id: str) -> None:
    db = kept.databases.open(user_id)

    def plan(found: list[Rows]) -> Plan[int]:
        seq = found[0][0][0]
        return Plan([guard("(SELECT seq FROM sync_state) = ?", (seq,)), INCREMENT], seq)

    decided = await asyncio.gather(*(db.decide([SEQ], plan) for _ in range(200)))
    assert sorted(each.outcome for each in decided) == list(range(200))


async def test_a_caller_that_leaves_takes_all_or_nothing_with_him(
    kept: Storage, user_id: str
) -> None:
    """Cancelled at any moment: both statements or neither, and the connection serves on."""
    db = kept.databases.open(user_id)
    add = Statement("INSERT INTO sync_commit SELECT seq, x'' FROM sync_state")
    for turns in range(40):
        left = asyncio.ensure_future(db.write([INCREMENT, add]))
        for _ in range(turns % 7):
            await asyncio.sleep(0)
        left.cancel()
    async with asyncio.timeout(10):
        found = await db.read([SEQ, Statement("SELECT COUNT(*) FROM sync_commit")])
    assert found[0][0] == found[1][0]
    await db.write([INCREMENT, add])


async def test_an_error_in_a_plan_reaches_the_caller(kept: Storage, user_id: str) -> None:
    db = kept.databases.open(user_id)

    def plan(_: list[Rows]) -> Plan[None]:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await db.decide([SEQ], plan)
    with pytest.raises(Conflict):
        await db.write([INCREMENT, guard("0")])
    assert await db.read([SEQ]) == [[(0,)]]


async def test_others_are_served_while_one_users_file_is_held_from_outside(
    kept: Storage, user_id: str
) -> None:
    other = new_user()
    await kept.databases.create(other)
    await kept.databases.open(user_id).read([SEQ])
    with write_locked(kept.file(user_id)):
        stuck = asyncio.ensure_future(kept.databases.open(user_id).write([INCREMENT]))
        async with asyncio.timeout(4):
            await kept.databases.open(other).write([INCREMENT])
            await kept.master.read([Statement("SELECT 1")])
        assert not stuck.done()
    await stuck
    assert await kept.databases.open(user_id).read([SEQ]) == [[(1,)]]


async def test_a_full_disk_makes_no_database(kept: Storage) -> None:
    user_id = new_user()
    with disk_full(4096), pytest.raises(Unavailable):
        await kept.databases.create(user_id)
    with pytest.raises(Missing):
        await kept.databases.open(user_id).read([SEQ])
    await kept.databases.create(user_id)
    await kept.databases.open(user_id).write([INCREMENT])


async def test_a_damaged_file_is_unavailable_to_its_user_alone(kept: Storage, user_id: str) -> None:
    damaged = new_user()
    await kept.databases.create(damaged)
    kept.file(damaged).write_bytes(b"\xa5" * 90_000)
    before = len(open_paths(kept.folder))
    for _ in range(3):
        with pytest.raises(Unavailable):
            await kept.databases.open(damaged).read([SEQ])
    assert kept.databases.open_count == 0
    assert len(open_paths(kept.folder)) == before
    await kept.databases.open(user_id).write([INCREMENT])


def test_a_commit_that_fails_is_not_told_as_not_begun(tmp_path: Path) -> None:
    """Its words may be on the disk already: Unknown, never Unavailable."""
    connection = sqlite.connect(tmp_path / "some.db", create=True)
    sqlite.migrate(connection, "user")

    def veto() -> bool:
        return True

    connection.set_commit_hook(veto)
    with pytest.raises(Unknown):
        sqlite.write(connection, [INCREMENT])
    connection.set_commit_hook(None)
    assert not connection.in_transaction
    assert sqlite.read(connection, [SEQ]) == [[(0,)]]
    connection.close()
