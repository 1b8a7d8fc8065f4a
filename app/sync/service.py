"""Push, pull and status of one account."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from app import events
from app.auth.admission import AdmittedDatabase
from app.clock import Clock
from app.config import Settings
from app.database.port import Plan, Rows, Statement
from app.limits import MAX_PULL_BYTES, versions_limit
from app.signals import Signals
from app.sync import render, store
from app.sync.cursor import TAG_BYTES, Position, open_cursor, seal
from app.sync.errors import (
    AtomicAborted,
    ForeignAuthor,
    MassDelete,
    QuotaExceeded,
    ResetNotNeeded,
    ResetRequired,
    TooManyChanges,
    TooManyStoredVersions,
)
from app.sync.housekeeping import Housekeeping
from app.sync.page import page_end
from app.sync.plan import FREE_DELETES, Account, Items, PushPlan, Reset, Result, Totals, plan_push
from app.sync.quota import storage_limit
from app.sync.recent_deletes import RecentDeletes
from app.sync.render import SealedVersion
from app.sync.store import State
from app.sync.versions import COLLECTIONS, Change, Collection, ItemKey

ON_OPEN: tuple[Statement, ...] = (store.NAME_EPOCH,)
"""What a user's database is brought up to whenever it is opened."""


@dataclass(frozen=True, slots=True)
class PushRequest:
    """A push, structurally sound."""

    changes: Sequence[Change]
    atomic: bool
    confirm_deletes: int | None
    is_reset: bool
    reset_from: str | None


@dataclass(frozen=True, slots=True)
class PullRequest:
    """A pull: from where, of what, how much, and how long to wait for something new."""

    cursor: str | None
    collections: Sequence[Collection]
    limit: int
    wait_seconds: int


@dataclass(frozen=True, slots=True)
class Status:
    """What an account holds."""

    state: State
    cursor: str
    devices: int
    storage_limit: int


@dataclass(frozen=True, slots=True)
class _Pushed:
    results: Sequence[Result]
    position: Position
    reads_from: int
    deletes: int = 0
    aborted: bool = False


