"""Comparing and mending stores: digests of collections, and pulls of one bucket.

Both look at every version of a collection. That is done in short pieces with the event loop's turn
between them, one request at a time, and what was found is kept until the account changes.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import orjson

from app.auth.admission import AdmittedDatabase
from app.clock import Clock
from app.database.port import Rows, Statement
from app.limits import MAX_PULL_BYTES, MAX_VERSIONS
from app.sync import digest_store, render, store
from app.sync.cursor import Position, open_cursor, seal
from app.sync.digest import Digest, HashedVersion
from app.sync.digest_store import Sized
from app.sync.errors import ResetRequired
from app.sync.page import page_end
from app.sync.service import reset_reason
from app.sync.store import State
from app.sync.versions import Collection

PIECE = 200
"""Versions hashed in one unit of work: two or three milliseconds."""
WALK = 1000
"""Versions of which only the bucket is looked at in one: the same."""
MAX_KEPT = 64
KEPT_SECONDS = 3600
"""A digest is taken anew now and then even if nothing was pushed: it is there to find what was
lost without anybody noticing."""
_TRIES = 2

_Content: TypeAlias = tuple[bytes, int]
"""What changes whenever a version does: a push draws a new tag, a purge takes bytes away."""


@dataclass(frozen=True, slots=True)
class BucketRequest:
    """A page of one bucket: of what, from where, how much."""

    collection: Collection
    bucket: int
    cursor: str | None
    limit: int


@dataclass(frozen=True, slots=True)
class _Found:
    """A digest, ready to be sent, and what it is the digest of."""

    content: _Content
    position: Position
    buckets: bytes
    found_at: int


class _Moved(Exception):
    """The account changed while it was looked at."""


class Digests:
    """Digests of all accounts. Belongs to one event loop."""

    def __init__(self, cursor_keys: tuple[bytes, ...], clock: Clock) -> None:
        self._cursor_keys = cursor_keys
        self._clock = clock
        self._turn = asyncio.Semaphore(1)
        self._kept: OrderedDict[tuple[str, Collection], _Found] = OrderedDict()

    async def digest(self, db: AdmittedDatabase, collection: Collection) -> bytes:
        """Counts and sums of a collection as it is, or just was."""
        found = await self._known(db, collection)
        if found is None:
            async with self._turn:
                found = await self._known(db, collection) or await self._summed(db, collection)
            self._keep((db.user_id, collection), found)
        cursor = seal(self._cursor_keys[0], db.user_id, found.position)
        shown = {
            "collection": collection,
            "buckets": orjson.Fragment(found.buckets),
            "cursor": cursor,
            "server_time": int(self._clock()),
        }
        return orjson.dumps(shown)

    async def pull(self, db: AdmittedDatabase, request: BucketRequest) -> bytes:
        """The next page of a bucket's items. Raises CursorInvalid or ResetRequired."""
        position = None
        if request.cursor is not None:
            position = open_cursor(self._cursor_keys, db.user_id, request.cursor)
        async with self._turn:
            head, state, is_all = await self._head(db, request, position)
        end = page_end([each[:2] for each in head], request.limit, MAX_PULL_BYTES) if head else 0
        chosen = [item_id for seq, _, item_id in head if seq <= end]
        has_more = not is_all or len(chosen) < len(head)
        last = end if has_more else state.seq
        contents = store.select_contents((request.collection, each) for each in chosen)
        rows = await db.read([store.select_commit_at(last), *contents])
        tag = rows[0][0][1] if rows[0] else b""
        floor = state.purged_seq if position is None else position.floor
        place = Position(last, state.epoch, tag, floor)
        cursor = seal(self._cursor_keys[0], db.user_id, place)
        versions = rows[1] if contents else []
        return render.page(versions, cursor, has_more=has_more, now=int(self._clock()))

    async def _head(
        self, db: AdmittedDatabase, request: BucketRequest, position: Position | None
    ) -> tuple[list[Sized], State, bool]:
        """The bucket's next versions, enough for a page, and whether these are all."""
        after = position.seq if position else 0
        head: list[Sized] = []

        def check(rows: list[Rows]) -> Sequence[Statement]:
            state = store.state_of(rows[0][0])
            if position is not None and (reason := reset_reason(position, state, rows[1])):
                raise ResetRequired(reason=reason)
            return ()

        at = store.select_commit_at(after)
        while True:
            piece = digest_store.select_sized(
                request.collection, request.bucket, after, WALK + MAX_VERSIONS
            )
            rows = await db.read([store.READ_STATE, at, piece], then=check)
            state, found = store.state_of(rows[0][0]), _whole(rows[2], WALK + MAX_VERSIONS)
            head += [each for each in found if each[2]]
            is_all = len(found) == len(rows[2])
            if is_all or len(head) >= request.limit + MAX_VERSIONS:
                return head, state, is_all
            after = found[-1][0]

    async def _known(self, db: AdmittedDatabase, collection: Collection) -> _Found | None:
        state = store.state_of((await db.read([store.READ_STATE]))[0][0])
        found = self._kept.get((db.user_id, collection))
        if found is None or found.content != _content(state):
            return None
        return found if int(self._clock()) - found.found_at < KEPT_SECONDS else None

    async def _summed(self, db: AdmittedDatabase, collection: Collection) -> _Found:
        """In pieces; if the account changes all the while, in one."""
        for _ in range(_TRIES):
            try:
                return await self._summed_by(db, collection, PIECE)
            except _Moved:
                continue
        return await self._summed_by(db, collection, None)

    async def _summed_by(
        self, db: AdmittedDatabase, collection: Collection, piece: int | None
    ) -> _Found:
        digest, first, after = Digest(), None, 0
        most = -1 if piece is None else piece + MAX_VERSIONS
        while True:
            reads = [store.READ_STATE, digest_store.select_hashed(collection, after, most)]
            rows = await db.read(reads)
            state: State = store.state_of(rows[0][0])
            first = first or state
            if _content(state) != _content(first):
                raise _Moved
            found: list[HashedVersion] = _whole(rows[1], most)
            for version in found:
                digest.add(version)
            if len(found) == len(rows[1]):
                place = Position(state.seq, state.epoch, state.tag)
                buckets = orjson.dumps(digest.shown())
                return _Found(_content(state), place, buckets, int(self._clock()))
            after = found[-1].seq

    def _keep(self, key: tuple[str, Collection], found: _Found) -> None:
        self._kept[key] = found
        self._kept.move_to_end(key)
        if len(self._kept) > MAX_KEPT:
            self._kept.popitem(last=False)


def _content(state: State) -> _Content:
    return (state.tag, state.used_bytes)


def _whole(rows: Rows, most: int) -> Rows:
    """The rows without those of a last item that may have been cut off; an item's versions share
    a number."""
    if len(rows) < most or most < 0:
        return rows
    last = rows[-1][0]
    return [row for row in rows if row[0] != last]
