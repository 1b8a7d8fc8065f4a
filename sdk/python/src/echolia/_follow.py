"""Following the account: fetch when the server says that there is something.

What a stream says is a hint. The pull is the truth, so whatever a stream claims, forgets or repeats
costs at most a pull more or a pull later.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from ._calls import Call
from ._errors import AnswerInvalid, NotAuthenticated, Offline, RateLimited, Refused
from ._frames import Event, EventReader
from ._pace import Pace
from ._patience import OnWait
from ._report import SyncReport
from ._store import Store

if TYPE_CHECKING:
    from ._driver import Driver
    from ._home import Options

UpdateKind: TypeAlias = Literal["items", "devices", "entitlements"]

SILENCE_SECONDS = 45.0
"""The server shows a sign of life every 20; without one for so long, the stream is dead."""
POLLING_SECONDS = 600.0
"""How long a way that cannot stream is polled before streaming is tried again."""
WAIT_SECONDS = 25
CALM_SECONDS = 900.0
"""After so long without a sync there is one anyway: hints get lost, and merges fall due."""
_MOST_SHORT = 3
_SHORT_SECONDS = 5.0
_HELD_SECONDS = 1.0
_STREAM = Call("GET", "/sync/events")
_EVENT_STREAM = "text/event-stream"


@dataclass(frozen=True, slots=True)
class Update:
    """Something happened in the account. With `items`, what the sync came to that it led to."""

    kind: UpdateKind
    report: SyncReport | None = None


class _CannotStream(Exception):
    """What is between this device and the server, or the server itself, lets no stream through."""


class Follower:
    """One device that stays up to date. `sync` is the client's own; `driver` gives the connection
    of the moment, for a sync may begin anew with another."""

    def __init__(
        self,
        store: Store,
        driver: Callable[[], Driver],
        sync: Callable[[], SyncReport],
        *,
        on_wait: OnWait,
        pace: Pace | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._store = store
        self._driver = driver
        self._sync = sync
        self._on_wait = on_wait
        self._pace = pace or Pace()
        self._clock = clock
        self._sleep = sleep
        self._synced_at: float | None = None
        self._left = 0
        self._short = 0

    def updates(self) -> Iterator[Update]:
        """Without end; the first says how the sync went that it begins with. Raises what syncing
        raises, but not for a server that is away or busy: that is waited for."""
        way = self._streamed
        while True:
            try:
                if self._synced_at is None:
                    yield self._synced()
                self._pause((yield from way()), "reconnecting")
                way = self._streamed
            except RateLimited as limited:
                self._pause(self._pace.after_failure(limited.retry_after), limited.code)
            except Offline:
                self._pause(self._pace.after_failure(), "offline")
            except _CannotStream:
                way = self._polled

    # -- two ways to hear of news; each returns the seconds to wait before the next

    def _streamed(self) -> Generator[Update, None, float]:
        opened_at: float | None = None
        has_spoken, bye = False, None
        reader = EventReader()
        try:
            with ExitStack() as stack:
                parts = self._opened(stack)
                opened_at = self._clock()
                for part in parts:
                    has_spoken = True
                    bye = yield from self._told(reader.feed(part))
                    if bye is not None:
                        break
        except Offline:
            if opened_at is not None and not has_spoken:
                raise _CannotStream from None  # somebody keeps what the server says to himself
            self._note(opened_at)
            raise
        if bye is None:
            self._note(opened_at)
            raise Offline("the stream ended without a word")
        self._short = 0
        self._pace.held(self._lasted(opened_at))
        return self._pace.after_bye(bye)

    def _polled(self) -> Generator[Update, None, float]:
        end = self._clock() + POLLING_SECONDS
        while (began := self._clock()) < end:
            if self._has_news() or self._is_due():
                yield self._synced()
            elif self._lasted(began) < _HELD_SECONDS:  # it does not wait, whatever it was asked
                self._pause(self._pace.after_failure(), "reconnecting")
            else:
                self._pace.held(self._lasted(began))
        return 0.0

    def _opened(self, stack: ExitStack) -> Iterator[bytes]:
        try:
            return stack.enter_context(
                self._driver().stream(
                    _STREAM, media_type=_EVENT_STREAM, silence_seconds=SILENCE_SECONDS
                )
            )
        except (NotAuthenticated, RateLimited):
            raise
        except (Refused, AnswerInvalid):
            raise _CannotStream from None  # a server that knows no such call, or a page of a proxy

    def _told(self, events: Iterator[Event]) -> Generator[Update, None, str | None]:
        """Acts on events that came together; the reason, if the server says goodbye."""
        is_new, bye = False, None
        others: list[Update] = []
        for event in events:
            if event.name == "change":
                is_new = is_new or not self._is_known(event)
            elif event.name == "devices":
                others.append(Update("devices"))
            elif event.name == "entitlements":
                others.append(Update("entitlements"))
            elif event.name == "bye":
                bye = str(event.data.fields.get("reason"))
        if is_new or self._is_due():
            yield self._synced()
        yield from others
        return bye

    def _has_news(self) -> bool:
        cursor = self._store.meta("cursor")
        params: dict[str, str | int] = {"limit": 1, "wait": WAIT_SECONDS}
        if cursor is not None:
            params["cursor"] = cursor.decode()
        try:
            answer = self._driver().send(Call("GET", "/sync/pull", params=params))
        except Refused as refusal:
            if refusal.code in ("reset_required", "cursor_invalid"):
                return True  # the sync knows what to do
            raise
        return any(True for _ in answer.objects("changes"))

    # -- when to sync

    def _synced(self) -> Update:
        report = self._sync()
        self._synced_at, self._left = self._clock(), report.pending
        return Update("items", report)

    def _is_known(self, event: Event) -> bool:
        """Whether this device has pulled just that far: most often what it hears of is what it
        pushed itself."""
        known = self._store.meta("cursor")
        return known is not None and event.data.fields.get("cursor") == known.decode()

    def _is_due(self) -> bool:
        """Whether something was written here meanwhile, or nothing was heard of for long."""
        if self._store.count_queued() > self._left:
            return True
        return self._synced_at is None or self._lasted(self._synced_at) >= CALM_SECONDS

    # -- time

    def _note(self, opened_at: float | None) -> None:
        """A stream broke. Raises _CannotStream if they all do so soon after they began."""
        if opened_at is None:
            return
        self._pace.held(self._lasted(opened_at))
        self._short = self._short + 1 if self._lasted(opened_at) < _SHORT_SECONDS else 0
        if self._short >= _MOST_SHORT:
            self._short = 0
            raise _CannotStream

    def _lasted(self, since: float | None) -> float:
        return 0.0 if since is None else self._clock() - since

    def _pause(self, seconds: float, why: str) -> None:
        if seconds:
            self._on_wait(seconds, why)
            self._sleep(seconds)


class FollowCalls:
    """The part of a client that stays up to date by itself."""

    _options: Options
    _store: Store

    if TYPE_CHECKING:

        @property
        def _driver(self) -> Driver: ...

        def sync(self) -> SyncReport: ...

    def follow(self) -> Iterator[Update]:
        """Syncs now and whenever the account's other devices have something new, until whoever
        iterates stops. Blocks in between; a thread that follows has a client of its own on the
        same folder.

        What this folder's other clients write goes out within half a minute. A server that is away
        or busy is waited for (`Options.on_wait` is told); whatever else `sync` raises ends it.
        """
        follower = Follower(
            self._store, lambda: self._driver, self.sync, on_wait=self._options.on_wait
        )
        return follower.updates()
