"""How many connections one process holds, and one address of them.

At the cap a newcomer takes the place of whoever has kept the server waiting longest. So sockets
that say nothing, or say it slowly, keep nobody out, however many they are.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Protocol

from app.process import MAX_CONNECTIONS
from app.rates.addresses import Network, group_of, parse_address

MAX_CONNECTIONS_OF_ADDRESS = 100
"""Of one IPv4 address or IPv6 /64; not of this machine, nor of a trusted proxy."""


class Guest(Protocol):
    """A connection, as far as the crowd knows it."""

    def make_way(self) -> None:
        """End at once: somebody else takes the place."""


class Crowd:
    """The connections of a process. `most_of_address` None counts no addresses."""

    def __init__(
        self,
        most: int = MAX_CONNECTIONS,
        most_of_address: int | None = MAX_CONNECTIONS_OF_ADDRESS,
        exempt: Sequence[Network] = (),
    ) -> None:
        self._most = most
        self._most_of_address = most_of_address
        self._exempt = exempt
        self._groups: dict[Guest, str | None] = {}
        self._of_group: Counter[str] = Counter()
        self._resting: dict[Guest, None] = {}

    @property
    def count(self) -> int:
        """How many are connected."""
        return len(self._groups)

    def enter(self, guest: Guest, peer: str | None) -> bool:
        """Whether the connection may stay. If it may, it rests until it is `busy`."""
        group = self._group(peer)
        if group is not None and self._of_group[group] >= (self._most_of_address or 0):
            return False
        if len(self._groups) >= self._most and not self._make_room():
            return False
        self._groups[guest] = group
        self._resting[guest] = None
        if group is not None:
            self._of_group[group] += 1
        return True

    def leave(self, guest: Guest) -> None:
        """The connection has ended; again changes nothing."""
        self._resting.pop(guest, None)
        group = self._groups.pop(guest, None)
        if group is None:
            return
        self._of_group[group] -= 1
        if not self._of_group[group]:
            del self._of_group[group]

    def busy(self, guest: Guest) -> None:
        """Its request is whole: from now on it waits for the server."""
        self._resting.pop(guest, None)

    def rest(self, guest: Guest) -> None:
        """It has its answer: from now on the server waits for it."""
        if guest in self._groups:
            self._resting[guest] = None

    def _make_room(self) -> bool:
        for longest in self._resting:
            self.leave(longest)
            longest.make_way()
            return True
        return False

    def _group(self, peer: str | None) -> str | None:
        if self._most_of_address is None or peer is None:
            return None
        address = parse_address(peer)
        if address is None or address.is_loopback or any(address in net for net in self._exempt):
            return None
        return group_of(address)
