"""Buckets that empty with use and fill with time, and every one that this server keeps.

The rule is the generic cell rate algorithm (ITU-T I.371 annex A): of a bucket only the instant is
kept at which it will be full again, so an untouched one and one never seen are the same.
"""

from dataclasses import dataclass, replace

_ROUNDING_SECONDS = 1e-6
"""Of sums of fractions; a microsecond early is not early."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """Holds `size` takes when full, and fills from empty in `seconds`. So in any time t at most
    `size * (1 + t / seconds)` takes succeed, and who takes no more often than `size` in `seconds`
    is never refused."""

    name: str
    size: int
    seconds: float

    def times(self, factor: int, name: str) -> "Bucket":
        """The same for `factor` times as many."""
        return replace(self, name=name, size=self.size * factor)


def wait_for(bucket: Bucket, full_at: float, now: float, cost: int) -> float:
    """Seconds until so much can be taken; 0 if it can now. A cost above the size never can: it is
    reckoned as a full bucket."""
    lacking = max(0.0, full_at - now)
    seconds = lacking + _share(bucket, min(cost, bucket.size)) - bucket.seconds
    return seconds if seconds > _ROUNDING_SECONDS else 0.0


def taken(bucket: Bucket, full_at: float, now: float, cost: int) -> float:
    """When the bucket will be full, once so much is taken from it now."""
    return max(full_at, now) + _share(bucket, min(cost, bucket.size))


def _share(bucket: Bucket, cost: int) -> float:
    return cost * bucket.seconds / bucket.size


@dataclass(frozen=True, slots=True)
class PerAddress:
    """A bucket for each IPv4 address and each IPv6 /64, and a larger one for the /48 around it:
    whoever has a /48 has 65,536 of the small ones."""

    one: Bucket
    site: Bucket

    @classmethod
    def of(cls, name: str, size: int, seconds: float) -> "PerAddress":
        one = Bucket(name, size, seconds)
        return cls(one, one.times(SITE_FACTOR, f"{name}/48"))


SITE_FACTOR = 8
_MINUTE = 60.0
_HOUR = 3600.0

NEW_ACCOUNTS = PerAddress.of("new_accounts", 5, _HOUR)
KEY_CALLS = PerAddress.of("key_calls", 30, _MINUTE)
"""Challenges, logins and registrations, whether they succeed or not."""
JOINS = PerAddress.of("joins", 10, _MINUTE)
RECOVERIES = PerAddress.of("recoveries", 10, _HOUR)
LOGINS = Bucket("logins", 10, _MINUTE)
"""Per key, and counted only behind a good signature: nobody else can use it up."""
REFRESHES = Bucket("refreshes", 30, _HOUR)
"""Per device, and counted only behind a good proof."""
PAIRINGS = Bucket("pairings", 5, _HOUR)
SYNC_CALLS = Bucket("sync_calls", 50, 5.0)
"""Per device: 50 at once, 10 a second."""

NEW_ACCOUNTS_A_DAY = 20
"""Per address; kept in the master database, so that a restart forgives nothing."""
