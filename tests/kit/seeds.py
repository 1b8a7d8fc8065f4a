"""One source of chance for a test, which says how to have the same run again."""

import os
import random
import secrets

VARIABLE = "TEST_SEED"
_USUAL = 1


def seed_of_run(*, is_soak: bool) -> int:
    """The seed that TEST_SEED names; else a new one for a long run, and always the same one for
    the default suite, which must not be red by luck."""
    named = os.environ.get(VARIABLE)
    if named is not None:
        return int(named)
    return secrets.randbits(32) if is_soak else _USUAL


def announced(seed: int) -> random.Random:
    """The source; what is printed is shown by pytest beside a failure."""
    print(f"seed {seed}; the same run again: {VARIABLE}={seed}")
    return random.Random(seed)
