"""Streams of events: each device is told that there is something to fetch.

A stream holds which kinds of news it has not told yet, and never the news themselves: however slow
its reader and however much happens, it stays as small as it was. Before anything is told, one look
into the account's database, for all its streams at once, says who may still be told.

There is no task and no timer per stream. A task writes while there is something to write; one round
a second, for all streams, sends what shows that they live and ends those whose time is over.
"""

import asyncio
from collections import deque
from collections.abc import Iterator
from typing import Protocol

from app import events
from app.auth.admission import AdmittedDatabase, Standing
from app.clock import Clock
from app.database.port import StorageError
from app.errors import NotAuthenticated, Overloaded
from app.limits import MAX_STREAMS_OF_DEVICE
from app.signals import Kind, Signals
from app.sync import frames, store
from app.sync.cursor import Position, seal
from app.sync.frames import ByeReason, NewsKind
from app.sync.store import State

COMMENT_SECONDS = 20
ROUND_SECONDS = 1
STUCK_SECONDS = 30.0
STOPPING_SECONDS = 1.0
GATHER_SECONDS = 0.05
"""The first news is told at once, more of it no sooner than so long after the last."""
LOOK_AGAIN_SECONDS = 1.0
RETRY_FULL_SECONDS = 60

_NOTHING: frozenset[NewsKind] = frozenset()
_REASONS: dict[Standing, ByeReason] = {
    "revoked": "revoked",
    "ended": "logout",
    "superseded": "expired",
}


class Line(Protocol):
    """Where a stream is written to."""

    async def write(self, text: bytes) -> None:
        """Returns when there is room for more."""

    async def end(self, text: bytes) -> None:
        """The last that is written."""

    def cut(self) -> None:
        """End now, whatever was not taken."""

    async def closed(self) -> None:
        """Returns when the reader has left, or the end was written."""


class _Stream:
    """What one device is told."""

    __slots__ = ("_bye", "_comments", "_cursor", "_line", "_since", "_task", "_untold", "db", "new")

    def __init__(self, db: AdmittedDatabase, line: Line) -> None:
        self.db = db
        self.new: frozenset[NewsKind] = frozenset({"change"})
        """Kinds that nobody has looked up yet whether it may be told."""
        self._untold = _NOTHING
        self._cursor = ""
        self._comments = False
        self._bye: ByeReason | None = None
        self._line = line
        self._task: asyncio.Task[None] | None = None
        self._since = 0.0

    def take_new(self) -> frozenset[NewsKind]:
        new, self.new = self.new, _NOTHING
        return new

    def tell(self, kinds: frozenset[NewsKind], cursor: str) -> None:
        """It may be told: as soon as its reader takes it, together with what was not taken yet."""
        if kinds and self._bye is None:
            self._untold |= kinds
            self._cursor = cursor
            self._write()

    def comment(self) -> None:
        """A sign of life, unless something is being written anyway."""
        if self._task is None and self._bye is None:
            self._comments = True
            self._write()

    def end(self, reason: ByeReason) -> None:
        """Nothing more is told but why; again changes nothing."""
        if self._bye is None:
            self._bye = reason
            self._untold = self.new = _NOTHING
            events.stream_ended(reason=reason)
            self._write()

    @property
    def is_over(self) -> bool:
        return self._bye is not None

    def is_stuck(self, now: float) -> bool:
        """Whether its reader has not taken what was written for too long."""
        patience = STOPPING_SECONDS if self._bye == "shutdown" else STUCK_SECONDS
        return self._task is not None and now - self._since >= patience

    def cut(self) -> None:
        """The reader takes nothing, so nothing can be said to it either."""
        if self._bye is None:
            self._bye = "slow"
            events.stream_ended(reason="slow")
        self._line.cut()

    async def over(self) -> None:
        """Returns when the reader has left or was told the end."""
        await self._line.closed()
        if self._task is not None:
            self._task.cancel()

    def _write(self) -> None:
        if self._task is None:
            self._since = self._time()
            self._task = asyncio.get_running_loop().create_task(self._write_all())

    async def _write_all(self) -> None:
        try:
            while text := self._next():
                self._since = self._time()
                await self._line.write(text)
            if self._bye is not None:
                self._since = self._time()
                await self._line.end(frames.bye(self._bye))
        finally:
            self._task = None

    @staticmethod
    def _time() -> float:
        return asyncio.get_running_loop().time()

    def _next(self) -> bytes:
        if self._untold:
            kinds, self._untold, self._comments = self._untold, _NOTHING, False
            return frames.news(kinds, self._cursor)
        commented, self._comments = self._comments, False
        return frames.COMMENT if commented and self._bye is None else b""


