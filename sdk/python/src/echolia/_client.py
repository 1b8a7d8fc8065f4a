"""The client: one device of one account, its journal, and the server it syncs with."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from . import _renewal
from ._account import STORE, AccountCalls
from ._canonical import b64, lp, unb64
from ._errors import (
    AlreadySetUp,
    AnswerInvalid,
    CannotOpen,
    NotAuthenticated,
    NotSetUp,
    Offline,
    OtherAccount,
)
from ._home import (
    DEFAULTS,
    Options,
    begin,
    connect,
    keyring_path,
    recovered,
    registered,
    settled,
)
from ._journal import Entries, Memories, Tags
from ._keyring import Keyring, KeyringFile
from ._keys import KeyKind
from ._names import checked_name, suggest_name
from ._pairing import Invitation
from ._pairing_flow import Inviter, Joining
from ._phrase import entropy_of
from ._push import Progress
from ._recovery import RecoveryKeys
from ._registration import register
from ._report import SyncReport
from ._safety import SafetyCalls
from ._sealing import open_bytes, seal_bytes
from ._session import Session
from ._store import Store
from ._sync import SyncEngine, silent
from ._vault import Vault
from ._versions import COLLECTIONS

if TYPE_CHECKING:
    from ._driver import Driver

DEFAULT_SERVER = "http://localhost:8000"
PAIRING_SECONDS = 300.0
_NAMED = "named"
_SESSION_AAD = lp(b"echolia/local/v1", b"session")


@dataclass(frozen=True, slots=True)
class LocalStatus:
    """Where this device stands, known without the network. `synced_at` in Unix seconds."""

    server: str
    user_id: str
    device_id: str
    device_name: str
    items: dict[str, int]
    pending: int
    conflicts: int
    unopenable: int
    synced_at: int | None


class Client(AccountCalls, SafetyCalls):
    """A device that belongs to an account. Use as a context manager, from one thread."""

    entries: Entries
    memories: Memories
    tags: Tags

    def __init__(self, file: KeyringFile, keyring: Keyring, options: Options) -> None:
        self._file = file
        self._options = options
        self._store = Store(file.path.parent / STORE)
        self._use(_renewal.settled(file, keyring, self._store))

    def _use(self, keyring: Keyring) -> None:
        self._keyring = keyring
        self.vault = Vault(self._store, keyring, self._options.merge_policy)
        self._engine = SyncEngine(self.vault, merge_wait_seconds=self._options.merge_wait_seconds)
        self.entries = Entries(self.vault)
        self.memories = Memories(self.vault)
        self.tags = Tags(self.vault)

    # -- coming to be

    @classmethod
    def create(
        cls,
        home: str | os.PathLike[str],
        *,
        server: str = DEFAULT_SERVER,
        passphrase: str = "",
        device_name: str | None = None,
        key: KeyKind = "rsa",
        options: Options = DEFAULTS,
    ) -> Client:
        """A new account with this device as its first; AlreadySetUp if `home` has one.

        `key` chooses the kind of a new device's keys. Interrupted at any point, calling it again
        goes on with the same keys.
        """
        name = checked_name(device_name) if device_name else suggest_name()
        file, keyring = begin(home, server, passphrase, name, key)
        _check_not_joining(keyring)
        # No server is known to have answered yet, so the one named now is the one that counts.
        wanted = replace(
            keyring,
            server=server,
            device_name=name if device_name else keyring.device_name,
            key_epochs=keyring.key_epochs or {1: os.urandom(32)},
        )
        if wanted != keyring:
            file.save(wanted)
            keyring = wanted
        if keyring.user_id is None:
            keyring = registered(file, keyring, options)
        return cls(file, keyring, options)._with_published_name()

    @classmethod
    def recover(
        cls,
        home: str | os.PathLike[str],
        phrase: str,
        *,
        server: str = DEFAULT_SERVER,
        passphrase: str = "",
        device_name: str | None = None,
        key: KeyKind = "rsa",
        options: Options = DEFAULTS,
    ) -> Client:
        """A new device of the account whose recovery phrase this is; its journal is still empty.

        PhraseInvalid, RecoveryRefused, or RecoveryDelayed: then call it again, with the same
        folder, when the wait is over. Interrupted, call it again as well.
        """
        keys = RecoveryKeys.of(entropy_of(phrase))
        name = checked_name(device_name) if device_name else suggest_name()
        file, keyring = begin(home, server, passphrase, name, key)
        _check_not_joining(keyring)
        keyring = recovered(file, replace(keyring, server=server), keys, options)
        return cls(file, keyring, options)._with_published_name()

    @classmethod
    def open(
        cls, home: str | os.PathLike[str], passphrase: str = "", *, options: Options = DEFAULTS
    ) -> Client:
        """The device in `home`; NotSetUp, WrongPassphrase or KeyringError.

        Works without the network, but for the first time after a pairing that was cut off
        between receiving the keys and the server's last word.
        """
        file, keyring = KeyringFile.open(keyring_path(home), passphrase)
        if keyring.device_id is None and keyring.user_id is not None:
            keyring = registered(file, keyring, options)
        if keyring.device_id is None or not keyring.key_epochs:
            raise NotSetUp("this device belongs to no account yet: run `init` or `pair` again")
        return cls(file, keyring, options)

    @staticmethod
    def needs_passphrase(home: str | os.PathLike[str]) -> bool:
        return KeyringFile.is_locked(keyring_path(home))

    # -- with the server

    def sync(
        self,
        *,
        confirm_deletes: int | None = None,
        verify: bool = False,
        progress: Progress = silent,
    ) -> SyncReport:
        """Send what waits, fetch what is new. ServerError leaves nothing lost on either side.

        `confirm_deletes` allows up to that many deletions where the server asks first. `verify`
        compares both sides as a whole and mends what differs, which else happens once a day. An
        account that the server deleted before anything was stored in it is replaced by a new one.
        """
        was_shared = self._store.was_ever_shared()
        try:
            return self._sync(confirm_deletes, verify, progress)
        except (NotAuthenticated, OtherAccount) as refusal:
            if was_shared or not _renewal.is_of_another_account(refusal):
                raise
        self._store.unsend()
        self._begin_anew()
        return self._sync(confirm_deletes, verify, progress)

    def _sync(self, confirm_deletes: int | None, verify: bool, progress: Progress) -> SyncReport:
        if self._store.meta(_NAMED) is None:
            self._publish_name()
        report = self._driver.run(
            self._engine.sync(confirm_deletes=confirm_deletes, verify=verify, progress=progress)
        )
        self.renew_bundle()
        return report

    def _begin_anew(self) -> None:
        session = self._driver.run(register(self._keyring, on_work=self._options.on_wait))
        moved = _renewal.move(self._store, self._keyring, session, self._options.merge_policy)
        self.__dict__.pop("_driver").close()
        self._use(_renewal.settled(self._file, moved, self._store))

    def invite(self) -> Invite:
        """Begin a pairing from this, the existing device."""
        return Invite(self._driver, Inviter(self._keyring))

    def status(self) -> LocalStatus:
        synced_at = self._store.meta("synced_at")
        views = (self.vault.view(key) for key in self._store.sibling_keys())
        return LocalStatus(
            server=self._keyring.server,
            user_id=self.vault.user_id,
            device_id=self.vault.device_id,
            device_name=self._keyring.device_name,
            items={name: self._store.count_items(name) for name in COLLECTIONS},
            pending=self._store.count_queued(),
            conflicts=sum(1 for view in views if view is not None and view.in_conflict),
            unopenable=len(self._store.aside()),
            synced_at=None if synced_at is None else int(synced_at),
        )

    @cached_property
    def _driver(self) -> Driver:
        return connect(
            self._keyring,
            self._options,
            session=self._load_session(),
            on_session=self._save_session,
        )

    def _load_session(self) -> Session | None:
        sealed = self._store.meta("session")
        if sealed is None:
            return None
        try:
            data = open_bytes({0: self._keyring.store_key}, 0, _SESSION_AAD, sealed)
            return Session.from_bytes(data)
        except (CannotOpen, AnswerInvalid, ValueError):
            return None  # the key can always make a new one

    def _save_session(self, session: Session) -> None:
        if (session.user_id, session.device_id) != (self.vault.user_id, self.vault.device_id):
            raise OtherAccount("the server answers for another account")
        sealed = seal_bytes(self._keyring.store_key, 0, _SESSION_AAD, session.to_bytes())
        self._store.set_meta("session", sealed)

    def _with_published_name(self) -> Client:
        """This client, once the server has its name; without the network, the next sync sends it.

        Only now are the ids known that the sealed name is bound to.
        """
        try:
            self._publish_name()
        except Offline:
            pass
        except BaseException:
            self.close()
            raise
        return self

    def _publish_name(self) -> None:
        name = self.vault.seal_name(self._keyring.device_name)
        self._driver.adopt(
            self._driver.run(register(self._keyring, name, on_work=self._options.on_wait))
        )
        self._store.set_meta(_NAMED, b"yes")

    # -- its own end

    def close(self) -> None:
        if "_driver" in self.__dict__:
            self._driver.close()
        self._store.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Invite:
    """The existing device's side of a pairing, step by step."""

    def __init__(self, driver: Driver, inviter: Inviter) -> None:
        self._driver = driver
        self._inviter = inviter
        self.link = driver.run(inviter.start()).link()

    def wait_for_join(self, seconds: float = PAIRING_SECONDS) -> None:
        """Returns when the other device shows its code."""
        self._driver.run(self._inviter.wait_for_join(seconds))

    def approve(self, code: str) -> None:
        """The other device belongs to the account. WrongCode may be tried again, twice."""
        self._driver.run(self._inviter.approve(code))

    def cancel(self) -> None:
        self._driver.run(self._inviter.cancel())


