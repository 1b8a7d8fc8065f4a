"""Checking proofs of possession against what this process has seen."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.auth import proof as dpop
from app.auth.errors import ProofReplayed, ProofRequired
from app.auth.proof import Call, CheckedProof, Nonces, SeenProofs
from app.auth.public_key import PublicKey
from app.auth.refresh import ProofDate
from app.auth.server_keys import ServerKeys
from app.clock import Clock


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


class Proofs:
    """Proofs of this process: their nonces, and which have been used."""

    def __init__(self, keys: ServerKeys, clock: Clock) -> None:
        self.nonces = Nonces(keys, clock)
        self._seen = SeenProofs(clock)
        self._clock = clock
        self._started_at = int(clock())

    def check(self, asked: Asked, key: PublicKey, token: str | None) -> ProofDate:
        """When the proof was made. Raises ProofRequired, ProofInvalid, NonceRequired, or
        ProofReplayed if it was used before."""
        checked = self._checked(asked, key, token)
        if not self._seen.add(key.thumbprint, checked.jti):
            raise ProofReplayed
        return checked.date

    def _checked(self, asked: Asked, key: PublicKey, token: str | None) -> CheckedProof:
        if asked.proof is None:
            raise ProofRequired
        return dpop.check(
            dpop.parse(asked.proof),
            key,
            asked.call(token),
            self.nonces,
            now=int(self._clock()),
            started_at=self._started_at,
        )
