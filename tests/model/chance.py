"""Chance that can be had again: while it holds, whatever draws random bytes or numbers in this
process draws them from one seed.

Not covered, and of no influence on what happens: signatures, and what SQLite draws for itself.
"""

import os
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Ids, keys, nonces, tags and waits follow from `seed`, and nobody truly waits."""
    source = random.Random(seed)
    state = random.getstate()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "urandom", source.randbytes)
        # What `secrets` and `SystemRandom` were given when they were imported.
        patch.setattr(random, "_urandom", source.randbytes)
        patch.setattr(time, "sleep", lambda _seconds: None)
        random.seed(seed)
        try:
            yield
        finally:
            random.setstate(state)
