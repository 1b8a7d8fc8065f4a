"""The account as a whole: what the server says of it, its export, its end."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ._calls import Call, Exchange, Proof
from ._canonical import b64url
from ._errors import NotAuthenticated
from ._export import ExportSummary, fetch_export
from ._files import sync_folder
from ._home import Options, keyring_path
from ._import import AccountImport, import_export
from ._keyring import Keyring, KeyringFile
from ._push import Progress
from ._report import SyncReport
from ._session import signed_statement
from ._sync import silent
from ._vault import Vault

if TYPE_CHECKING:
    from ._driver import Driver

STORE = "store.db"
_TRIES = 3


@dataclass(frozen=True, slots=True)
class Account:
    """What the server says it holds. `created_at` in Unix seconds, sizes in bytes."""

    user_id: str
    created_at: int
    devices: int
    used: int
    limit: int


class AccountCalls:
    """The part of a client that is about its account as a whole."""

    vault: Vault
    sync: Callable[..., SyncReport]
    _keyring: Keyring
    _options: Options

    if TYPE_CHECKING:

        @property
        def _driver(self) -> Driver: ...

    def account(self) -> Account:
        return self._driver.run(_account())

    def export_account(
        self, path: str | os.PathLike[str], *, progress: Progress = silent
    ) -> ExportSummary:
        """Everything the server has stored about the account, in one file, checked to be whole.

        Texts in it are sealed: it is worth nothing without this device's folder, so keep both.
        """
        target = Path(path).expanduser().absolute()
        return fetch_export(self._driver, target, self.vault.user_id, progress)

    def import_account(
        self,
        path: str | os.PathLike[str],
        *,
        old_home: str | os.PathLike[str] | None = None,
        old_passphrase: str = "",
        progress: Progress = silent,
    ) -> AccountImport:
        """The journal of an export is in this account, here and on the server.

        An export of this very account is put back as it was, as far as it is missing. That of
        another account is opened with the keys in `old_home`, the folder of one of its devices.
        Cut off, it goes on when it is called again.
        """
        old = None if old_home is None else _keys_in(old_home, old_passphrase)
        self.sync(progress=progress)
        report = import_export(
            self.vault, Path(path).expanduser(), old, self._options.merge_policy, progress
        )
        self.sync(progress=progress)
        return report

    def delete_account(self) -> None:
        """The account is gone from the server, for every device. What this folder holds stays:
        `erase_device` takes that away."""
        self._driver.run(_delete_account(self._keyring))


def erase_device(home: str | os.PathLike[str]) -> None:
    """The keys and the store of `home` are gone; without the keys, sealed copies open no more."""
    keys = keyring_path(home)
    for path in (keys, keys.parent / STORE, keys.parent / f"{STORE}-journal"):
        if path.exists():
            _overwrite(path)
            path.unlink()
    sync_folder(keys.parent)


def _overwrite(path: Path) -> None:
    with path.open("r+b") as file:
        left = path.stat().st_size
        while left > 0:
            left -= file.write(bytes(min(left, 1024 * 1024)))
        file.flush()
        os.fsync(file.fileno())


def _keys_in(home: str | os.PathLike[str], passphrase: str) -> Keyring:
    return KeyringFile.open(keyring_path(home), passphrase)[1]


def _account() -> Exchange[Account]:
    answer = yield Call("GET", "/account")
    storage = answer.object("storage")
    return Account(
        user_id=answer.id("user_id"),
        created_at=answer.number("created_at"),
        devices=answer.number("devices"),
        used=storage.number("used"),
        limit=storage.number("limit"),
    )


def _delete_account(keyring: Keyring) -> Exchange[None]:
    yield from _account()  # who is let in here and refused below has had it deleted
    thumbprint = keyring.signing.public.thumbprint
    asked = {"key_thumbprint": b64url(thumbprint), "purpose": "delete_account"}
    for left in reversed(range(_TRIES)):
        challenge = (yield Call("POST", "/auth/challenge", asked, proof=Proof.NONE)).data(
            "challenge"
        )
        statement = signed_statement("delete-account", keyring.origin, challenge, thumbprint)
        body = {"challenge": challenge, "signature": keyring.signing.sign(statement)}
        try:
            yield Call("DELETE", "/account", body)
        except NotAuthenticated as refusal:
            if refusal.code == "login_failed":
                return  # the answer to an earlier try was lost
            if refusal.code != "challenge_invalid" or not left:
                raise
        else:
            return
