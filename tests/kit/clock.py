"""A clock that stands until it is moved."""

import time


class SetClock:
    """Starts at the real time (so that certificates and JWT libraries agree) and moves by hand."""

    def __init__(self, now: float | None = None) -> None:
        self.now = time.time() if now is None else now

    def __call__(self) -> float:
        return self.now

    def advance(self, *, seconds: float = 0, days: float = 0) -> None:
        self.now += seconds + days * 86400
