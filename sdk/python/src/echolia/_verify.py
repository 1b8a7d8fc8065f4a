"""Comparing this store with the server's, and mending what differs (spec/protocol.md, 12).

A pull tells what changed. It cannot tell that either side lost something without noticing: a
damaged disk, a store that was put back. The digest can, for little, and only what differs is
fetched. Whatever only one side holds is on both afterwards, but for deletions that the server has
forgotten on purpose.
"""

from __future__ import annotations

from collections.abc import Callable, Generator

from ._answers import Answer
from ._calls import Call
from ._digest import bucket_of, read_sums, sums_of
from ._errors import AnswerInvalid
from ._limits import known_limits
from ._pull import is_old_deletion, take_in
from ._vault import Vault
from ._versions import COLLECTIONS, ItemKey, Kind, Version
from ._view import Applied


class Verify:
    """One comparison of everything. Nothing may wait to be sent when it begins."""

    def __init__(self, vault: Vault, applied: Applied, *, now: Callable[[], float]) -> None:
        self._vault = vault
        self._store = vault.store
        self._applied = applied
        self._now = now
        self.mended = 0

    def run(self) -> Generator[Call, Answer, None]:
        """What the server lacked is in the outbox, what was lacking here is in the view."""
        for collection in COLLECTIONS:
            answer = yield Call("GET", "/sync/digest", params={"collection": collection})
            theirs, ours = read_sums(answer), sums_of(self._store.held(collection))
            for bucket, (their, our) in enumerate(zip(theirs, ours, strict=True)):
                if their != our:
                    yield from self._mend(collection, bucket)

    def _mend(self, collection: str, bucket: int) -> Generator[Call, Answer, None]:
        before = [
            version
            for version in self._store.held(collection)
            if bucket_of(version.key.item_id) == bucket
        ]
        shown = yield from self._pull(collection, bucket)
        with self._store.transaction():
            self.mended += len(shown - set(before))
            for version in before:
                if version not in shown:
                    self._offer(version, {one.key for one in shown})

    def _pull(self, collection: str, bucket: int) -> Generator[Call, Answer, set[Version]]:
        """All that the server holds of the bucket; it is taken in, too."""
        shown: set[Version] = set()
        cursor, more = "", True
        while more:
            params: dict[str, str | int] = {
                "collections": collection,
                "bucket": bucket,
                "limit": known_limits(self._store).max_pull_limit,
            }
            if cursor:
                params["cursor"] = cursor
            answer = yield Call("GET", "/sync/pull", params=params)
            asked, cursor, more = cursor, answer.text("cursor"), answer.flag("has_more")
            if more and cursor == asked:
                raise AnswerInvalid("the server promises more but gives nothing")
            with self._store.transaction():
                for versions in take_in(self._vault, answer, self._applied, self._now()):
                    shown.update(versions)
        return shown

    def _offer(self, version: Version, shown: set[ItemKey]) -> None:
        """The server does not hold what it held: it gets it back, unless it was right to forget."""
        key = version.key
        stored = [one.version for one in self._store.versions_of(key)]
        if version not in stored or self._store.queued_of(key):
            return  # replaced meanwhile
        now = self._now()
        if key not in shown and all(is_old_deletion(self._vault, one, now) for one in stored):
            self._store.drop(version)
            return
        self._store.enqueue(version, Kind.ABSENT)
        self.mended += 1