class Join:
    """The new device's side: `show_code`, then `finish`. Killed in between, begin it again."""

    def __init__(
        self,
        home: str | os.PathLike[str],
        link: str,
        *,
        passphrase: str = "",
        device_name: str | None = None,
        key: KeyKind = "rsa",
        options: Options = DEFAULTS,
    ) -> None:
        invitation = Invitation.parse(link)
        name = checked_name(device_name) if device_name else suggest_name()
        self._options = options
        self._file, keyring = begin(home, invitation.origin, passphrase, name, key)
        if keyring.user_id is not None:
            raise AlreadySetUp("this folder already belongs to an account")
        if keyring.joining is None or keyring.joining["link"] != link.strip():
            joining = {"link": link.strip(), "nonce": b64(os.urandom(16))}
            # An `init` that was never answered may have left a server and a vault key behind.
            keyring = replace(keyring, joining=joining, server=invitation.origin, key_epochs={})
            self._file.save(keyring)
        nonce = unb64((keyring.joining or {})["nonce"])
        self._keyring = keyring
        self._driver = connect(keyring, options)
        self._joining = Joining(keyring, invitation, nonce)

    def show_code(self, seconds: float = PAIRING_SECONDS) -> str:
        """Six digits, to be typed on the existing device."""
        self._driver.run(self._joining.join())
        return self._driver.run(self._joining.wait_for_code(seconds))

    def finish(self, seconds: float = PAIRING_SECONDS) -> Client:
        """This device belongs to the account and holds its keys; its journal is still empty."""
        user_id, key_epochs = self._driver.run(self._joining.wait_for_keys(seconds))
        # Kept before the last call: from here on the key alone can log in.
        keyring = replace(self._keyring, user_id=user_id, key_epochs=key_epochs)
        self._file.save(keyring)
        session = self._driver.run(self._joining.complete())
        keyring = settled(self._file, keyring, session)
        self.close()
        return Client(self._file, keyring, self._options)._with_published_name()

    def close(self) -> None:
        self._driver.close()

    def __enter__(self) -> Join:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _check_not_joining(keyring: Keyring) -> None:
    if keyring.joining is not None:
        raise AlreadySetUp(
            "this folder is in the middle of a pairing: finish that, or choose another folder"
        )
