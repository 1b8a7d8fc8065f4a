"""The time that requests take: how long one may read, and how long it may work.

A deadline answers, and cancels nothing: what a request has begun ends by itself, so no write is
ever cut in two. Time spent waiting for news is nobody's fault and is not counted.

There is no timer and no task per request: one timer for all looks at them twice a second.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Literal, TypeAlias

Phase: TypeAlias = Literal["working", "reading", "resting"]

WORK_SECONDS = 10.0
BODY_SECONDS = 30.0
BODY_BYTES_PER_SECOND = 16 * 1024
"""Each so many bytes that come earn one second more."""
BODY_MOST_SECONDS = 120.0
LOOK_SECONDS = 0.5


def body_seconds(received: int) -> float:
    """How long a body may take, of which so many bytes are here."""
    return min(BODY_MOST_SECONDS, BODY_SECONDS + received / BODY_BYTES_PER_SECOND)


class Work:
    """One request, from its head to the beginning of its answer."""

    __slots__ = ("_all", "_began", "_received", "due", "on_late", "phase")

    def __init__(self, every: "AtWork", on_late: Callable[[Phase], None]) -> None:
        self._all = every
        self.on_late = on_late
        self.phase: Phase = "working"
        self.due = every.time() + WORK_SECONDS

    def end(self) -> None:
        """The answer begins, or there will be none: no deadline any more."""
        self._all.discard(self)

    def read(self, size: int) -> None:
        """So many bytes of the body came."""
        self._received += size
        self.due = self._began + body_seconds(self._received)

    def begin_reading(self) -> None:
        """From now on the client's time runs instead of ours."""
        self._began, self._received = self._all.time(), 0
        self._enter("reading", self._began + BODY_SECONDS)

    def end_reading(self) -> None:
        """From now on ours runs again, from the beginning."""
        self._enter("working", self._all.time() + WORK_SECONDS)

    @contextlib.contextmanager
    def resting(self) -> Iterator[None]:
        """Within, no time runs."""
        self._enter("resting", float("inf"))
        try:
            yield
        finally:
            self._enter("working", self._all.time() + WORK_SECONDS)

    def _enter(self, phase: Phase, due: float) -> None:
        self._all.move(self, phase)
        self.due = due


class AtWork:
    """The requests that have not been answered yet. `count` of them are working."""

    def __init__(self) -> None:
        self.count = 0
        self._open: set[Work] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, on_late: Callable[[Phase], None]) -> Work:
        """A request begins. If it is late, `on_late` is told once what it was doing."""
        loop = asyncio.get_running_loop()
        if self._timer is None or self._loop is not loop:
            self._loop = loop
            self._timer = loop.call_later(LOOK_SECONDS, self._look)
        work = Work(self, on_late)
        self._open.add(work)
        self.count += 1
        _current.set(work)
        return work

    def time(self) -> float:
        return self._loop.time() if self._loop is not None else 0.0

    def move(self, work: Work, phase: Phase) -> None:
        """The request does something else now."""
        if work in self._open:
            self.count += (phase == "working") - (work.phase == "working")
        work.phase = phase

    def discard(self, work: Work) -> None:
        """Nothing is asked of this request any more; again changes nothing."""
        if work in self._open:
            self._open.remove(work)
            self.count -= work.phase == "working"

    def _look(self) -> None:
        self._timer = None
        now = self.time()
        for work in [each for each in self._open if each.due <= now]:
            self._tell(work)
        if self._open and self._loop is not None:
            self._timer = self._loop.call_later(LOOK_SECONDS, self._look)

    def _tell(self, work: Work) -> None:
        """It stays among the working while it works, so that those that hang are seen."""
        work.due = float("inf")
        work.on_late(work.phase)


_current: ContextVar[Work | None] = ContextVar("work", default=None)


def current() -> Work | None:
    """The request that this code works for."""
    return _current.get()


@contextlib.contextmanager
def resting() -> Iterator[None]:
    """Within, whoever works here waits for somebody else, and no deadline runs."""
    work = _current.get()
    if work is None:
        yield
        return
    with work.resting():
        yield
