"""A device under the model: the whole client on its real folder, dying and coming back."""

from collections.abc import Callable
from pathlib import Path

import pytest

import echolia._client
import echolia._store
from echolia import Client, Entry, Join
from echolia._home import Options
from echolia._report import SyncReport
from echolia._versions import COLLECTIONS, Version
from tests.kit.sync import Key
from tests.model.link import Link
from tests.model.mortal import Died, MortalConnection, WatchedStore

AT_ONCE = (0.0, 0.0)
SHARED = "<shared>"


class Device:
    """One device. Its clock is the server's, but for `ahead` seconds."""

    def __init__(
        self, home: Path, link: Link, now: Callable[[], float], on_kept: Callable[[Version], None]
    ) -> None:
        self._home = home
        self._options = Options(transport=link, merge_wait_seconds=None)
        self._now = now
        self._on_kept = on_kept
        self.ahead = 0.0
        self.opened: Entry | None = None
        self.client: Client
        self._come_up()

    @property
    def id(self) -> str:
        return self.client.vault.device_id

    def _come_up(self) -> None:
        """Only what is on disk is known."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(echolia._store, "Connection", MortalConnection)
            patch.setattr(echolia._client, "Store", lambda path: WatchedStore(path, self._on_kept))
            self.client = Client.open(self._home, options=self._options)
        self.client._engine._is_verify_due = lambda: False  # type: ignore[method-assign]
        for part in (self.client.vault, self.client._engine, self.client.entries):
            part._now = lambda: self._now() + self.ahead
        self.opened = None

    def die(self) -> None:
        self.client.close()
        self._come_up()

    def lives(self, work: Callable[[], None], dies: int | None) -> bool:
        """Do `work`, unless the store dies within `dies` statements; whether it was done."""
        self._store.live_for(dies)
        try:
            work()
        except Died:
            self.die()
            return False
        self._store.live_for(None)
        return True

    @property
    def _store(self) -> WatchedStore:
        store = self.client._store
        assert isinstance(store, WatchedStore)
        return store

    def sync(self, *, is_eager: bool = False, verify: bool = False) -> SyncReport:
        """One sync; the whole is compared when asked for, not once a day."""
        self.client._engine._merge_wait = AT_ONCE if is_eager else None
        return self.client.sync(verify=verify)

    def texts(self) -> dict[str, str]:
        return {entry.id: entry.text for entry in self.client.entries.list()}

    def view(self) -> dict[Key, list[Version]]:
        """Every version here, whether or not it was sent."""
        return {
            (key.collection, key.item_id): [one.version for one in stored]
            for name in COLLECTIONS
            for key, stored in self._store.items(name)
        }


def set_up(folder: Path, link: Link, count: int) -> None:
    """The folders of an account's devices, which share one entry."""
    options = Options(transport=link, merge_wait_seconds=None)
    first = Client.create(folder / "0", key="p256", device_name="device 0", options=options)
    with first:
        first.entries.add(SHARED)
        first.sync()
        for number in range(1, count):
            with _pair(first, folder / str(number), options) as other:
                other.sync()


def _pair(first: Client, home: Path, options: Options) -> Client:
    invitation = first.invite()
    with Join(home, invitation.link, key="p256", device_name="another", options=options) as joining:
        joining._driver.run(joining._joining.join())
        invitation.wait_for_join()
        invitation.approve(joining.show_code())
        return joining.finish()
