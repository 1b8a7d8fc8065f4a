"""Checking proofs of possession against what has been seen."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from app.auth import proof as dpop
from app.auth import store
from app.auth.errors import ProofReplayed, ProofRequired
from app.auth.proof import HOLDS, Call, Nonces, SeenProofs
from app.auth.public_key import PublicKey
from app.auth.refresh import ProofDate
from app.auth.server_keys import ServerKeys
from app.clock import Clock
from app.database.port import Conflict, Database


@dataclass(frozen=True, slots=True)
class Asked:
    """The parts of a request that a proof speaks about."""

    method: str
    path: str
    origins: Sequence[str]
    proof: str | None

    def call(self, token: str | None) -> Call:
        """What the proof must name; `token` is what its `ath` must hash, if anything."""
        return Call(self.method, dpop.call_urls(self.origins, self.path), token)


Remember: TypeAlias = Callable[[bytes, int, int], Awaitable[bool]]
"""Keeps a proof's digest until a time, given what time it is; False if it was kept before."""


def remembered_in(master: Database) -> Remember:
    """Proofs that stay known across restarts."""

    async def remember(digest: bytes, until: int, now: int) -> bool:
        try:
            await master.write(store.spend_proof(digest, until, now))
        except Conflict:
            return False
        return True

    return remember


class Proofs:
    """Proofs of this process: their nonces, and which have been used."""

    def __init__(self, keys: ServerKeys, clock: Clock, remember: Remember) -> None:
        self.nonces = Nonces(keys, clock)
        self._seen = SeenProofs(clock)
        self._remember = remember
        self._clock = clock

    async def check(self, asked: Asked, key: PublicKey, token: str | None) -> ProofDate:
        """When the proof was made. Raises ProofRequired, ProofInvalid, NonceRequired, or
        ProofReplayed if it was used before, here or before a restart."""
        if asked.proof is None:
            raise ProofRequired
        now = int(self._clock())
        proof = dpop.parse(asked.proof)
        checked = dpop.check(proof, key, asked.call(token), self.nonces, now=now)
        digest = dpop.digest_of(key.thumbprint, checked.jti)
        if not self._seen.add(digest):
            raise ProofReplayed
        # A nonce dies with this process, and whatever carries one; a date does not.
        if not checked.date.by_nonce and not await self._remember(digest, now + HOLDS, now):
            raise ProofReplayed
        return checked.date
