"""Recovery phrases: what the server keeps of one, and when it lets somebody in. All pure.

The phrase never comes here. Its owner splits it: a locator finds the account, an authenticator (of
which a hash is kept) opens it, and a key that stays with the owner opens the bundle.
"""

import hashlib
import hmac
from dataclasses import dataclass

from app.auth.candidates import Claim

LOCATOR_BYTES = 16
AUTHENTICATOR_BYTES = 32
MAX_BUNDLE_BYTES = 16 * 1024
MAX_DELAY_SECONDS = 7 * 86400
IDLE_SECONDS = 180 * 86400
"""Devices not seen for so long do not make anybody wait."""

_NOBODY = bytes(32)


@dataclass(frozen=True, slots=True)
class Offered:
    """What a device hands in for its account. `delay_seconds` None: as it was for this phrase.
    With `only_renew` it is meant for the account's present phrase alone."""

    locator: bytes
    authenticator_hash: bytes
    bundle: bytes
    delay_seconds: int | None
    only_renew: bool


@dataclass(frozen=True, slots=True)
class Recovery:
    """An account's phrase as stored; times in Unix seconds. `pending_since` is when somebody with
    the phrase asked to be let in and was told to wait."""

    user_id: str
    locator: bytes
    authenticator_hash: bytes
    delay_seconds: int
    set_at: int
    set_by: str
    pending_since: int | None

    @property
    def available_at(self) -> int | None:
        """When the wait that has begun is over."""
        return None if self.pending_since is None else self.pending_since + self.delay_seconds


@dataclass(frozen=True, slots=True)
class RecoveryAttempt:
    """What somebody without a device sent: the halves of a phrase, and a new device's key."""

    claim: Claim
    challenge: bytes
    signature: bytes
    locator: bytes
    authenticator: bytes


def opens(recovery: Recovery | None, locator: bytes, authenticator: bytes) -> bool:
    """Whether locator and authenticator are this phrase's; the same work whatever is wrong."""
    kept = (recovery.locator, recovery.authenticator_hash) if recovery else (b"", _NOBODY)
    is_place = hmac.compare_digest(kept[0], locator)
    is_hash = hmac.compare_digest(kept[1], hashlib.sha256(authenticator).digest())
    return is_place & is_hash


def has_to_wait(recovery: Recovery, last_seen: int | None, now: int) -> bool:
    """Whether the other live devices, of which one was seen at `last_seen` (None: there is none),
    still have time to object. A wait has to be begun before it can be over."""
    if recovery.delay_seconds == 0 or last_seen is None or now - last_seen >= IDLE_SECONDS:
        return False
    return recovery.available_at is None or now < recovery.available_at
