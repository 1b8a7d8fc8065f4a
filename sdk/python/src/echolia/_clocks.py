"""Vector clocks: which version knew of which (spec/protocol.md, Sync)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ._canonical import id_bytes, is_id

MAX_COUNTER = 2**53 - 1
# Made once: a sync writes every clock, and making an encoder takes longer than using it.
_ENCODER = json.JSONEncoder(separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class VectorClock:
    """Counters by device, sorted by device id; a device that is absent counts 0.

    A clock *covers* another when no counter of the other is higher, and *dominates* it when
    it covers it and differs. Neither covering the other means the two are concurrent.
    """

    entries: tuple[tuple[str, int], ...] = ()

    @classmethod
    def of(cls, counters: Mapping[str, int]) -> VectorClock:
        """Checked and sorted; ValueError unless every counter is 1…2^53−1 under a UUID."""
        for device, counter in counters.items():
            if not is_id(device):
                raise ValueError("a clock names devices by lower-case UUID")
            if type(counter) is not int or not 1 <= counter <= MAX_COUNTER:
                raise ValueError("a counter is a whole number from 1 to 2^53-1")
        # Text order equals byte order: the hyphens of a UUID sit at fixed places.
        return cls(tuple(sorted(counters.items())))

    @classmethod
    def parse(cls, text: str) -> VectorClock:
        return cls.of(json.loads(text))

    def counter(self, device_id: str) -> int:
        return next((count for device, count in self.entries if device == device_id), 0)

    def covers(self, other: VectorClock) -> bool:
        mine = dict(self.entries)
        return all(mine.get(device, 0) >= count for device, count in other.entries)

    def dominates(self, other: VectorClock) -> bool:
        return self != other and self.covers(other)

    def with_counter(self, device_id: str, counter: int) -> VectorClock:
        return VectorClock.of({**dict(self.entries), device_id: counter})

    def as_dict(self) -> dict[str, int]:
        return dict(self.entries)

    def as_text(self) -> str:
        """One spelling per clock, so that text equality is clock equality."""
        return _ENCODER.encode(self.as_dict())

    def encode(self) -> bytes:
        """For each device in order its 16 bytes and the counter as 8 bytes, big-endian."""
        return b"".join(
            id_bytes(device) + count.to_bytes(8, "big") for device, count in self.entries
        )


def merge_clocks(clocks: Iterable[VectorClock]) -> VectorClock:
    """The smallest clock that covers all the given ones."""
    highest: dict[str, int] = {}
    for clock in clocks:
        for device, count in clock.entries:
            highest[device] = max(count, highest.get(device, 0))
    return VectorClock(tuple(sorted(highest.items())))
