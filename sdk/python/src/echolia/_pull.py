"""The fetching half of sync (spec/protocol.md, Pull and reset).

A page and the cursor behind it are stored together: a killed process asks for the page again
or for the next one, never for anything else. A push's cursor is not a pull cursor and is
never kept.
"""

from __future__ import annotations

from collections.abc import Generator

from ._answers import Answer
from ._calls import Call
from ._canonical import is_id
from ._errors import AnswerInvalid, Refused
from ._push import Limits, Progress, Steps
from ._report import SyncReport
from ._vault import Vault
from ._versions import COLLECTIONS, ItemKey, Kind, Version
from ._view import Applied

RECHECK = "recheck"
_RESETS = ("epoch_changed", "cursor_expired", "cursor_ahead")
# A server that forgot an account must not make the client forget it too: beyond this many
# items *and* half of all, "expired" is not believed.
_MAX_UNDOUBTED_DROPS = 100


class Pull:
    def __init__(
        self, vault: Vault, report: SyncReport, applied: Applied, *, progress: Progress
    ) -> None:
        self._vault = vault
        self._store = vault.store
        self._report = report
        self._applied = applied
        self._progress = progress
        self._limit = Limits.load(self._store.meta("limits")).max_pull_limit

    def run(self) -> Steps:
        """Everything the server has is in the view, set aside, or known to be older."""
        while True:
            answer = yield from self._ask()
            if answer is not None and not self._take_page(answer):
                break
        self._finish_reset()

    def begin_recheck(self) -> None:
        """The next `run` asks from the start, to see what the server truly holds."""
        self._begin(RECHECK, None)

    def _ask(self) -> Generator[Call, Answer, Answer | None]:
        """One page, or None when the server wants the client to begin anew."""
        cursor = self._store.meta("cursor")
        params: dict[str, str | int] = {"limit": self._limit}
        if cursor is not None:
            params["cursor"] = cursor.decode()
        try:
            return (yield Call("GET", "/sync/pull", params=params))
        except Refused as refusal:
            if cursor is None:
                raise
            if refusal.code == "reset_required":
                reason = str(refusal.extras.get("reason"))
                self._begin(reason if reason in _RESETS else "epoch_changed", cursor)
                return None
            if refusal.code == "cursor_invalid":
                # The server no longer knows its own cursor, so it takes none as reset_from.
                self._begin(RECHECK, None)
                return None
            raise

    def _begin(self, reason: str, cursor: bytes | None) -> None:
        with self._store.transaction():
            self._store.doubt_held()
            self._store.set_meta("reset", reason.encode())
            if cursor is not None:
                self._store.set_meta("reset_from", cursor)
            self._store.set_meta("cursor", None)

    def _take_page(self, answer: Answer) -> bool:
        """Whether there is more to fetch."""
        changes = list(answer.objects("changes"))
        cursor, more = answer.text("cursor").encode(), answer.flag("has_more")
        if more and (not changes or cursor == self._store.meta("cursor")):
            raise AnswerInvalid("the server promises more but gives nothing")
        with self._store.transaction():
            for change in changes:
                key = _key(change)
                versions = [Version.read(key, one) for one in change.objects("versions")]
                self._vault.apply(key, versions, self._applied)
            self._store.set_meta("cursor", cursor)
        self._report.pulled += len(changes)
        if changes:
            self._progress("pull", self._report.pulled, self._report.pulled + int(more))
        return more

    # -- after a pull from the start

    def _finish_reset(self) -> None:
        reason = (self._store.meta("reset") or b"").decode()
        if not reason:
            return
        with self._store.transaction():
            if reason == "cursor_expired" and self._may_drop():
                self._drop_lacking()
            elif reason == RECHECK:
                self._offer_absent()
            else:
                self._offer_lacking()
            self._store.set_meta("reset", None)
        self._report.reset = reason

    def _may_drop(self) -> bool:
        gone = sum(1 for version, was_held in self._store.lacking() if was_held)
        live = sum(self._store.count_items(collection) for collection in COLLECTIONS)
        return gone <= _MAX_UNDOUBTED_DROPS or gone * 2 <= live

    def _drop_lacking(self) -> None:
        """Synced, not edited since, and gone from the server: deleted elsewhere long ago."""
        for version, was_held in self._store.lacking():
            if was_held:
                self._store.drop(version)
                self._report.dropped += 1
        self._store.set_meta("reset_from", None)

    def _offer_lacking(self) -> None:
        for version, _ in self._store.lacking():
            self._store.enqueue(version, Kind.RESET)

    def _offer_absent(self) -> None:
        for version, _ in self._store.lacking():
            stored = self._store.versions_of(version.key)
            if not any(one.held for one in stored):
                self._store.enqueue(version, Kind.ABSENT)


def _key(change: Answer) -> ItemKey:
    collection, item_id = change.text("collection"), change.text("id")
    if collection not in COLLECTIONS or not is_id(item_id):
        raise AnswerInvalid("the server's answer names no item")
    return ItemKey(collection, item_id)
