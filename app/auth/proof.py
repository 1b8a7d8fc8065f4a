"""Proofs of possession: the `DPoP` header of RFC 9449, with nonces of the server's own.

A proof is dated by the nonce it carries, which our clock made; only without one by the client's.
So a device whose clock is years off gets in all the same.
"""

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.auth.errors import NonceRequired, ProofInvalid
from app.auth.origins import normalised
from app.auth.public_key import PublicKey, jwk_thumbprint
from app.auth.refresh import ProofDate
from app.auth.server_keys import ServerKeys, mac
from app.clock import Clock
from app.errors import Malformed
from app.http import ijson

WINDOW_SECONDS = 300
NONCE_SECONDS = 300
HOLDS = 2 * WINDOW_SECONDS + 1
"""A proof from a clock that runs ahead holds for two windows, and through that last second."""
MAX_LENGTH = 8192
MAX_JTI_LENGTH = 256
_MAX_SEEN = 200_000
_ALGORITHMS = {"RSA": "PS256", "P-256": "ES256"}
_PRIVATE_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})


class Nonces:
    """Nonces that carry the time they were made at; good for five minutes, in this process."""

    def __init__(self, keys: ServerKeys, clock: Clock) -> None:
        self._keys = keys
        self._clock = clock
        # An earlier process took proofs that this one cannot know: its nonces are worth nothing.
        self._process = secrets.token_bytes(16)

    def issue(self) -> str:
        """A nonce dated now."""
        body = int(self._clock() * 1000).to_bytes(8, "big")
        return _b64(body + self._seal(body))

    def dated(self, nonce: str) -> int | None:
        """When a nonce of ours was made (Unix seconds); None if it is forged or too old."""
        raw = _unb64(nonce)
        if raw is None or len(raw) != 24:
            return None
        body, seal = raw[:8], raw[8:]
        if not hmac.compare_digest(self._seal(body), seal):
            return None
        made_ms = int.from_bytes(body, "big")
        age_ms = int(self._clock() * 1000) - made_ms
        return made_ms // 1000 if age_ms <= NONCE_SECONDS * 1000 else None

    def _seal(self, body: bytes) -> bytes:
        return mac(self._keys.current.nonce, self._process + body)[:16]


class SeenProofs:
    """The proofs of the last minutes, in memory, so that none works twice."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._until: dict[bytes, float] = {}

    def add(self, digest: bytes) -> bool:
        """Whether this proof is new."""
        now = self._clock()
        self._forget(now)
        if digest in self._until:
            return False
        self._until[digest] = now + HOLDS
        return True

    def _forget(self, now: float) -> None:
        while self._until:
            oldest = next(iter(self._until))
            if self._until[oldest] > now and len(self._until) < _MAX_SEEN:
                return
            del self._until[oldest]


@dataclass(frozen=True, slots=True)
class Call:
    """What a proof must have been made for."""

    method: str
    urls: tuple[str, ...]
    token: str | None


@dataclass(frozen=True, slots=True)
class Proof:
    """A header that parsed; nothing of it is believed yet."""

    thumbprint: bytes
    algorithm: str
    claims: dict[str, Any]
    signed: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class CheckedProof:
    """A proof that holds: when it was made, and the id that must not come again."""

    date: ProofDate
    jti: str


def parse(header: str) -> Proof:
    """The parts of a compact JWS. Raises ProofInvalid for anything else."""
    parts = header.split(".")
    if len(header) > MAX_LENGTH or len(parts) != 3:
        raise ProofInvalid
    decoded = [_unb64(part) for part in parts]
    head, claims = _json_object(decoded[0]), _json_object(decoded[1])
    jwk = head.get("jwk")
    if head.get("typ") != "dpop+jwt" or "crit" in head or not isinstance(jwk, dict):
        raise ProofInvalid
    if _PRIVATE_MEMBERS & jwk.keys() or decoded[2] is None:
        raise ProofInvalid
    return Proof(
        thumbprint=_thumbprint(jwk),
        algorithm=str(head.get("alg")),
        claims=claims,
        signed=f"{parts[0]}.{parts[1]}".encode(),
        signature=decoded[2],
    )


def check(proof: Proof, key: PublicKey, call: Call, nonces: Nonces, *, now: int) -> CheckedProof:
    """The proof's date, if `key` made it for this very call (RFC 9449 section 4.3). Raises
    ProofInvalid, or NonceRequired where a fresh nonce would settle it."""
    if proof.thumbprint != key.thumbprint or proof.algorithm != _ALGORITHMS[key.kind]:
        raise ProofInvalid
    if not key.verify(proof.signature, proof.signed):
        raise ProofInvalid
    claims = proof.claims
    if claims.get("htm") != call.method or normalised(str(claims.get("htu"))) not in call.urls:
        raise ProofInvalid("The proof is made for another method or URL than PUBLIC_ORIGIN's.")
    if call.token is not None and claims.get("ath") != token_hash(call.token):
        raise ProofInvalid
    jti = claims.get("jti")
    if not isinstance(jti, str) or not 1 <= len(jti) <= MAX_JTI_LENGTH or not jti.isprintable():
        raise ProofInvalid
    return CheckedProof(_dated(claims, nonces, now), jti)


def token_hash(token: str) -> str:
    """RFC 9449 section 4.2 `ath`: base64url of the token's SHA-256."""
    return _b64(hashlib.sha256(token.encode()).digest())


def digest_of(thumbprint: bytes, jti: str) -> bytes:
    """What is remembered of a proof: its `jti`, among those of its key."""
    return hashlib.sha256(thumbprint + jti.encode()).digest()[:16]


def call_urls(origins: Sequence[str], path: str) -> tuple[str, ...]:
    """The `htu` values that name this path."""
    return tuple(filter(None, (normalised(origin + path) for origin in origins)))


def _dated(claims: dict[str, Any], nonces: Nonces, now: int) -> ProofDate:
    nonce, made_at = claims.get("nonce"), claims.get("iat")
    if not isinstance(made_at, int) or isinstance(made_at, bool):
        raise ProofInvalid
    if nonce is not None:
        dated = nonces.dated(nonce) if isinstance(nonce, str) else None
        if dated is None:
            raise NonceRequired
        return ProofDate(dated, by_nonce=True)
    if abs(now - made_at) > WINDOW_SECONDS:
        raise NonceRequired
    return ProofDate(min(made_at, now), by_nonce=False)


def _thumbprint(jwk: dict[str, Any]) -> bytes:
    try:
        return jwk_thumbprint(jwk)
    except ValueError:
        raise ProofInvalid from None


def _json_object(raw: bytes | None) -> dict[str, Any]:
    if raw is None:
        raise ProofInvalid
    try:
        value = ijson.parse(raw)
    except Malformed:
        raise ProofInvalid from None
    if not isinstance(value, dict):
        raise ProofInvalid
    return value


def _b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _unb64(text: str) -> bytes | None:
    """Base64url without padding, one spelling per value."""
    if "=" in text or not text.isascii():
        return None
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (ValueError, binascii.Error):
        return None
    return raw if _b64(raw) == text else None
