"""The fetching half of sync (spec/protocol.md, Pull and reset).

A page and the cursor behind it are stored together: a killed process asks for the page again
or for the next one, never for anything else. A push's cursor is not a pull cursor and is
never kept.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator

from ._answers import Answer
from ._calls import Call
from ._canonical import is_id
from ._errors import AnswerInvalid, Refused
from ._limits import fetched, known_limits, learn_limits
from ._payload import edited_at
from ._push import Progress, Steps
from ._report import SyncReport
from ._vault import Vault
from ._versions import COLLECTIONS, ItemKey, Kind, Version
from ._view import Applied

RECHECK = "recheck"
_RESETS = ("epoch_changed", "cursor_expired", "cursor_ahead")
_MAX_RESETS = 3
# A server that forgot an account must not make the client forget it too. "Expired" is not
# believed beyond this many items *and* half of all, nor by a device that by its own clock was
# here less than the 90 days ago for which every server keeps deletions.
_MAX_UNDOUBTED_DROPS = 100
KEPT_SECONDS = 90 * 86_400


class Pull:
    def __init__(
        self,
        vault: Vault,
        report: SyncReport,
        applied: Applied,
        *,
        progress: Progress,
        now: Callable[[], float],
    ) -> None:
        self._vault = vault
        self._store = vault.store
        self._report = report
        self._applied = applied
        self._progress = progress
        self._now = now
        self._has_asked_limits = False
        self._resets = 0

    def run(self) -> Steps:
        """Everything the server has is in the view, set aside, or known to be older."""
        more = True
        while more:
            cursor = self._store.meta("cursor")
            answer = yield from self._ask(cursor)
            more = answer is None or self._take_page(cursor, answer)

    def begin_recheck(self) -> None:
        """The next `run` asks from the start, to see what the server truly holds."""
        self._begin(RECHECK, None)

    def _ask(self, cursor: bytes | None) -> Generator[Call, Answer, Answer | None]:
        """The page behind `cursor`, or None when it has to be asked for in another way."""
        params: dict[str, str | int] = {"limit": known_limits(self._store).max_pull_limit}
        if cursor is not None:
            params["cursor"] = cursor.decode()
        try:
            return (yield Call("GET", "/sync/pull", params=params))
        except Refused as refusal:
            if _may_be_a_limit(refusal) and not self._has_asked_limits:
                # It takes less at once than it used to.
                self._has_asked_limits = True
                yield from learn_limits(self._store)
                return None
            if cursor is None or self._resets == _MAX_RESETS:
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
        self._resets += 1
        with self._store.transaction():
            self._store.doubt_held()
            self._store.set_meta("reset", reason.encode())
            if cursor is not None:
                self._store.set_meta("reset_from", cursor)
            self._store.set_meta("cursor", None)

    def _take_page(self, asked: bytes | None, answer: Answer) -> bool:
        """Whether there is more to fetch."""
        changes = list(answer.objects("changes"))
        cursor, more = answer.text("cursor").encode(), answer.flag("has_more")
        if more and (not changes or cursor == asked):
            raise AnswerInvalid("the server promises more but gives nothing")
        with self._store.transaction():
            if self._store.meta("cursor") != asked:
                # Another process of this device went on, or began anew. To store this page's
                # cursor could skip what that one still has to ask for.
                return True
            for _ in take_in(self._vault, answer, self._applied, self._now()):
                pass
            self._store.set_meta("cursor", cursor)
            come = fetched(self._store, len(changes), from_start=asked is None, more=more)
            if not more:
                self._finish_reset()
        self._report.pulled += len(changes)
        if changes:
            self._progress("pull", *(come or (self._report.pulled, self._report.pulled + more)))
        return more

    # -- after a pull from the start

    def _finish_reset(self) -> None:
        reason = (self._store.meta("reset") or b"").decode()
        if not reason:
            return
        if reason == "cursor_expired" and self._may_drop():
            # Synced, not edited since, and gone from the server: deleted elsewhere long ago.
            self._report.dropped += self._store.drop_lost()
            self._store.set_meta("reset_from", None)
        elif reason == RECHECK:
            self._store.enqueue_lacking(Kind.ABSENT, whole_items=True)
        else:
            self._store.enqueue_lacking(Kind.RESET, whole_items=False)
        self._store.set_meta("reset", None)
        self._report.reset = self._report.reset or reason

    def _may_drop(self) -> bool:
        synced_at = int(self._store.meta("synced_at") or self._now())
        if self._now() - synced_at < KEPT_SECONDS:
            return False
        gone = self._store.count_lost()
        live = sum(self._store.count_items(collection) for collection in COLLECTIONS)
        return gone <= _MAX_UNDOUBTED_DROPS or gone * 2 <= live


def take_in(vault: Vault, answer: Answer, applied: Applied, now: float) -> Iterator[list[Version]]:
    """Each item of a page, once its versions are in the view or set aside."""
    for change in answer.objects("changes"):
        key = _key(change)
        versions = [Version.read(key, one) for one in change.objects("versions")]
        vault.apply(key, versions, applied)
        _forget_as_the_server_did(vault, key, versions, now)
        yield versions


def is_old_deletion(vault: Vault, version: Version, now: float) -> bool:
    """Whether every server may have forgotten it: its own words say when it was made."""
    if not version.is_deleted:
        return False
    return now - edited_at(vault.open(version).payload) >= KEPT_SECONDS


def _forget_as_the_server_did(vault: Vault, key: ItemKey, shown: list[Version], now: float) -> None:
    """An old deletion goes that outlived nothing: an edit that had not seen it is there alone.

    The server would refuse every further edit that claims to have seen both.
    """
    for one in vault.store.versions_of(key):
        if one.held and one.version not in shown and is_old_deletion(vault, one.version, now):
            vault.store.drop(one.version)


def _may_be_a_limit(refusal: Refused) -> bool:
    return refusal.status == 422 and refusal.code != "cursor_invalid"


def _key(change: Answer) -> ItemKey:
    collection, item_id = change.text("collection"), change.text("id")
    if collection not in COLLECTIONS or not is_id(item_id):
        raise AnswerInvalid("the server's answer names no item")
    return ItemKey(collection, item_id)
