"""Housekeeping: how far devices have come is noted, and what all of them have seen is forgotten.

A pull only leaves a note in memory, and only the first of a device on a day. Soon afterwards the
account is tended: its database is most likely still open, accounts that nobody uses are never
opened for it, and a note that is lost with the process only delays what is not urgent.
"""

import asyncio
from dataclasses import dataclass

from app import events
from app.clock import DAY_SECONDS, Clock, day_of
from app.config import Settings
from app.database.port import Database, Plan, Rows, StorageError, UserDatabases
from app.sync import housekeeping_store as store
from app.sync.purge import Purge, Retention, horizon, moved_marks, plan_purge
from app.sync.versions import COLLECTIONS, Collection

TEND_SECONDS = 60
BATCH_ITEMS = 100
"""Items of one collection purged in one unit of work: a few milliseconds of one database."""
BATCH_TAGS = 5000
MAX_NOTED_DEVICES = 100_000


@dataclass(frozen=True, slots=True)
class _Passed:
    """How far everybody has come, and up to when deletions are old."""

    horizon: int
    before: int


class Housekeeping:
    """Which accounts are due, and what is done for one. Belongs to one event loop."""

    def __init__(self, users: UserDatabases, settings: Settings, clock: Clock) -> None:
        self._users = users
        self._retention = Retention(
            settings.tombstone_days * DAY_SECONDS, settings.device_idle_days * DAY_SECONDS
        )
        self._clock = clock
        self._day = 0
        self._noted: set[str] = set()
        self._due: dict[str, dict[str, int]] = {}

    def note_pull(self, user_id: str, device_id: str, seq: int) -> None:
        """A device asked for all that comes after `seq`, so it has everything up to there."""
        if device_id in self._noted:  # nearly always, and all that a poll pays
            return
        self._noted.add(device_id)
        self._due.setdefault(user_id, {})[device_id] = seq

    async def tend_due(self) -> None:
        """Every account noted so far is tended, one after another."""
        self._begin_day()
        while self._due:
            user_id = next(iter(self._due))
            try:
                await self.tend(user_id, self._due.pop(user_id))
            except StorageError as error:  # it is due again with the next day's first pull
                events.chore_failed(error=type(error).__name__)

    async def tend(self, user_id: str, pulled: dict[str, int]) -> int:
        """Note the places that devices pulled from, and forget what all have passed; how many
        items were purged."""
        db = self._users.open(user_id)
        passed = await self._pass(db, pulled)
        purged = 0
        while count := await self._purge_some(db, passed):
            purged += count
            await asyncio.sleep(0)
        if purged:
            events.items_purged(items=purged)
        return purged

    def _begin_day(self) -> None:
        today = day_of(int(self._clock()))
        if today != self._day or len(self._noted) > MAX_NOTED_DEVICES:
            self._day = today
            self._noted.clear()

    async def _pass(self, db: Database, pulled: dict[str, int]) -> _Passed:
        now = int(self._clock())

        def plan(rows: list[Rows]) -> Plan[_Passed]:
            seq: int = rows[0][0][0]
            marks = moved_marks(rows[1], pulled, seq)
            place = horizon(rows[1], marks, seq, now, self._retention.idle_seconds)
            writes = [*store.write_marks(marks), *store.forget_tags(place, BATCH_TAGS)]
            passed = _Passed(place, now - self._retention.tombstone_seconds)
            return Plan(writes if marks else [], passed)

        return (await db.decide([store.READ_SEQ, store.READ_FOLLOWERS], plan)).outcome

    async def _purge_some(self, db: Database, passed: _Passed) -> int:
        dead = await db.read(store.select_dead(passed.before, passed.horizon, BATCH_ITEMS))
        ids: dict[Collection, list[str]] = {
            name: found for name, found in zip(COLLECTIONS, dead, strict=True) if found
        }
        if not ids:
            return 0

        def plan(rows: list[Rows]) -> Plan[Purge]:
            versions = [version for found in rows[1:] for version in found]
            purge = plan_purge(versions, passed.horizon, passed.before)
            return Plan(store.write_purge(purge, rows[0][0][0]) if purge.keys else [], purge)

        decided = await db.decide([store.READ_SEQ, *store.select_placed(ids)], plan)
        return len(decided.outcome.keys)
