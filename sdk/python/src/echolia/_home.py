"""A device's folder, and the ways a keyring in it comes to belong to an account."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ._canonical import origin_of
from ._errors import AlreadySetUp, PairingForged
from ._files import make_private_folder
from ._keyring import Keyring, KeyringFile
from ._merge import MergePolicy, keep_both
from ._patience import OnWait, unnoticed
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
    home: str | os.PathLike[str], server: str, passphrase: str, name: str
) -> tuple[KeyringFile, Keyring]:
    """The unfinished keyring of `home`, or a new one; AlreadySetUp if it is finished."""
    path = keyring_path(home)
    origin_of(server)
    if not path.exists():
        make_private_folder(path.parent)
        keyring = Keyring.generate(server, name)
        return KeyringFile.create(path, keyring, passphrase), keyring
    file, keyring = KeyringFile.open(path, passphrase)
    if keyring.device_id is not None:
        raise AlreadySetUp("this folder already belongs to an account")
    return file, keyring


def registered(file: KeyringFile, keyring: Keyring, options: Options) -> Keyring:
    driver = connect(keyring, options)
    try:
        session = driver.run(register(keyring, on_work=options.on_wait))
    finally:
        driver.close()
    return settled(file, keyring, session)


def settled(file: KeyringFile, keyring: Keyring, session: Session) -> Keyring:
    """The keyring with the ids the server gave, saved; PairingForged for another account."""
    if keyring.user_id not in (None, session.user_id):
        raise PairingForged("the server names another account than the other device")
    complete = replace(keyring, user_id=session.user_id, device_id=session.device_id, joining=None)
    file.save(complete)
    return complete


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
