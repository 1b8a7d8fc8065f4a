"""What a new account costs whoever makes it: a place in the limits, and work when many come.

Keys that are known come back for nothing, however many there are: who proves a key that has an
account is no newcomer, and an answer that was lost must not cost a second time.
"""

from dataclasses import dataclass
from typing import Literal

from app.auth import proof_of_work
from app.auth.challenge import difficulty_of
from app.auth.proof_of_work import Load
from app.auth.server_keys import ServerKeys, mac
from app.clock import DAY_SECONDS, Clock, day_of
from app.errors import RateLimited
from app.rates.addresses import Address, DailyHashes, Stranger
from app.rates.buckets import NEW_ACCOUNTS
from app.rates.limits import Limits, spend_of


@dataclass(frozen=True, slots=True)
class Newcomer:
    """Where an unknown key comes from, and the work that it brings."""

    address: Address | None
    solution: bytes | None


class Newcomers:
    """Holds new accounts to the limits of an hour, here, and of a day, in the master database.

    What the database keeps has to mean the same after a restart, so its hashes are keyed by a key
    that is derived from the server's secret and the day; those in memory by one that is drawn.
    """

    def __init__(
        self,
        limits: Limits,
        keys: ServerKeys,
        clock: Clock,
        *,
        bits: Literal["auto"] | int,
        is_counted: bool,
    ) -> None:
        self.is_counted = is_counted
        self._limits = limits
        self._clock = clock
        self._load = Load(bits, clock)
        self._in_memory = DailyHashes(clock)
        self._stored = DailyHashes(
            clock, lambda day: mac(keys.current.strangers, day.to_bytes(8, "big"))
        )

    def difficulty(self) -> int:
        """What a challenge given out now asks for."""
        return self._load.difficulty()

    def stored(self, newcomer: Newcomer) -> Stranger:
        """Under which keys the database counts it today."""
        return self._stored.stranger(newcomer.address)

    async def admit(self, newcomer: Newcomer, challenge: bytes) -> None:
        """Raises ProofOfWorkRequired, ProofOfWorkInvalid, or RateLimited for the hour."""
        proof_of_work.check(challenge, difficulty_of(challenge), newcomer.solution)
        stranger = self._in_memory.stranger(newcomer.address)
        await spend_of(self._limits, NEW_ACCOUNTS, stranger)

    def refuse_for_today(self) -> RateLimited:
        """What is said when a day's accounts are made."""
        now = int(self._clock())
        return RateLimited(retry_after=day_of(now) + DAY_SECONDS - now)

    def made(self) -> None:
        """One more account is there."""
        self._load.add()
