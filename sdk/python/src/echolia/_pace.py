"""When a device that follows its account comes back to a server that failed it or sent it away."""

from __future__ import annotations

import random
from collections.abc import Callable

FIRST_SECONDS = 1.0
MOST_SECONDS = 60.0
_PROMPT_SECONDS = 1.0
_STOPPING_SECONDS = 5.0
_GOOD_SECONDS = 30.0
"""A connection that held so long was a good one: what failed before it is forgotten."""

Draw = Callable[[float, float], float]


class Pace:
    """Full jitter: any time from none to a bound that doubles with each failure. Thousands that
    were sent away together thus come back one by one."""

    def __init__(self, draw: Draw = random.uniform) -> None:
        self._draw = draw
        self._failures = 0

    def held(self, seconds: float) -> None:
        """A connection lasted so long."""
        if seconds >= _GOOD_SECONDS:
            self._failures = 0

    def after_failure(self, asked_seconds: float = 0.0) -> float:
        """Seconds to wait, never less than the server asked for."""
        bound = min(MOST_SECONDS, FIRST_SECONDS * 2.0**self._failures)
        self._failures = min(self._failures + 1, 16)
        return asked_seconds + self._draw(0.0, bound)

    def after_bye(self, reason: str) -> float:
        """Seconds to wait after the server ended a stream and said why. Whether this device is
        still let in, the next call tells; a word in a stream does not decide it."""
        if reason in ("expired", "logout", "revoked"):
            return self._draw(0.0, _PROMPT_SECONDS)
        if reason == "shutdown":
            return self._draw(0.0, _STOPPING_SECONDS)
        return self.after_failure()
