"""Access tokens: a JWT for an hour, bound to the device's key (RFC 9068, RFC 7800).

A token alone proves little: each request also reads the device's row, so revocation needs no list.
"""

import secrets
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import jwt

from app.auth.server_keys import ServerKeys
from app.errors import NotAuthenticated

AUDIENCE = "echolia"
LEEWAY_SECONDS = 30
MAX_LENGTH = 4096
_ALGORITHM = "HS256"
_TYPE = "at+jwt"
_REQUIRED = ("iss", "aud", "sub", "did", "gen", "fam", "fgen", "jti", "iat", "nbf", "exp", "cnf")
_WITHOUT_CLOCK: Any = {
    "verify_exp": False,
    "verify_iat": False,
    "verify_nbf": False,
    "verify_aud": True,
    "verify_iss": True,
    "require": list(_REQUIRED),
}


@dataclass(frozen=True, slots=True)
class AccessClaims:
    """What an access token says: whose, which device and generation, which session and step; and,
    of one that was read, when it ends (Unix seconds)."""

    user_id: str
    device_id: str
    generation: int
    family_id: str
    family_generation: int
    thumbprint: str
    expires_at: int = field(default=0, compare=False)


def issue(
    keys: ServerKeys, issuer: str, claims: AccessClaims, *, now: int, life_seconds: int
) -> str:
    """A signed token for these claims."""
    payload = {
        "iss": issuer,
        "aud": AUDIENCE,
        "sub": claims.user_id,
        "did": claims.device_id,
        "gen": claims.generation,
        "fam": claims.family_id,
        "fgen": claims.family_generation,
        "jti": secrets.token_urlsafe(12),
        "iat": now,
        "nbf": now,
        "exp": now + life_seconds,
        "cnf": {"jkt": claims.thumbprint},
    }
    headers = {"typ": _TYPE, "kid": keys.current.kid}
    return jwt.encode(payload, keys.current.access, algorithm=_ALGORITHM, headers=headers)


def read(keys: ServerKeys, issuer: str, token: str, *, now: int) -> AccessClaims:
    """The claims of a token we signed that is valid now. Raises NotAuthenticated for any other."""
    if len(token) > MAX_LENGTH or not token.isascii():
        raise NotAuthenticated
    try:
        payload = _verified(keys, issuer, token)
        if not _is_in_time(payload, now):
            raise NotAuthenticated
        return AccessClaims(
            user_id=_text(payload["sub"]),
            device_id=_text(payload["did"]),
            generation=int(payload["gen"]),
            family_id=_text(payload["fam"]),
            family_generation=int(payload["fgen"]),
            thumbprint=_text(payload["cnf"]["jkt"]),
            expires_at=int(payload["exp"]),
        )
    except (jwt.PyJWTError, ValueError, TypeError, KeyError):
        raise NotAuthenticated from None


@lru_cache(maxsize=4096)
def _verified(keys: ServerKeys, issuer: str, token: str) -> dict[str, Any]:
    header = jwt.get_unverified_header(token)
    key_set = keys.by_id(header.get("kid"))
    if key_set is None or header.get("typ") != _TYPE or "crit" in header:
        raise NotAuthenticated
    return jwt.decode(
        token,
        key_set.access,
        algorithms=[_ALGORITHM],
        audience=AUDIENCE,
        issuer=issuer,
        options=_WITHOUT_CLOCK,
    )


def _is_in_time(payload: dict[str, Any], now: int) -> bool:
    starts, ends = int(payload["nbf"]), int(payload["exp"])
    return starts - LEEWAY_SECONDS <= now < ends + LEEWAY_SECONDS


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value
