"""Which files are open: at most a set number, the least recently used closed first.

A file that is at work is not closed under it, and whoever needs room waits in turn. So a burst of
more users than may be open is served one opening per user, instead of everybody closing what
somebody else has just opened. Belongs to one event loop.
"""

import asyncio
import contextlib
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Generic, Protocol, TypeVar

from app import events


class _Closable(Protocol):
    def close(self) -> Awaitable[None]: ...


File = TypeVar("File", bound=_Closable)
Result = TypeVar("Result")


class _Held(Generic[File]):
    """One file: waiting for room, being opened, open, or on its way out."""

    def __init__(self, key: str, file: File) -> None:
        self.key = key
        self.file = file
        self.opening: asyncio.Future[None]
        self.borrowers = 0
        self.has_room = False
        self.is_open = False
        self.is_leaving = False
        self.closing: asyncio.Task[None] | None = None
        self.gone = asyncio.Event()
        self.last_used = time.monotonic()


class OpenFiles(Generic[File]):
    """At most `most` files open. `make` gives a file that is not open yet, `start` opens it."""

    def __init__(
        self,
        most: int,
        make: Callable[[str], File],
        start: Callable[[str, File], Awaitable[None]],
    ) -> None:
        self._most = most
        self._make = make
        self._start = start
        self._room = asyncio.Semaphore(most)
        self._used = 0
        self._waiting = 0
        self._held: OrderedDict[str, _Held[File]] = OrderedDict()
        self._leaving: set[_Held[File]] = set()

    @property
    def count(self) -> int:
        """Files that are open, being opened or being closed now; never more than `most`."""
        return self._used

    async def run(self, key: str, work: Callable[[File], Awaitable[Result]]) -> Result:
        """Do `work` on the open file, which stays open meanwhile. Concurrent first callers share
        one opening and, if it fails, its error."""
        held = self._held.get(key) or self._admit(key)
        self._held.move_to_end(key)
        held.borrowers += 1
        try:
            if not held.is_open:
                await asyncio.shield(held.opening)
            return await work(held.file)
        finally:
            held.borrowers -= 1
            held.last_used = time.monotonic()
            self._close_if_due(held)

    async def close(self, key: str) -> None:
        """The file is closed, after the work that had begun on it."""
        held = self._held.get(key)
        if held is not None:
            self._retire(held)
        for leaving in [each for each in self._leaving if each.key == key]:
            await leaving.gone.wait()

    async def close_idle(self, seconds: float) -> int:
        """Close what was not used for that long; how many."""
        before = time.monotonic() - seconds
        idle = [
            held
            for held in self._held.values()
            if held.is_open and not held.borrowers and held.last_used <= before
        ]
        for held in idle:
            self._retire(held)
        for held in idle:
            await held.gone.wait()
        return len(idle)

    async def close_all(self) -> None:
        """Nothing is open."""
        for held in tuple(self._held.values()):
            self._retire(held)
        for leaving in tuple(self._leaving):
            await leaving.gone.wait()

    def _admit(self, key: str) -> _Held[File]:
        held = _Held(key, self._make(key))
        held.opening = asyncio.ensure_future(self._open(held))
        held.opening.add_done_callback(_seen)
        self._held[key] = held
        return held

    async def _open(self, held: _Held[File]) -> None:
        try:
            await self._predecessor_gone(held)
            await self._get_room(held)
            await self._start(held.key, held.file)
        except BaseException:
            self._forget(held)
            raise
        held.is_open = True
        self._close_if_due(held)

    async def _predecessor_gone(self, held: _Held[File]) -> None:
        """One file is never open twice."""
        for other in [each for each in self._leaving if each.key == held.key]:
            if other is not held:
                await other.gone.wait()

    async def _get_room(self, held: _Held[File]) -> None:
        self._waiting += 1
        try:
            self._make_room()
            await self._room.acquire()
        finally:
            self._waiting -= 1
        self._used += 1
        held.has_room = True
        self._make_room()

    def _make_room(self) -> None:
        """As many files are leaving as others wait for; an idle one goes before one at work."""
        coming = self._most - self._used + sum(each.has_room for each in self._leaving)
        while self._waiting > coming and (oldest := self._least_recently_used()):
            self._retire(oldest)
            coming += 1

    def _least_recently_used(self) -> _Held[File] | None:
        with_room = [held for held in self._held.values() if held.has_room]
        idle = (held for held in with_room if held.is_open and not held.borrowers)
        return next(idle, with_room[0] if with_room else None)

    def _retire(self, held: _Held[File]) -> None:
        """Nobody new borrows it; it closes when the last borrower is done."""
        del self._held[held.key]
        held.is_leaving = True
        self._leaving.add(held)
        self._close_if_due(held)

    def _close_if_due(self, held: _Held[File]) -> None:
        is_due = held.is_leaving and held.is_open and not held.borrowers
        if is_due and held.closing is None:
            held.closing = asyncio.create_task(self._finish(held))

    async def _finish(self, held: _Held[File]) -> None:
        try:
            await held.file.close()
        except Exception as error:  # it is gone all the same, and nobody waits for the reason
            events.storage_failed(kind="close", error=type(error).__name__)
        finally:
            self._forget(held)

    def _forget(self, held: _Held[File]) -> None:
        if self._held.get(held.key) is held:
            del self._held[held.key]
        self._leaving.discard(held)
        if held.has_room:
            held.has_room = False
            self._used -= 1
            self._room.release()
        held.gone.set()


def _seen(opening: asyncio.Future[None]) -> None:
    """An opening that failed after all who waited had left is no news."""
    with contextlib.suppress(asyncio.CancelledError):
        opening.exception()
