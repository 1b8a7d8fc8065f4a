"""The keyring file: everything that makes this device this device.

It is the only secret at rest. With a passphrase it is sealed under scrypt (RFC 7914); without
one, the file mode is all that guards it.
"""

from __future__ import annotations

import json
import os
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from ._canonical import b64, lp, origin_of, unb64
from ._errors import AlreadySetUp, KeyringError, NotSetUp, WrongPassphrase
from ._files import write_private
from ._keys import KeyKind, PrivateKey, generate_key, read_private_key

_LABEL = b"echolia/keyring/v1"
# 128 MiB and about 0.4 s a guess. Fixed here and never read from the file, so that a changed
# file can neither weaken it nor exhaust memory.
_SCRYPT = {"n": 2**17, "r": 8, "p": 1}


@dataclass(frozen=True, slots=True)
class Keyring:
    """Keys and names of one device. Without `user_id` it has not joined an account yet."""

    server: str
    signing: PrivateKey
    wrapping: PrivateKey
    store_key: bytes = field(repr=False)
    key_epochs: Mapping[int, bytes] = field(default_factory=dict, repr=False)
    user_id: str | None = None
    device_id: str | None = None
    device_name: str = ""
    joining: Mapping[str, str] | None = field(default=None, repr=False)
    recovery: Mapping[str, str] | None = field(default=None, repr=False)

    @classmethod
    def generate(cls, server: str, device_name: str, kind: KeyKind = "rsa") -> Keyring:
        origin_of(server)
        signing, wrapping = generate_key(kind), generate_key(kind)
        return cls(server, signing, wrapping, os.urandom(32), device_name=device_name)

    @property
    def origin(self) -> str:
        return origin_of(self.server)

    @property
    def kind(self) -> KeyKind:
        return "p256" if self.signing.public.is_p256 else "rsa"

    @property
    def newest_epoch(self) -> int:
        return max(self.key_epochs)

    def to_json(self) -> dict[str, Any]:
        return {
            "server": self.server,
            "signing": b64(self.signing.der),
            "wrapping": b64(self.wrapping.der),
            "store_key": b64(self.store_key),
            "key_epochs": {str(epoch): b64(key) for epoch, key in self.key_epochs.items()},
            "user_id": self.user_id,
            "device_id": self.device_id,
            "device_name": self.device_name,
            "joining": dict(self.joining) if self.joining else None,
            "recovery": dict(self.recovery) if self.recovery else None,
        }

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Keyring:
        return cls(
            server=fields["server"],
            signing=read_private_key(unb64(fields["signing"])),
            wrapping=read_private_key(unb64(fields["wrapping"])),
            store_key=unb64(fields["store_key"]),
            key_epochs={int(epoch): unb64(key) for epoch, key in fields["key_epochs"].items()},
            user_id=fields["user_id"],
            device_id=fields["device_id"],
            device_name=fields["device_name"],
            joining=fields["joining"],
            recovery=fields.get("recovery"),
        )


class KeyringFile:
    """A keyring on disk, opened once; later saves need no passphrase again."""

    def __init__(self, path: Path, lock: _Lock) -> None:
        self.path = path
        self._lock = lock

    @classmethod
    def create(cls, path: Path, keyring: Keyring, passphrase: str) -> KeyringFile:
        """The file exists afterwards; AlreadySetUp if it did before."""
        file = cls(path, _Lock.fresh(passphrase))
        try:
            write_private(path, file._closed(keyring), is_new=True)
        except FileExistsError:
            raise AlreadySetUp("this folder already holds the keys of a device") from None
        return file

    @classmethod
    def open(cls, path: Path, passphrase: str) -> tuple[KeyringFile, Keyring]:
        """NotSetUp without a file, WrongPassphrase if it stays shut, KeyringError if damaged."""
        try:
            outer = json.loads(path.read_bytes())
            lock, body = _Lock.read(outer, passphrase)
            return cls(path, lock), Keyring.from_json(json.loads(body))
        except FileNotFoundError:
            raise NotSetUp("this folder holds no device yet: run `echolia init`") from None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise KeyringError("the keyring file is damaged") from error

    @staticmethod
    def is_locked(path: Path) -> bool:
        """Whether a passphrase is needed; False when there is no readable file."""
        try:
            return json.loads(path.read_bytes())["salt"] is not None
        except (OSError, ValueError, KeyError, TypeError):
            return False

    def save(self, keyring: Keyring) -> None:
        write_private(self.path, self._closed(keyring))

    def _closed(self, keyring: Keyring) -> bytes:
        body = json.dumps(keyring.to_json()).encode()
        return json.dumps(self._lock.close(body), indent=1).encode() + b"\n"


@dataclass(frozen=True, slots=True)
class _Lock:
    """The key that a passphrase and a salt make, or no key at all."""

    salt: bytes | None
    key: bytes = field(repr=False)

    @classmethod
    def fresh(cls, passphrase: str) -> _Lock:
        if not passphrase:
            return cls(None, b"")
        salt = os.urandom(16)
        return cls(salt, _stretch(passphrase, salt))

    @classmethod
    def read(cls, outer: Mapping[str, Any], passphrase: str) -> tuple[_Lock, bytes]:
        if outer["v"] != 1:
            raise KeyringError("the keyring file is from a newer version")
        body = unb64(outer["body"])
        if outer["salt"] is None:
            return cls(None, b""), body
        salt = unb64(outer["salt"])
        lock = cls(salt, _stretch(passphrase, salt))
        try:
            return lock, AESGCM(lock.key).decrypt(body[:12], body[12:], lp(_LABEL, salt))
        except InvalidTag:
            raise WrongPassphrase("the passphrase does not open this device's keys") from None

    def close(self, body: bytes) -> dict[str, Any]:
        if self.salt is None:
            return {"v": 1, "salt": None, "body": b64(body)}
        nonce = os.urandom(12)
        sealed = nonce + AESGCM(self.key).encrypt(nonce, body, lp(_LABEL, self.salt))
        return {"v": 1, "salt": b64(self.salt), "body": b64(sealed)}


def _stretch(passphrase: str, salt: bytes) -> bytes:
    # The same passphrase typed on another system may come in another Unicode form.
    text = unicodedata.normalize("NFC", passphrase).encode()
    return Scrypt(salt=salt, length=32, **_SCRYPT).derive(text)
