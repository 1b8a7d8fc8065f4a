"""Telling everybody concerned that something happened, and waiting for it without asking again and
again.

This is the one way by which a part of the server tells others of an account: what was pushed, who
came, who is out. A signal is a hint of one process and holds nothing: whoever hears it reads the
database, which is the truth. A lost signal costs time, never data.
"""

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Literal, Protocol, TypeAlias

from app.work import resting

Kind: TypeAlias = Literal["change", "devices", "entitlements", "ended", "pairing"]
"""Of an account: something was pushed; its devices, or what they are told of each other, changed;
what it paid for changed; a device, a session or the account itself is over, so look who may still
be here. Of a pairing: it took a step or ended."""


class Listener(Protocol):
    """Somebody who wants to hear of an account or a pairing. Neither call may wait."""

    def hear(self, kind: Kind) -> None:
        """Something of this kind happened."""

    def stop(self) -> None:
        """The server stops: there is nothing to hear any more."""


class Waiter:
    """Remembers a signal that comes before the wait for it."""

    __slots__ = ("_event", "_kinds")

    def __init__(self, *kinds: Kind) -> None:
        self._kinds = kinds
        self._event = asyncio.Event()

    def hear(self, kind: Kind) -> None:
        """See `Listener`."""
        if kind in self._kinds:
            self._event.set()

    def stop(self) -> None:
        """See `Listener`."""
        self._event.set()

    async def wait(self, seconds: float) -> bool:
        """Whether a signal came, within `seconds`, since the last wait or the beginning."""
        with contextlib.suppress(TimeoutError), resting():
            await asyncio.wait_for(self._event.wait(), seconds)
        came = self._event.is_set()
        self._event.clear()
        return came


class Signals:
    """Who listens to what. A subject is the id of an account or of a pairing."""

    def __init__(self) -> None:
        self._is_closed = False
        self._listeners: dict[str, set[Listener]] = {}

    def tell(self, subject: str, kind: Kind) -> None:
        """Everybody who listens to the subject now hears it."""
        for listener in tuple(self._listeners.get(subject, ())):
            listener.hear(kind)

    def close(self) -> None:
        """The server stops: everybody is told, and nobody waits any more; again changes nothing."""
        self._is_closed = True
        for listener in {each for listeners in self._listeners.values() for each in listeners}:
            listener.stop()

    def listen(self, listener: Listener, *subjects: str) -> None:
        """It hears of the subjects from here on; look at the database after this."""
        if self._is_closed:
            listener.stop()
        for subject in subjects:
            self._listeners.setdefault(subject, set()).add(listener)

    def leave(self, listener: Listener, *subjects: str) -> None:
        """It hears of them no more; again changes nothing."""
        for subject in subjects:
            others = self._listeners.get(subject, set())
            others.discard(listener)
            if not others:
                self._listeners.pop(subject, None)

    @contextlib.contextmanager
    def waiter(self, waiter: Waiter, *subjects: str) -> Iterator[Waiter]:
        """Within, the waiter listens."""
        self.listen(waiter, *subjects)
        try:
            yield waiter
        finally:
            self.leave(waiter, *subjects)
