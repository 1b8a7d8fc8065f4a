"""spec/vectors/cursors.json against the code that seals and opens cursors, on real files."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from app.auth.access_token import AccessClaims
from app.auth.admission import AdmittedDatabase
from app.auth.server_keys import ServerKeys
from app.config import Settings
from app.database.embedded import EmbeddedDatabases
from app.database.port import Mark, Rows, Statement, Then
from app.signals import Signals
from app.sync.cursor import Position, open_cursor, seal
from app.sync.errors import CursorInvalid, ResetRequired
from app.sync.housekeeping import Housekeeping
from app.sync.service import PullRequest, SyncService
from app.sync.versions import COLLECTIONS
from tests.kit.clock import SetClock
from tests.spec.vectors import name_of, vectors

VECTORS = vectors("cursors")
USER_ID: str = VECTORS["user_id"]
KEY = ServerKeys.of(VECTORS["secret"].encode()).current.cursor
NEWER_KEY = ServerKeys.of(b"another secret of the server, newer than the first").current.cursor


def position_of(told: Any) -> Position:
    return Position(
        told["seq"], bytes.fromhex(told["epoch"]), bytes.fromhex(told["tag"]), told.get("floor", 0)
    )


@pytest.mark.parametrize("case", VECTORS["valid"], ids=name_of)
def test_a_place_has_this_cursor(case: Any) -> None:
    assert seal(KEY, USER_ID, position_of(case)) == case["cursor"]


@pytest.mark.parametrize("case", VECTORS["valid"], ids=name_of)
def test_a_cursor_names_its_place_under_a_newer_secret_as_well(case: Any) -> None:
    assert open_cursor((NEWER_KEY, KEY), USER_ID, case["cursor"]) == position_of(case)


@pytest.mark.parametrize("case", VECTORS["valid"], ids=name_of)
def test_a_cursor_opens_nothing_once_its_secret_is_gone(case: Any) -> None:
    with pytest.raises(CursorInvalid):
        open_cursor((NEWER_KEY,), USER_ID, case["cursor"])


@pytest.mark.parametrize("case", VECTORS["invalid"], ids=name_of)
def test_a_cursor_of_nobody_is_refused(case: Any) -> None:
    with pytest.raises(CursorInvalid):
        open_cursor((KEY,), USER_ID, case["cursor"])


@pytest.fixture
async def databases(tmp_path: Path) -> AsyncIterator[EmbeddedDatabases]:
    async def nothing(_user_id: str) -> list[Statement]:
        return []

    opened = EmbeddedDatabases(tmp_path / "data", max_open=2, on_open=nothing)
    await opened.start()
    yield opened
    await opened.stop()


async def prepare(databases: EmbeddedDatabases, case: Any) -> None:
    """The user's database has gone through the case's commits."""
    await databases.create(USER_ID)
    commits = [(seq, bytes.fromhex(tag)) for seq, tag in case["commits"]]
    seq, tag = commits[-1] if commits else (0, b"")
    state = (seq, tag, bytes.fromhex(case["epoch"]))
    noted = [
        Statement("INSERT INTO sync_commit (seq, tag) VALUES (?, ?)", each) for each in commits
    ]
    forgot = (case.get("purged_seq", 0), case.get("kept_from", 0))
    now_at = Statement(
        "UPDATE sync_state SET seq = ?, tag = ?, epoch = ?, purged_seq = ?, kept_from = ?",
        (*state, *forgot),
    )
    await databases.open(USER_ID).write([now_at, *noted])


class LetIn(AdmittedDatabase):
    """A caller who was let in already."""

    async def read(
        self, statements: Sequence[Statement], at_least: Mark = None, then: Then | None = None
    ) -> list[Rows]:
        return await self._db.read(statements, at_least, then)


async def outcome_of(databases: EmbeddedDatabases, settings: Settings, case: Any) -> str:
    clock = SetClock()
    housekeeping = Housekeeping(databases, settings, clock)
    service = SyncService(settings, (KEY,), Signals(), housekeeping, clock)
    anybody = LetIn(databases.open(USER_ID), AccessClaims(USER_ID, "", 1, "", 1, ""), SetClock())
    cursor = seal(KEY, USER_ID, position_of(case["cursor"]))
    try:
        await service.pull(anybody, PullRequest(cursor, COLLECTIONS, 500, 0))
    except ResetRequired as reset:
        return str(reset.extras["reason"])
    return "continues"


@pytest.mark.parametrize("case", VECTORS["continuations"], ids=name_of)
async def test_a_pull_goes_on_or_names_why_it_cannot(
    databases: EmbeddedDatabases, settings: Settings, case: Any
) -> None:
    await prepare(databases, case)
    assert await outcome_of(databases, settings, case) == case["outcome"]
