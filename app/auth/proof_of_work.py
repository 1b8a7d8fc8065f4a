"""Work that makes new accounts cost something when many are made. All pure but `Load`.

The work is hashcash (Back, 1997) over SHA-256: a solution is right if the hash of the challenge
and it begins with as many zero bits as the challenge asks for. The challenge itself says how many,
under the server's MAC, so nothing is kept between the calls and no client chooses for itself.
"""

import hashlib
import math
from typing import Literal

from app.auth.errors import ProofOfWorkInvalid, ProofOfWorkRequired
from app.clock import Clock

MAX_SOLUTION_BYTES = 32
FEWEST_BITS = 17
MOST_BITS = 22
QUIET_ACCOUNTS = 20
"""In the last minutes, before any work is asked for; each doubling asks for one bit more."""
_FADING_SECONDS = 600.0


def check(challenge: bytes, difficulty: int, solution: bytes | None) -> None:
    """Raises ProofOfWorkRequired or ProofOfWorkInvalid unless the work is done; more than was
    asked for does no harm, and where none was asked for nothing is looked at."""
    if difficulty == 0:
        return
    if solution is None:
        raise ProofOfWorkRequired(difficulty=difficulty)
    if zero_bits(hashlib.sha256(challenge + solution).digest()) < difficulty:
        raise ProofOfWorkInvalid(difficulty=difficulty)


def zero_bits(digest: bytes) -> int:
    """How many bits are 0 before the first that is 1."""
    return 8 * len(digest) - int.from_bytes(digest, "big").bit_length()


def bits_for(accounts: float) -> int:
    """What is asked for after so many new accounts in the last minutes."""
    if accounts < QUIET_ACCOUNTS:
        return 0
    return min(MOST_BITS, FEWEST_BITS + int(math.log2(accounts / QUIET_ACCOUNTS)))


class Load:
    """How many accounts were made in the last minutes, by anybody at all: a sum in which each
    counts for less as time goes by, a third after ten minutes."""

    def __init__(self, bits: Literal["auto"] | int, clock: Clock) -> None:
        self._bits = bits
        self._clock = clock
        self._accounts = 0.0
        self._at = clock()

    def add(self) -> None:
        """One more was made."""
        self._accounts = self._faded() + 1
        self._at = self._clock()

    def difficulty(self) -> int:
        """Zero bits that a challenge given out now asks for."""
        return bits_for(self._faded()) if self._bits == "auto" else self._bits

    def _faded(self) -> float:
        passed = max(0.0, self._clock() - self._at)
        return self._accounts * math.exp(-passed / _FADING_SECONDS)