class SyncService:
    """Sealed items of all accounts; what it acknowledges is durable."""

    def __init__(
        self,
        settings: Settings,
        cursor_keys: tuple[bytes, ...],
        signals: Signals,
        housekeeping: Housekeeping,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._cursor_keys = cursor_keys
        self._signals = signals
        self._housekeeping = housekeeping
        self._recent_deletes = RecentDeletes()
        self._clock = clock

    async def push(self, db: AdmittedDatabase, request: PushRequest) -> bytes:
        """Store what the clocks allow, all of it in one transaction, and answer per change.
        Raises TooManyChanges, ForeignAuthor, AtomicAborted, QuotaExceeded, TooManyStoredVersions,
        MassDelete, ResetNotNeeded or CursorInvalid, and then nothing was stored."""
        self._check(db, request)
        now = int(self._clock())
        position = self._position(db, request.reset_from)
        recent = self._recent_deletes.count(db.device_id, now)
        judged = _Push(request, self._settings, position, now, recent)
        decided = await db.decide(judged.reads, judged.plan)
        pushed, rows = decided.outcome, decided.rows[decided.outcome.reads_from :]
        if pushed.aborted:
            raise AtomicAborted(results=render.results_with_versions(pushed.results, rows))
        if pushed.reads_from:
            self._signals.notify(db.user_id)
        if pushed.deletes:
            is_confirmed = request.confirm_deletes == pushed.deletes
            self._recent_deletes.note(db.device_id, pushed.deletes, now, confirmed=is_confirmed)
        _log(pushed.results)
        cursor = seal(self._cursor_keys[0], db.user_id, pushed.position)
        return render.pushed(pushed.results, rows, cursor, now=now)

    async def pull(self, db: AdmittedDatabase, request: PullRequest) -> bytes:
        """The next page of changes after the cursor. Raises CursorInvalid or ResetRequired."""
        position = self._position(db, request.cursor)
        found = await self._page(db, request, position)
        if position is not None and request.collections == COLLECTIONS:
            self._housekeeping.note_pull(db.user_id, db.device_id, position.seq)
        cursor = seal(self._cursor_keys[0], db.user_id, found.position)
        now = int(self._clock())
        return render.page(found.versions, cursor, has_more=found.has_more, now=now)

    async def wait_for_news(self, db: AdmittedDatabase, request: PullRequest) -> None:
        """Returns when a pull may bring something, after `wait_seconds` at the latest."""
        position = self._position(db, request.cursor)
        with self._signals.waiter(db.user_id) as waiter:
            found = await self._page(db, request, position)
            if not found.versions:
                await waiter.wait(request.wait_seconds)

    async def status(self, db: AdmittedDatabase) -> Status:
        """What the account holds now."""
        rows = await db.read([store.READ_STATE, store.COUNT_DEVICES])
        state = store.state_of(rows[0][0])
        position = Position(state.seq, state.epoch, state.tag)
        devices, created_at = rows[1][0]
        limit = storage_limit(self._settings, created_at, int(self._clock()))
        cursor = seal(self._cursor_keys[0], db.user_id, position)
        return Status(state, cursor, devices, limit)

    def _check(self, db: AdmittedDatabase, request: PushRequest) -> None:
        if len(request.changes) > self._settings.max_push_changes:
            raise TooManyChanges(limit=self._settings.max_push_changes)
        authors = {change.author for change in request.changes}
        if not request.is_reset and authors != {db.device_id}:
            raise ForeignAuthor

    def _position(self, db: AdmittedDatabase, cursor: str | None) -> Position | None:
        if cursor is None:
            return None
        return open_cursor(self._cursor_keys, db.user_id, cursor)

    async def _page(
        self, db: AdmittedDatabase, request: PullRequest, position: Position | None
    ) -> "_Page":
        pull = _Pull(request, position)
        return pull.page(await db.read(pull.reads, then=pull.then))


@dataclass(frozen=True, slots=True)
class _Page:
    versions: Sequence[SealedVersion]
    position: Position
    has_more: bool


class _Pull:
    """One page being read: what to look at, what to read then, and the page. Pure."""

    def __init__(self, request: PullRequest, position: Position | None) -> None:
        self._request = request
        self._position = position
        self._after = position.seq if position else 0
        self.reads: list[Statement] = [
            store.READ_STATE,
            store.select_commit_at(self._after),
            store.select_head(request.collections, self._after, request.limit),
        ]

    def then(self, rows: list[Rows]) -> Sequence[Statement]:
        """Raises ResetRequired if the cursor cannot be continued."""
        state, tags, head = store.state_of(rows[0][0]), rows[1], rows[2]
        if self._position is not None and (reason := reset_reason(self._position, state, tags)):
            raise ResetRequired(reason=reason)
        if not head:
            return ()
        end = page_end(head, self._request.limit, MAX_PULL_BYTES)
        return (
            store.select_page(self._request.collections, self._after, end),
            store.select_commit_at(end),
        )

    def page(self, rows: list[Rows]) -> "_Page":
        """What was found."""
        state, head = store.state_of(rows[0][0]), rows[2]
        versions: Rows = rows[3] if head else []
        last = versions[-1][0] if versions else state.seq
        if not versions or head[-1][0] <= last:
            return _Page(versions, Position(state.seq, state.epoch, state.tag), has_more=False)
        _, tag = rows[4][0]
        # Who begins at the start has nothing that the purged deletions could be about.
        floor = state.purged_seq if self._position is None else self._position.floor
        return _Page(versions, Position(last, state.epoch, tag, floor), has_more=True)


class _Push:
    """One push being decided: what to read, and the plan. Pure but for the tag drawn at random."""

    def __init__(
        self,
        request: PushRequest,
        settings: Settings,
        reset_position: Position | None,
        now: int,
        recent_deletes: int,
    ) -> None:
        self._request = request
        self._settings = settings
        self._reset_position = reset_position
        self._now = now
        self._recent_deletes = recent_deletes
        self._tag = secrets.token_bytes(TAG_BYTES)
        self._items = store.select_items(change.key for change in request.changes)
        reset_seq = reset_position.seq if reset_position else 0
        self.reads: list[Statement] = [
            store.READ_STATE,
            store.READ_DEVICES,
            store.select_commit_at(reset_seq),
            *(statement for _, statement in self._items),
        ]

    def plan(self, rows: list[Rows]) -> Plan[_Pushed]:
        state = store.state_of(rows[0][0])
        account = self._account(rows[1], state)
        reset = self._reset(state, rows[2])
        items = store.items_of(
            (collection, found)
            for (collection, _), found in zip(self._items, rows[3:], strict=True)
        )
        plan = plan_push(account, items, self._request.changes, now=self._now, reset=reset)
        if self._request.atomic and plan.failures:
            shown = _shown(plan.failures, plan.stored)
            position = Position(state.seq, state.epoch, state.tag)
            return Plan(shown, _Pushed(plan.failures, position, 0, aborted=True))
        totals = plan.totals()
        self._check_storage(totals, state, min(created_at for _, created_at in rows[1]))
        self._check_deletes(totals, state)
        return self._written(plan, totals, state)

    def _written(self, plan: PushPlan, totals: Totals, state: State) -> Plan[_Pushed]:
        shown = _shown(plan.results, plan.remaining)
        if not plan.after:
            position = Position(state.seq, state.epoch, state.tag)
            return Plan(shown, _Pushed(plan.results, position, 0))
        writes = store.write_items(plan, totals, state, self._tag)
        position = Position(state.seq + len(plan.after), state.epoch, self._tag)
        pushed = _Pushed(plan.results, position, len(writes), totals.deletes)
        return Plan([*writes, *shown], pushed)

    def _account(self, devices: Rows, state: State) -> Account:
        return Account(
            devices=frozenset(row[0] for row in devices),
            key_epoch=state.key_epoch,
            max_item_bytes=self._settings.max_item_bytes,
        )

    def _reset(self, state: State, tags: Rows) -> Reset | None:
        if not self._request.is_reset:
            return None
        if self._reset_position is None:
            return Reset(everywhere=False)
        if reset_reason(self._reset_position, state, tags) is None:
            raise ResetNotNeeded
        return Reset(everywhere=True)

    def _check_storage(self, totals: Totals, state: State, created_at: int) -> None:
        limit = storage_limit(self._settings, created_at, self._now)
        if totals.used_bytes > 0 and state.used_bytes + totals.used_bytes > limit:
            raise QuotaExceeded(used=state.used_bytes, limit=limit)
        most = versions_limit(limit)
        if totals.versions > 0 and state.versions + totals.versions > most:
            raise TooManyStoredVersions(used=state.versions, limit=most)

    def _check_deletes(self, totals: Totals, state: State) -> None:
        """What was deleted lately counts as if it were in this push."""
        if not totals.deletes:
            return
        live = sum(state.live.values())
        lately = self._recent_deletes + totals.deletes
        is_massive = lately > FREE_DELETES and 2 * lately > live + self._recent_deletes
        if is_massive and self._request.confirm_deletes != totals.deletes:
            raise MassDelete(deletes=totals.deletes, live=live)


def reset_reason(position: Position, state: State, tags: Rows) -> str | None:
    """Why a cursor cannot be continued, if it cannot; `tags` begins with the commit that holds
    the cursor's place, or the first one after it of which anything is kept."""
    if position.epoch != state.epoch:
        return "epoch_changed"
    if position.seq > state.seq:
        return "cursor_ahead"
    if position.seq and (not tags or tags[0][1] != position.tag):
        return "cursor_expired" if position.seq < state.kept_from else "epoch_changed"
    if max(position.seq, position.floor) < state.purged_seq:
        return "cursor_expired"
    return None


def _shown(results: Sequence[Result], items: Items) -> list[Statement]:
    """Reads the items whose versions the answer shows, as far as they fit; the rest is null."""
    room = MAX_PULL_BYTES
    keys: dict[ItemKey, None] = {}
    for result in results:
        if not result.shows_versions or result.change.key in keys:
            continue
        key = result.change.key
        room -= sum(version.size for version in items.get(key, ()))
        if room < 0:
            break
        keys[key] = None
    return store.select_contents(keys)


def _log(results: Sequence[Result]) -> None:
    verdicts = [result.verdict for result in results]
    events.push_accepted(
        changes=len(results),
        applied=verdicts.count("applied"),
        conflicts=verdicts.count("conflict"),
    )
