"""A device's folder, and the ways a keyring in it comes to belong to an account."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ._calls import Exchange, T
from ._canonical import origin_of
from ._errors import AlreadySetUp, PairingForged, RecoveryForged, Refused
from ._files import make_private_folder
from ._keyring import Keyring, KeyringFile
from ._keys import KeyKind
from ._merge import MergePolicy, keep_both
from ._patience import OnWait, unnoticed
from ._recovery import RecoveryKeys
from ._recovery_flow import recover
from ._registration import register
from ._session import Session
from ._sync import MERGE_WAIT_SECONDS

if TYPE_CHECKING:
    import httpx

    from ._driver import Driver

_KEYRING = "keyring.json"


@dataclass(frozen=True, slots=True)
class Options:
    """What an app may replace: the transport (tests), how conflicts read, when they are merged.

    `merge_wait_seconds` bounds the random wait before siblings are merged; None: only edits
    merge them. `on_wait` is told the seconds and why, before this device waits for a server that
    asks it to.
    """

    transport: httpx.BaseTransport | None = None
    merge_policy: MergePolicy = keep_both
    merge_wait_seconds: tuple[float, float] | None = MERGE_WAIT_SECONDS
    on_wait: OnWait = unnoticed


DEFAULTS = Options()


def keyring_path(home: str | os.PathLike[str]) -> Path:
    return Path(home).expanduser() / _KEYRING


def begin(
    home: str | os.PathLike[str], server: str, passphrase: str, name: str, kind: KeyKind = "rsa"
) -> tuple[KeyringFile, Keyring]:
    """The unfinished keyring of `home`, or a new one; AlreadySetUp if it is finished."""
    path = keyring_path(home)
    origin_of(server)
    if not path.exists():
        make_private_folder(path.parent)
        keyring = Keyring.generate(server, name, kind)
        return KeyringFile.create(path, keyring, passphrase), keyring
    file, keyring = KeyringFile.open(path, passphrase)
    if keyring.device_id is not None:
        raise AlreadySetUp("this folder already belongs to an account")
    return file, keyring


def registered(file: KeyringFile, keyring: Keyring, options: Options) -> Keyring:
    exchange = register(keyring, on_work=options.on_wait)
    return settled(file, keyring, _run(keyring, exchange, options))


def settled(file: KeyringFile, keyring: Keyring, session: Session) -> Keyring:
    """The keyring with the ids the server gave, saved; PairingForged for another account."""
    if keyring.user_id not in (None, session.user_id):
        raise PairingForged("the server names another account than the other device")
    complete = replace(keyring, user_id=session.user_id, device_id=session.device_id, joining=None)
    file.save(complete)
    return complete


def recovered(file: KeyringFile, keyring: Keyring, keys: RecoveryKeys, options: Options) -> Keyring:
    """The keyring of a device that came in by a phrase, saved; RecoveryForged for a bundle that
    the phrase does not open. Interrupted, it is done again with the same keys."""
    file.save(keyring)
    try:
        session, bundle = _run(keyring, recover(keyring, keys), options)
    except Refused as refusal:
        if refusal.code != "public_key_in_use":
            raise
        # An `init` in this folder, whose answer was lost, made an account of its own.
        fresh = Keyring.generate(keyring.server, keyring.device_name, keyring.kind)
        keyring = replace(keyring, signing=fresh.signing, wrapping=fresh.wrapping)
        file.save(keyring)
        session, bundle = _run(keyring, recover(keyring, keys), options)
    user_id, key_epochs = keys.open_bundle(bundle)
    if user_id != session.user_id:
        raise RecoveryForged("the server names another account than the phrase")
    complete = replace(
        keyring,
        user_id=user_id,
        device_id=session.device_id,
        key_epochs=key_epochs,
        recovery=keys.kept().to_json(),
    )
    file.save(complete)
    return complete


def _run(keyring: Keyring, exchange: Exchange[T], options: Options) -> T:
    driver = connect(keyring, options)
    try:
        return driver.run(exchange)
    finally:
        driver.close()


def connect(
    keyring: Keyring,
    options: Options,
    *,
    session: Session | None = None,
    on_session: Callable[[Session], None] | None = None,
) -> Driver:
    # Only here, because the HTTP client takes longer to import than most commands to run,
    # and reading and writing need no network.
    from ._driver import Driver

    return Driver(
        keyring.signing,
        keyring.origin,
        options.transport,
        session=session,
        on_session=on_session,
        on_wait=options.on_wait,
    )
