"""Challenges: random bytes that only the server can have made, for one purpose, for two minutes.

Nothing is stored when one is given out: it carries its own expiry, the work it asks for, and a MAC
over both. What was spent is remembered in the master database until it would have expired.
"""

import hashlib
import hmac
import secrets
from typing import Literal, TypeAlias

from app.auth.errors import ChallengeInvalid
from app.auth.server_keys import KeySet, ServerKeys, mac

Purpose: TypeAlias = Literal["register", "login", "delete_account"]

LIFE_SECONDS = 120
_RANDOM_BYTES = 32
_EXPIRY_BYTES = 8
_DIFFICULTY_BYTES = 1
_MAC_BYTES = 32
_AT_DIFFICULTY = _RANDOM_BYTES + _EXPIRY_BYTES
_LENGTH = _AT_DIFFICULTY + _DIFFICULTY_BYTES + _MAC_BYTES


def issue(keys: ServerKeys, purpose: Purpose, now: int, difficulty: int = 0) -> bytes:
    """A fresh challenge, good for 120 s and this purpose, that asks for so many bits of work."""
    expiry = (now + LIFE_SECONDS).to_bytes(_EXPIRY_BYTES, "big")
    body = secrets.token_bytes(_RANDOM_BYTES) + expiry + bytes([difficulty])
    return body + _seal(keys.current, purpose, body)


def expiry_of(keys: ServerKeys, purpose: Purpose, challenge: bytes, now: int) -> int | None:
    """When a challenge we issued for this purpose expires (Unix seconds); None if we did not, or
    it has."""
    if len(challenge) != _LENGTH:
        return None
    body, seal = challenge[:-_MAC_BYTES], challenge[-_MAC_BYTES:]
    if not any(hmac.compare_digest(_seal(each, purpose, body), seal) for each in keys.all):
        return None
    expires_at = int.from_bytes(body[_RANDOM_BYTES:_AT_DIFFICULTY], "big")
    return expires_at if now < expires_at else None


def check(keys: ServerKeys, purpose: Purpose, challenge: bytes, now: int) -> int:
    """As `expiry_of`; raises ChallengeInvalid instead of None."""
    expires_at = expiry_of(keys, purpose, challenge, now)
    if expires_at is None:
        raise ChallengeInvalid
    return expires_at


def difficulty_of(challenge: bytes) -> int:
    """The work that a challenge we issued asks for, in zero bits."""
    return challenge[_AT_DIFFICULTY]


def digest_of(challenge: bytes) -> bytes:
    """What is remembered of a spent challenge."""
    return hashlib.sha256(challenge).digest()


def _seal(keys: KeySet, purpose: Purpose, body: bytes) -> bytes:
    return mac(keys.challenge, purpose.encode() + b"\0" + body)
