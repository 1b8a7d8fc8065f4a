"""How long this device waits for a server that asks it to, and who is told."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TypeAlias

OnWait: TypeAlias = Callable[[float, str], None]
"""Told before each wait: the seconds, and the server's word for why (`rate_limited`,
`overloaded`, …; `proof_of_work` for work of our own, whose seconds are a guess)."""

TRIES = 6
"""So that twenty devices that log in at once behind one address all come in."""
MOST_SECONDS = 60.0
"""Of one wait. A server that asks for more is not waited for: whoever called decides."""
_FIRST_SECONDS = 0.5
_JITTER = 0.25


def unnoticed(seconds: float, why: str) -> None:
    """Waits for nobody."""


def pause(asked_seconds: float, tried: int) -> float:
    """Seconds to wait after so many tries: never less than was asked for, longer each time, and not
    the same for all, or those who were sent away together come back together."""
    least = max(asked_seconds, _FIRST_SECONDS * 2.0 ** (tried - 1))
    return least * random.uniform(1.0, 1.0 + _JITTER)  # noqa: S311 - jitter, not a secret


def is_worth_waiting(asked_seconds: float, tried: int) -> bool:
    return tried < TRIES and asked_seconds <= MOST_SECONDS
