"""Refresh tokens: what they hold, and the rules by which a session goes on or ends. All pure.

A successor is derived, not drawn: HMAC(server key, family, generation). So a client that lost the
answer gets the same bytes again although only hashes are stored, and nothing a network can lose
ends a session.
"""

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass
from typing import Literal, TypeAlias
from uuid import UUID

from app.auth.server_keys import KeySet, ServerKeys, mac

_VERSION = b"\x01"
_BODY_BYTES = 1 + 16 + 16 + 4
_SECRET_BYTES = 32

Verdict: TypeAlias = Literal["rotate", "repeat", "invalid", "reused", "stale", "nonce_needed"]


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """A token we made: whose session it continues, and at which step."""

    user_id: str
    family_id: str
    generation: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class Family:
    """A session as stored. `confirmed_at` is when the newest pair of tokens was first used;
    `previous_confirmed_at` the same of the pair before."""

    family_id: str
    device_id: str
    generation: int
    current_hash: bytes
    previous_hash: bytes | None
    confirmed_at: int | None
    refreshed_at: int
    ends_at: int
    status: str


@dataclass(frozen=True, slots=True)
class ProofDate:
    """When a proof was made, as far as we can know: `by_nonce` if our own clock says so."""

    at: int
    by_nonce: bool


def make(keys: KeySet, user_id: str, family_id: str, generation: int) -> str:
    """The one refresh token of this step."""
    body = _VERSION + UUID(user_id).bytes + UUID(family_id).bytes + generation.to_bytes(4, "big")
    return base64.urlsafe_b64encode(body + mac(keys.refresh, body)).rstrip(b"=").decode()


def read(keys: ServerKeys, token: str) -> RefreshToken | None:
    """What a token we made says; None for anything else."""
    try:
        raw = base64.b64decode(token + "==", altchars=b"-_", validate=True)
    except (ValueError, binascii.Error):
        return None
    body, secret = raw[:_BODY_BYTES], raw[_BODY_BYTES:]
    if len(secret) != _SECRET_BYTES or body[:1] != _VERSION:
        return None
    if not any(hmac.compare_digest(mac(each.refresh, body), secret) for each in keys.all):
        return None
    return RefreshToken(
        user_id=str(UUID(bytes=body[1:17])),
        family_id=str(UUID(bytes=body[17:33])),
        generation=int.from_bytes(body[33:], "big"),
        hash=hash_of(token),
    )


def hash_of(token: str) -> bytes:
    """What is stored of a token."""
    return hashlib.sha256(token.encode()).digest()


def judge(
    family: Family | None, token: RefreshToken, proof: ProofDate, *, now: int, idle_seconds: int
) -> Verdict:
    """What a refresh with a valid proof does (RFC 9700 section 4.14.2, made safe against loss).

    The current token rotates. The one before, its successor unused, gets the same successor again.
    An old token whose successor was used is theft if the proof was made after that use, and a late
    copy if it was made before; where only the client's clock dates the proof, a nonce is asked for
    before anything ends.
    """
    if family is None or family.status != "active" or now >= family.ends_at:
        return "invalid"
    if token.generation > family.generation or now >= family.refreshed_at + idle_seconds:
        return "invalid"
    if token.generation == family.generation:
        return "rotate" if token.hash == family.current_hash else "invalid"
    if token.generation == family.generation - 1 and family.confirmed_at is None:
        return "repeat" if token.hash == family.previous_hash else "invalid"
    used_at = family.refreshed_at if family.confirmed_at is None else family.confirmed_at
    if proof.at <= used_at:
        return "stale"
    return "reused" if proof.by_nonce else "nonce_needed"
