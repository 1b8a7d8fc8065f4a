"""How much an account may hold. Pure.

In production a new account begins small and grows to the full limit in its first weeks, so that
opening many accounts is no way to much room at once. A server in development has no strangers.
"""

from app.clock import DAY_SECONDS
from app.config import Settings

FIRST_BYTES = 64 * 1024 * 1024
"""What an account of less than a day may hold, unless the full limit is lower."""
GROWTH_DAYS = 30


def storage_limit(settings: Settings, created_at: int, now: int) -> int:
    """Bytes that an account of this age may hold on this server."""
    full_bytes = settings.storage_limit_bytes
    if settings.environment != "production":
        return full_bytes
    return grown(full_bytes, now - created_at)


def grown(full_bytes: int, age_seconds: int) -> int:
    """FIRST_BYTES at first, then more by the same amount each day, and the full limit after
    GROWTH_DAYS."""
    first = min(FIRST_BYTES, full_bytes)
    days = min(max(age_seconds, 0) // DAY_SECONDS, GROWTH_DAYS)
    return first + (full_bytes - first) * days // GROWTH_DAYS
