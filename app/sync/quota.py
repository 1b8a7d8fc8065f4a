"""How much an account may hold. Pure.

A new account begins small and grows to the full limit in its first weeks, so that opening many
accounts is no way to much room at once.
"""

from app.clock import DAY_SECONDS
from app.limits import BYTES_PER_VERSION

FIRST_BYTES = 64 * 1024 * 1024
"""What an account of less than a day may hold, unless the full limit is lower."""
GROWTH_DAYS = 30


def storage_limit(full_bytes: int, created_at: int, now: int) -> int:
    """Bytes that an account of this age may hold: FIRST_BYTES at first, then more by the same
    amount each day, and the full limit after GROWTH_DAYS."""
    first = min(FIRST_BYTES, full_bytes)
    days = min(max(now - created_at, 0) // DAY_SECONDS, GROWTH_DAYS)
    return first + (full_bytes - first) * days // GROWTH_DAYS


def versions_limit(limit_bytes: int) -> int:
    """Versions that an account with this limit may hold."""
    return limit_bytes // BYTES_PER_VERSION
