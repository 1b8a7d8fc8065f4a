"""The server's own keys, one per purpose, all derived from `JWT_SECRET`.

HKDF (RFC 5869) with a label per purpose, so that nothing made under one can pass for another.
"""

import hashlib
import hmac
import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from app import events
from app.config import MIN_SECRET_BYTES, Settings

GENERATED = "jwt_secret"


@dataclass(frozen=True, slots=True)
class KeySet:
    """The keys that come from one secret; `kid` names the set without telling anything of it."""

    kid: str
    access: bytes
    challenge: bytes
    nonce: bytes
    cursor: bytes
    refresh: bytes
    strangers: bytes
    deletion: bytes

    @classmethod
    def of(cls, secret: bytes) -> Self:
        keys = {name: _derived(secret, name) for name in _PURPOSES}
        return cls(kid=hashlib.sha256(keys["access"]).hexdigest()[:8], **keys)


@dataclass(frozen=True, slots=True)
class ServerKeys:
    """The present key set, and earlier ones that still verify."""

    current: KeySet
    previous: tuple[KeySet, ...] = ()

    @classmethod
    def of(cls, secret: bytes, previous: Sequence[bytes] = ()) -> Self:
        return cls(KeySet.of(secret), tuple(KeySet.of(each) for each in previous))

    @property
    def all(self) -> tuple[KeySet, ...]:
        """Newest first."""
        return (self.current, *self.previous)

    def by_id(self, kid: object) -> KeySet | None:
        """The key set of that name, if it still verifies."""
        return next((keys for keys in self.all if keys.kid == kid), None)


_PURPOSES = ("access", "challenge", "nonce", "cursor", "refresh", "strangers", "deletion")


def _derived(secret: bytes, purpose: str) -> bytes:
    info = f"echolia/server/{purpose}/v1".encode()
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(secret)


def mac(key: bytes, message: bytes) -> bytes:
    """HMAC-SHA-256 (RFC 2104)."""
    return hmac.digest(key, message, "sha256")


def load_server_keys(settings: Settings) -> ServerKeys:
    """The keys of `JWT_SECRET`, or of a secret generated once into the data folder. Blocks."""
    previous = [secret.get_secret_value().encode() for secret in settings.jwt_secret_previous]
    if settings.jwt_secret is not None:
        return ServerKeys.of(settings.jwt_secret.get_secret_value().encode(), previous)
    return ServerKeys.of(_generated(settings.data_dir / GENERATED), previous)


def _generated(path: Path) -> bytes:
    """The secret kept there; made first if there is none, whole or not at all. A file too short to
    be one, as an empty one, is none: its keys anybody could derive."""
    if not path.exists() or path.stat().st_size < MIN_SECRET_BYTES:
        aside = path.with_suffix(".new")
        with open(aside, "w", opener=_private) as file:
            file.write(secrets.token_urlsafe(48))
            file.flush()
            os.fsync(file.fileno())
        aside.rename(path)
        events.secret_generated(setting="JWT_SECRET")
    return path.read_bytes()


def _private(name: str, flags: int) -> int:
    return os.open(name, flags, 0o600)
