"""The sending half of sync (spec/protocol.md, Push): the outbox, until it is answered."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

from ._answers import Answer
from ._calls import Call
from ._errors import AnswerInvalid, EntitlementRequired, MassDelete, QuotaExceeded, Refused
from ._limits import expect_more, known_limits, learn_limits
from ._report import HeldBack, SyncReport
from ._vault import Vault
from ._versions import ItemKey, Kind, Queued, Version
from ._view import Applied

Steps = Generator[Call, Answer, None]
Progress = Callable[[str, int, int], None]
# What a change weighs beside its payload, rounded up: names, clock and punctuation.
_CHANGE_BYTES = 400
_CLOCK_ENTRY_BYTES = 60


class Push:
    """One sync's worth of sending. Refusals that cannot be mended now are kept for the report."""

    def __init__(
        self,
        vault: Vault,
        report: SyncReport,
        applied: Applied,
        *,
        confirm_deletes: int | None,
        progress: Progress,
    ) -> None:
        self._vault = vault
        self._store = vault.store
        self._report = report
        self._applied = applied
        self._confirmed = confirm_deletes or 0
        self._progress = progress
        self._limits = known_limits(self._store)
        self._most = self._limits.max_push_changes
        self._without_deletes = False
        self._deletes_only = False
        self._held: dict[int, str] = {}
        self.stopped = False

    @property
    def held(self) -> dict[int, str]:
        """Positions that wait for another day, and why."""
        return self._held

    def prepare(self) -> None:
        """Give every refused change another chance, but for those that cannot have changed."""
        with self._store.transaction():
            for queued in self._store.blocked():
                too_large = len(queued.version.envelope) > self._limits.max_item_bytes
                if queued.blocked != "too_large" or not too_large:
                    self._store.block(queued.position, None)

    def run(self) -> Steps:
        """Passes over the outbox until one of them brings nothing to an end."""
        while not self.stopped:
            before = self._store.count_queued()
            yield from self._pass()
            after = self._store.count_queued()
            if after == 0 or after >= before:
                return

    def _pass(self) -> Steps:
        after = 0
        while not self.stopped:
            batch = self._next_batch(after)
            if not batch:
                return
            refused = yield from self._send(batch)
            if not refused:
                after = batch[-1].position

    def _next_batch(self, after: int) -> list[Queued]:
        """What goes into one request: one kind of push, within count and bytes."""
        batch: list[Queued] = []
        weight = _CHANGE_BYTES
        for queued in self._store.sendable(after):
            if queued.position in self._held or self._must_wait(queued):
                continue
            weight += _weight(queued.version)
            if batch and (weight > self._limits.max_push_bytes or len(batch) >= self._most):
                break
            if batch and (queued.kind is Kind.ABSENT) != (batch[0].kind is Kind.ABSENT):
                break
            batch.append(queued)
        return batch

    def _must_wait(self, queued: Queued) -> bool:
        if queued.version.is_deleted and self._without_deletes:
            self._held[queued.position] = "mass_delete"
            return True
        if not queued.version.is_deleted and self._deletes_only:
            self._held[queued.position] = "quota_exceeded"
            return True
        return False

    def _send(
        self, batch: list[Queued], confirmed: int | None = None
    ) -> Generator[Call, Answer, bool]:
        """Whether the batch as a whole was refused, and has to be composed anew."""
        with self._store.transaction():
            if not all(self._store.is_queued(one.position) for one in batch):
                return True  # another process of this device has replaced or sent some of it
            self._store.mark_sent(one.position for one in batch)
        body = self._body(batch, confirmed)
        try:
            answer = yield Call("POST", "/sync/push", body)
        except MassDelete as refusal:
            return (yield from self._on_mass_delete(batch, confirmed, refusal))
        except QuotaExceeded as refusal:
            self._on_quota(batch, refusal)
            return True
        except EntitlementRequired as refusal:
            self._report.entitlement = refusal
            self._hold(batch, refusal.code)
            self.stopped = True
            return True
        except Refused as refusal:
            if refusal.code == "reset_not_needed" and "reset_from" in body:
                self._give_up_reset(batch)
                return True
            return (yield from self._on_refusal(batch, refusal))
        self._confirmed -= confirmed or 0
        self._settle_all(batch, answer)
        self._report.pushed += len(batch)
        self._progress(
            "push", self._report.pushed, self._report.pushed + self._store.count_queued()
        )
        return False

    def _body(self, batch: list[Queued], confirmed: int | None) -> dict[str, Any]:
        reset_from = self._store.meta("reset_from")
        absent = batch[0].kind is Kind.ABSENT
        in_reset = absent or reset_from is not None
        changes = [one.version.as_change(with_author=in_reset) for one in batch]
        body: dict[str, Any] = {"changes": changes}
        if in_reset:
            body["reset_from"] = None if absent or reset_from is None else reset_from.decode()
        if confirmed is not None:
            body["confirm_deletes"] = confirmed
        return body

    def _on_quota(self, batch: list[Queued], refusal: QuotaExceeded) -> None:
        # Deletions and shrinking edits are always taken: find them by sending less at once.
        self._report.quota = refusal
        if len(batch) > 1:
            self._most = len(batch) // 2
            return
        self._hold(batch, refusal.code)
        self._deletes_only = True
        self._most = self._limits.max_push_changes

    def _on_refusal(self, batch: list[Queued], refusal: Refused) -> Generator[Call, Answer, bool]:
        if refusal.status == 408 and len(batch) > 1:
            # The line is too slow for so much at once, and would be so for ever.
            self._most = len(batch) // 2
            return True
        if refusal.status == 413:
            if len(batch) == 1:
                self._store.block(batch[0].position, "too_large")
                return True
            self._most = len(batch) // 2
            yield from self.learn_limits()
            return True
        raise refusal

    def _on_mass_delete(
        self, batch: list[Queued], confirmed: int | None, refusal: MassDelete
    ) -> Generator[Call, Answer, bool]:
        if not any(one.version.is_deleted for one in batch):
            raise refusal  # leaving out deletions would change nothing
        if confirmed is None and 0 < refusal.deletes <= self._confirmed:
            return (yield from self._send(batch, refusal.deletes))
        self._report.mass_delete = refusal
        self._without_deletes = True
        return True

    def learn_limits(self) -> Steps:
        """The server's own numbers are in the store afterwards."""
        self._limits = yield from learn_limits(self._store)
        self._most = min(self._most, self._limits.max_push_changes)

    def _hold(self, batch: list[Queued], code: str) -> None:
        self._held.update({one.position: code for one in batch})

    def _give_up_reset(self, batch: list[Queued]) -> None:
        """The server lost nothing after all: what it lacks goes to it as edits of our own."""
        with self._store.transaction():
            self._store.set_meta("reset_from", None)
            for queued in batch:
                if queued.kind in (Kind.RESET, Kind.ABSENT):
                    self._vault.make_anew(queued.version.key, within_held=True)

    # -- verdicts

    def _settle_all(self, batch: list[Queued], answer: Answer) -> None:
        results = list(answer.objects("results"))
        if len(results) != len(batch):
            raise AnswerInvalid("the server answered another number of changes than it got")
        with self._store.transaction():
            for queued, result in zip(batch, results, strict=True):
                self._settle(queued, result)
            expect_more(self._store, len(batch))

    def _settle(self, queued: Queued, result: Answer) -> None:
        key = queued.version.key
        if (result.text("collection"), result.text("id")) != (key.collection, key.item_id):
            raise AnswerInvalid("the server answered other changes than it got")
        verdict = result.text("verdict")
        if verdict in ("applied", "replayed"):
            self._vault.acknowledge(queued)
        elif verdict == "conflict":
            self._vault.acknowledge(queued)
            self._take_in(key, result)
        elif verdict == "stale":
            self._on_stale(queued, result)
        elif verdict == "rejected":
            self._on_rejected(queued, result.text("code"))
        else:
            raise AnswerInvalid("the server answered an unknown verdict")

    def _take_in(self, key: ItemKey, result: Answer) -> None:
        if result.has("versions"):
            versions = [Version.read(key, one) for one in result.objects("versions")]
            self._vault.apply(key, versions, self._applied)

    def _on_stale(self, queued: Queued, result: Answer) -> None:
        if not result.has("versions"):
            # Too much to show at once; the pull that follows shows what superseded it.
            self._store.block(queued.position, "stale")
            return
        self._take_in(queued.version.key, result)
        # Unless a copy of this store wrote them, the versions that supersede this one have
        # seen it, so it had arrived earlier and only the answer was lost.
        self._store.dequeue(queued.position)

    def _on_rejected(self, queued: Queued, code: str) -> None:
        if code == "stale_key_epoch" and queued.version.key_epoch < self._vault.newest_epoch:
            self._vault.make_anew(queued.version.key)
            return
        newest = self._store.queued_of(queued.version.key)[-1:]
        if code == "too_large" and newest and newest[0].position != queued.position:
            # Nobody holds it, and a later edit has taken its place: that one may go now.
            self._store.dequeue(queued.position)
            return
        self._store.block(queued.position, code)

    def held_back(self) -> list[HeldBack]:
        """Everything still in the outbox with a reason, in order."""
        blocked = [HeldBack(one.version.key, one.blocked or "") for one in self._store.blocked()]
        waiting = [
            HeldBack(key, self._held[position])
            for position, key in (self._store.sendable_keys() if self._held else ())
            if position in self._held
        ]
        return blocked + waiting


def _weight(version: Version) -> int:
    encoded = (len(version.envelope) + 2) // 3 * 4
    return encoded + _CHANGE_BYTES + _CLOCK_ENTRY_BYTES * len(version.clock.entries)
