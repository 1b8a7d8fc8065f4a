"""Waiting for something to change, without asking again and again.

A signal is a hint between requests of one process: who is woken reads the database, which is the
truth. A lost signal costs time, never data.
"""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Hashable, Iterator

from app.work import resting


def pairings_of(user_id: str) -> Hashable:
    """The topic of whoever waits in a pairing of the account for something other than its next
    step: that a device of it has gone."""
    return ("pairings", user_id)


class Waiter:
    """Remembers a signal that comes before the wait for it."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def wake(self) -> None:
        self._event.set()

    async def wait(self, seconds: float) -> bool:
        """Whether a signal came, within `seconds`, since the last wait or the beginning."""
        with contextlib.suppress(TimeoutError), resting():
            await asyncio.wait_for(self._event.wait(), seconds)
        came = self._event.is_set()
        self._event.clear()
        return came


class Signals:
    """Who waits for what."""

    def __init__(self) -> None:
        self._is_closed = False
        self._waiters: defaultdict[Hashable, set[Waiter]] = defaultdict(set)

    def notify(self, topic: Hashable) -> None:
        """Everybody who waits for the topic now wakes."""
        for waiter in self._waiters.get(topic, ()):
            waiter.wake()

    def close(self) -> None:
        """The server stops: everybody who waits wakes, and nobody waits any more."""
        self._is_closed = True
        for topic in tuple(self._waiters):
            self.notify(topic)

    @contextlib.contextmanager
    def waiter(self, *topics: Hashable) -> Iterator[Waiter]:
        """Signals for the topics are remembered from here on; look at the database after this."""
        waiter = Waiter()
        if self._is_closed:
            waiter.wake()
        for topic in topics:
            self._waiters[topic].add(waiter)
        try:
            yield waiter
        finally:
            for topic in topics:
                self._waiters[topic].discard(waiter)
                if not self._waiters[topic]:
                    del self._waiters[topic]
