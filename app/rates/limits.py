"""Where buckets are kept. One small protocol, so that several servers can share theirs."""

import math
from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol

from app.errors import RateLimited
from app.rates.addresses import Stranger
from app.rates.buckets import Bucket, PerAddress, taken, wait_for

MAX_KEYS = 20_000
"""Of each bucket, kept exactly. What comes beyond shares."""
SHARED = 1024
_SHARED_FACTOR = 4
_LOOKED_AT = 4


class Limits(Protocol):
    """Buckets by key. Keys are known to nobody outside: hashes of addresses, ids."""

    async def take(self, bucket: Bucket, key: bytes | str, cost: int = 1) -> float:
        """0.0 if so much was taken from the key's bucket; else the seconds until it could be, and
        nothing was taken."""

    async def give_back(self, bucket: Bucket, key: bytes | str) -> None:
        """One that was taken just now is in the bucket again."""


async def spend(limits: Limits, bucket: Bucket, key: bytes | str) -> None:
    """One is taken. Raises RateLimited, with the time to wait in whole seconds."""
    if seconds := await limits.take(bucket, key):
        raise RateLimited(retry_after=max(1, math.ceil(seconds)))


async def spend_of(limits: Limits, buckets: PerAddress, stranger: Stranger) -> None:
    """One is taken for the address, and one for the site around it, or neither. Raises RateLimited.

    The site comes first: it has 65,536 addresses, and one whose share is used up must not fill the
    memory of all with them. What its address refuses is the site's again, for its other people.
    """
    if stranger.site is not None:
        await spend(limits, buckets.site, stranger.site)
    try:
        await spend(limits, buckets.one, stranger.one)
    except RateLimited:
        if stranger.site is not None:
            await limits.give_back(buckets.site, stranger.site)
        raise


class NoLimits:
    """Everybody may take everything."""

    async def take(self, bucket: Bucket, key: bytes | str, cost: int = 1) -> float:
        """See `Limits.take`."""
        return 0.0

    async def give_back(self, bucket: Bucket, key: bytes | str) -> None:
        """See `Limits.give_back`."""


class MemoryLimits:
    """Buckets in this process. `clock` gives seconds that never run back.

    A take costs about a microsecond. Of one bucket's keys at most `max_keys` are kept, those that
    are full forgotten as new ones come; so memory has a bound, about 5 MiB for each of the buckets.
    When none can be forgotten, as in a flood of addresses, keys that are new share a fixed number
    of buckets by their hash. So a flood neither empties the memory of who was refused before, nor
    lets the newest in without measure.
    """

    def __init__(
        self, clock: Callable[[], float], *, max_keys: int = MAX_KEYS, shared: int = SHARED
    ) -> None:
        self._clock = clock
        self._max_keys = max_keys
        self._shared = shared
        self._tables: dict[str, OrderedDict[bytes | str, float]] = {}
        self._overflow: dict[str, dict[int, float]] = {}

    async def take(self, bucket: Bucket, key: bytes | str, cost: int = 1) -> float:
        """See `Limits.take`."""
        now = self._clock()
        table = self._tables.get(bucket.name)
        if table is None:
            table = self._tables[bucket.name] = OrderedDict()
        full_at = table.get(key)
        if full_at is None and not self._has_room(table, now):
            return self._take_shared(bucket, key, now, cost)
        if seconds := wait_for(bucket, full_at or 0.0, now, cost):
            return seconds
        table[key] = taken(bucket, full_at or 0.0, now, cost)
        return 0.0

    async def give_back(self, bucket: Bucket, key: bytes | str) -> None:
        """See `Limits.give_back`."""
        table = self._tables[bucket.name]
        if key in table:
            table[key] -= bucket.seconds / bucket.size
            return
        larger = bucket.times(_SHARED_FACTOR, bucket.name)
        self._overflow[bucket.name][self._slot(key)] -= larger.seconds / larger.size

    def kept(self, bucket: Bucket) -> int:
        """How many keys of this bucket are remembered, each for itself."""
        return len(self._tables.get(bucket.name, ()))

    def _has_room(self, table: OrderedDict[bytes | str, float], now: float) -> bool:
        """Whether one more may be kept. A few of the oldest are looked at each time, not all at
        once: those that are full again are the same as never seen."""
        for _ in range(min(_LOOKED_AT, len(table))):
            key, full_at = table.popitem(last=False)
            if full_at > now:
                table[key] = full_at
        return len(table) < self._max_keys

    def _take_shared(self, bucket: Bucket, key: bytes | str, now: float, cost: int) -> float:
        larger = bucket.times(_SHARED_FACTOR, bucket.name)
        table = self._overflow.setdefault(bucket.name, {})
        slot = self._slot(key)
        full_at = table.get(slot, 0.0)
        if seconds := wait_for(larger, full_at, now, cost):
            return seconds
        table[slot] = taken(larger, full_at, now, cost)
        return 0.0

    def _slot(self, key: bytes | str) -> int:
        """Python's hash of text and bytes is keyed anew in each process: nobody can aim."""
        return hash(key) % self._shared
