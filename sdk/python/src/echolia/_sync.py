"""The sync engine: send, fetch, mend, until nothing is left; without any I/O of its own.

`sync` is a generator of calls. Between any two of them, and within each, the process may be
killed: what was edited is in the outbox, what was fetched is in the view, and the next sync
goes on from there.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from ._calls import Exchange
from ._canonical import sha256
from ._errors import Refused
from ._limits import are_known
from ._pull import Pull
from ._push import Progress, Push, Steps
from ._report import SyncReport
from ._vault import Vault
from ._verify import Verify
from ._versions import ItemKey, Kind, Queued
from ._view import Applied

_MAX_ROUNDS = 8
# Several devices that meet the same conflict must not all merge it at once: their merges
# would be the next conflict.
MERGE_WAIT_SECONDS = (60.0, 900.0)
# Comparing everything costs three small answers and one look at each version held here.
VERIFY_SECONDS = 86_400.0
_NEEDS_RECHECK = ("clock_invalid", "clock_reuse")

_VERIFIED_AT = "verified_at"


def silent(stage: str, done: int, total: int) -> None:
    """Progress for nobody."""


class SyncEngine:
    """Drives one vault against one server. `now` gives Unix seconds and only times merges."""

    def __init__(
        self,
        vault: Vault,
        *,
        merge_wait_seconds: tuple[float, float] | None = MERGE_WAIT_SECONDS,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._vault = vault
        self._store = vault.store
        self._merge_wait = merge_wait_seconds
        self._now = now

    def sync(
        self,
        *,
        confirm_deletes: int | None = None,
        verify: bool = False,
        progress: Progress = silent,
    ) -> Exchange[SyncReport]:
        """Bring both sides together, and compare them as a whole if `verify` asks for it or the
        last time was a day ago. Raises ServerError with nothing lost on either."""
        report, applied = SyncReport(), Applied()
        push = Push(
            self._vault, report, applied, confirm_deletes=confirm_deletes, progress=progress
        )
        pull = Pull(self._vault, report, applied, progress=progress, now=self._now)
        self._vault.retry_aside()
        if self._must_ask_limits():
            yield from push.learn_limits()
        push.prepare()
        if self._store.meta("reset") is None:
            yield from push.run()
        yield from self._rounds(push, pull, report)
        if self._may_verify(push) and (verify or self._is_verify_due()):
            yield from self._verify(report, applied)
            if self._has_more_to_send(push):
                yield from push.run()
                yield from self._rounds(push, pull, report)
        self._close_reset()
        self._summarise(report, applied, push)
        return report

    def _rounds(self, push: Push, pull: Pull, report: SyncReport) -> Steps:
        """Fetch, mend and send until there is nothing more to do."""
        rechecked = False
        for _ in range(_MAX_ROUNDS):
            yield from pull.run()
            if not rechecked and self._needs_recheck():
                rechecked = True
                pull.begin_recheck()
                continue
            self._mend()
            self._merge_what_is_due(report)
            if push.stopped or not self._has_more_to_send(push):
                break
            yield from push.run()

    # -- comparing the whole

    def _may_verify(self, push: Push) -> bool:
        """An edit on its way makes the sides differ as they should."""
        in_reset = self._store.meta("reset") is not None
        return not push.stopped and not in_reset and not self._store.count_queued()

    def _is_verify_due(self) -> bool:
        """A first sync has just fetched everything, so it counts as a comparison."""
        last = self._store.meta(_VERIFIED_AT)
        if last is None:
            self._note_verified()
            return False
        return not 0 <= self._now() - int(last) < VERIFY_SECONDS

    def _verify(self, report: SyncReport, applied: Applied) -> Steps:
        verify = Verify(self._vault, applied, now=self._now)
        try:
            yield from verify.run()
        except Refused as refusal:
            # An older server has no digests; one that purged just now asks for a reset, and gets
            # it from the next pull.
            if refusal.status != 404 and refusal.code != "reset_required":
                raise
            return
        report.verified, report.mended = True, verify.mended
        self._note_verified()

    def _note_verified(self) -> None:
        self._store.set_meta(_VERIFIED_AT, str(int(self._now())).encode())

    def _has_more_to_send(self, push: Push) -> bool:
        return any(position not in push.held for position, _ in self._store.sendable_keys())

    def _must_ask_limits(self) -> bool:
        """Also before a pull from the start: the same answer tells how much there is."""
        known = are_known(self._store) and self._store.meta("cursor") is not None
        return not known or self._store.is_any_blocked("too_large")

    def _needs_recheck(self) -> bool:
        if self._store.meta("reset_from") is not None:
            return False
        return self._store.is_any_blocked(*_NEEDS_RECHECK)

    # -- what the answers asked for, once everything is fetched

    def _mend(self) -> None:
        for queued in self._store.blocked():
            with self._store.transaction():
                self._mend_one(queued)

    def _mend_one(self, queued: Queued) -> None:
        key = queued.version.key
        if not any(one.position == queued.position for one in self._store.queued_of(key)):
            return  # an earlier mend of the same item took it along
        if queued.blocked == "stale":
            self._mend_stale(queued)
        elif queued.blocked in ("clock_reuse", "too_many_versions"):
            self._vault.make_anew(key)
        elif queued.blocked == "clock_invalid":
            self._mend_invalid(queued)

    def _mend_stale(self, queued: Queued) -> None:
        view = self._store.versions_of(queued.version.key)
        if any(one.version.clock.dominates(queued.version.clock) for one in view):
            self._store.dequeue(queued.position)
        else:
            self._store.block(queued.position, None)

    def _mend_invalid(self, queued: Queued) -> None:
        """The server knows less than this clock: offer it as it is once, then as a new edit.

        Where a cursor tells of the loss, that is what excuses the clock. A new edit would no longer
        have seen what the server lost, and what it replaced would come back with another device.
        """
        key = queued.version.key
        if self._store.meta("reset_from") is not None and queued.kind is not Kind.RESET:
            self._store.offer(queued.position)
            return
        held = any(one.held for one in self._store.versions_of(key))
        alone = len(self._store.queued_of(key)) == 1
        if held or not alone or queued.kind in (Kind.ABSENT, Kind.RESET):
            self._vault.make_anew(key, within_held=True)
            return
        self._store.dequeue(queued.position)
        self._store.enqueue(queued.version, Kind.ABSENT)

    def _close_reset(self) -> None:
        if self._store.meta("reset") is None and not self._store.count_kind(Kind.RESET):
            self._store.set_meta("reset_from", None)

    # -- conflicts

    def _merge_what_is_due(self, report: SyncReport) -> None:
        if self._merge_wait is None:
            return
        for key in self._store.sibling_keys():
            if self._is_due(key, self._merge_wait):
                self._vault.merge_siblings(key)
                report.merged += 1

    def _is_due(self, key: ItemKey, wait: tuple[float, float]) -> bool:
        """Whether these very siblings have been waiting for as long as was drawn for them."""
        view = self._vault.view(key)
        if view is None or not view.in_conflict:
            return False
        clocks = sorted(sibling.clock.encode() for sibling in view.siblings)
        siblings = sha256(b"|".join(clocks))
        planned = self._store.merge_due(key)
        if planned is None or planned[0] != siblings:
            due_at = self._now() + random.uniform(*wait)  # noqa: S311 - spreads load, no secret
            self._store.plan_merge(key, siblings, due_at)
            return wait[1] == 0
        # A clock that was far ahead when the wait was drawn must not make it last for years.
        return planned[1] <= self._now() or planned[1] > self._now() + wait[1]

    def _summarise(self, report: SyncReport, applied: Applied, push: Push) -> None:
        report.pending = self._store.count_queued()
        report.pending_deletes = self._store.count_queued_deletes()
        report.held_back = push.held_back()
        report.unopenable = self._store.count_aside()
        report.older_than_known = applied.older
        report.conflicts = sum(
            1
            for key in self._store.sibling_keys()
            if (view := self._vault.view(key)) is not None and view.in_conflict
        )
        self._store.set_meta("synced_at", str(int(self._now())).encode())