class _Audience:
    """The streams of one account, which are looked up together."""

    __slots__ = ("_is_due", "_key", "_task", "streams", "user_id")

    def __init__(self, user_id: str, key: bytes) -> None:
        self.user_id = user_id
        self.streams: dict[_Stream, None] = {}
        self._key = key
        self._is_due = False
        self._task: asyncio.Task[None] | None = None

    def hear(self, kind: Kind) -> None:
        """See `Listener`."""
        if kind == "change" or kind == "devices" or kind == "entitlements":
            for stream in self.streams:
                stream.new |= {kind}
        self.look()

    def stop(self) -> None:
        """See `Listener`."""
        for stream in self.streams:
            stream.end("shutdown")

    def of_device(self, device_id: str) -> list[_Stream]:
        """Those that go on, oldest first."""
        own = (stream for stream in self.streams if stream.db.device_id == device_id)
        return [stream for stream in own if not stream.is_over]

    def look(self) -> None:
        """Soon everybody is told what is new, and whoever may not be told any more is sent away."""
        self._is_due = True
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._look_while_due())

    async def _look_while_due(self) -> None:
        try:
            while self._is_due and self.streams:
                self._is_due = False
                await asyncio.sleep(await self._look())
        finally:
            self._task = None

    async def _look(self) -> float:
        """Seconds until the next look may be."""
        taken = {stream: stream.take_new() for stream in self.streams}
        asked = [stream.db for stream in taken]
        try:
            standings, rows = await asked[0].look(asked, [store.READ_STATE])
        except StorageError:
            for stream, kinds in taken.items():
                stream.new |= kinds
            self._is_due = True
            return LOOK_AGAIN_SECONDS
        cursor = self._cursor(store.state_of(rows[0][0])) if rows else ""
        for (stream, kinds), standing in zip(taken.items(), standings, strict=True):
            if standing == "good":
                stream.tell(kinds, cursor)
            else:
                stream.end(_REASONS[standing])
        return GATHER_SECONDS

    def _cursor(self, state: State) -> str:
        return seal(self._key, self.user_id, Position(state.seq, state.epoch, state.tag))


class Live:
    """Every stream of this server, at most `most`."""

    def __init__(self, signals: Signals, cursor_key: bytes, clock: Clock, most: int) -> None:
        self._signals = signals
        self._cursor_key = cursor_key
        self._clock = clock
        self._most = most
        self._audiences: dict[str, _Audience] = {}
        # One part after another is due, so that no round has much to do.
        self._parts: deque[set[_Stream]] = deque(
            set() for _ in range(COMMENT_SECONDS // ROUND_SECONDS)
        )

    def __len__(self) -> int:
        return sum(map(len, self._parts))

    def check(self, db: AdmittedDatabase) -> None:
        """Raises NotAuthenticated for a token whose time is over, though other calls still take it:
        the stream would be over as well. Raises Overloaded if there are as many streams as there
        may be: asking with `wait` does as well."""
        if db.expires_at <= self._clock():
            raise NotAuthenticated
        if len(self) >= self._most:
            raise Overloaded(retry_after=RETRY_FULL_SECONDS)

    async def stay(self, db: AdmittedDatabase, line: Line) -> None:
        """The device is told what happens in its account, beginning with where it stands now, until
        it leaves or is sent away. Its oldest stream goes if it has too many."""
        stream = _Stream(db, line)
        audience = self._audience(db.user_id)
        own = audience.of_device(db.device_id)
        if len(own) >= MAX_STREAMS_OF_DEVICE:
            own[0].end("slow")
        part = min(self._parts, key=len)
        part.add(stream)
        audience.streams[stream] = None
        try:
            self._signals.listen(audience, db.user_id)
            audience.look()
            await stream.over()
        finally:
            part.discard(stream)
            del audience.streams[stream]
            if not audience.streams:
                self._signals.leave(audience, db.user_id)
                self._audiences.pop(db.user_id, None)

    async def go_round(self) -> None:
        """Once a second: who is due gets a sign of life; who has no valid token any more, or reads
        no more, is sent away."""
        for stream in self._parts[0]:
            stream.comment()
        self._parts.rotate(-1)
        wall, now = self._clock(), asyncio.get_running_loop().time()
        for stream in self._all():
            if stream.db.expires_at <= wall:
                stream.end("expired")
            if stream.is_stuck(now):
                stream.cut()

    def _all(self) -> Iterator[_Stream]:
        return (stream for part in self._parts for stream in part)

    def _audience(self, user_id: str) -> _Audience:
        return self._audiences.setdefault(user_id, _Audience(user_id, self._cursor_key))
