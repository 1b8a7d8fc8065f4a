"""Time as an argument."""

from collections.abc import Callable
from typing import TypeAlias

Clock: TypeAlias = Callable[[], float]
"""Wall-clock Unix seconds. Every stored instant comes from it; timeouts do not."""

DAY_SECONDS = 86400


def day_of(now: int) -> int:
    """Unix seconds of that day's UTC midnight: as closely as we remember when somebody came."""
    return now - now % DAY_SECONDS
