"""Real keys, made once; real files, made per test."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from echolia._canonical import new_id
from echolia._journal import Entries, Memories
from echolia._keyring import Keyring
from echolia._keys import RsaKey
from echolia._merge import MergePolicy, keep_both
from echolia._report import SyncReport
from echolia._store import Store
from echolia._sync import SyncEngine
from echolia._vault import Vault

from .fake_server import FakeServer, Fault, drive

ORIGIN = "http://localhost:8000"


@pytest.fixture(scope="session")
def rsa_keys() -> list[RsaKey]:
    """Six keys; making one takes longer than most tests."""
    return [RsaKey.generate() for _ in range(6)]


@pytest.fixture(scope="session", autouse=True)
def cheap_keys(rsa_keys: list[RsaKey]) -> Iterator[None]:
    """Devices made in this process get other pairings of the primes of those six keys.

    Each is a whole key of full size and unlike every other, at none of the cost. Safe they are
    not: whoever has two with a prime in common has both.
    """
    numbers = [one.key.private_numbers() for one in rsa_keys]
    primes = [prime for one in numbers for prime in (one.p, one.q)]
    made = iter(
        [_key_of(p, q) for p, q in combinations(primes, 2) if abs(p - q).bit_length() > 1500]
    )
    generate = RsaKey.generate
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RsaKey, "generate", lambda: next(made, None) or generate())
        yield


def _key_of(p: int, q: int) -> RsaKey:
    e = 65537
    d = pow(e, -1, (p - 1) * (q - 1))
    crt = rsa.rsa_crt_dmp1(d, p), rsa.rsa_crt_dmq1(d, q), rsa.rsa_crt_iqmp(p, q)
    numbers = rsa.RSAPrivateNumbers(p, q, d, *crt, rsa.RSAPublicNumbers(e, p * q))
    return RsaKey(numbers.private_key(unsafe_skip_rsa_key_validation=True))


@pytest.fixture(scope="session")
def keyring(rsa_keys: list[RsaKey]) -> Keyring:
    """The first device of an account."""
    return Keyring(
        server=ORIGIN,
        signing=rsa_keys[0],
        wrapping=rsa_keys[1],
        store_key=os.urandom(32),
        key_epochs={1: os.urandom(32)},
        user_id=new_id(),
        device_id=new_id(),
        device_name="amber otter",
    )


class Desk:
    """One device as a test sees it: its store on disk, its vault, and a way to sync."""

    def __init__(
        self,
        path: Path,
        keyring: Keyring,
        server: FakeServer,
        now: Callable[[], float],
        policy: MergePolicy = keep_both,
    ) -> None:
        self.path, self.keyring, self.server, self._now = path, keyring, server, now
        self.policy = policy
        self.merge_wait: tuple[float, float] | None = None
        self.device_id = str(keyring.device_id)
        server.devices.add(self.device_id)
        self.open()

    def open(self) -> None:
        self.store = Store(self.path)
        self.vault = Vault(self.store, self.keyring, self.policy, now=self._now)
        self.entries = Entries(self.vault, now=self._now)
        self.memories = Memories(self.vault, now=self._now)

    def crash(self) -> None:
        """The process dies; what is on disk is all that remains."""
        self.store.close()
        self.open()

    def copied(self, path: Path) -> Desk:
        """The same device twice, as after restoring a backup of the home folder."""
        shutil.copy(self.path, path)
        return Desk(path, self.keyring, self.server, self._now, self.policy)

    def sync(
        self,
        fault: Fault | None = None,
        confirm_deletes: int | None = None,
        verify: bool = False,
    ) -> SyncReport:
        engine = SyncEngine(self.vault, merge_wait_seconds=self.merge_wait, now=self._now)
        exchange = engine.sync(confirm_deletes=confirm_deletes, verify=verify)
        report: SyncReport = drive(self.server, self.device_id, exchange, fault)
        return report

    def texts(self) -> list[str]:
        return sorted(entry.text for entry in self.entries.list())


class Desks:
    """Devices of one account around one fake server, with a clock that only tests move."""

    def __init__(self, folder: Path, keyring: Keyring) -> None:
        self.folder, self.keyring, self.server = folder, keyring, FakeServer()
        self.time = 1_700_000_000.0
        self.all: list[Desk] = []

    def add(self, policy: MergePolicy = keep_both) -> Desk:
        keyring = replace(self.keyring, device_id=new_id())
        path = self.folder / f"{len(self.all)}.db"
        desk = Desk(path, keyring, self.server, self.now, policy)
        self.all.append(desk)
        return desk

    def now(self) -> float:
        self.time += 1
        return self.time

    def settle(self) -> None:
        """Everybody syncs until nobody has anything new."""
        for _ in range(3):
            for desk in self.all:
                desk.sync()

    def close(self) -> None:
        for desk in self.all:
            desk.store.close()


@pytest.fixture
def desks(tmp_path: Path, keyring: Keyring) -> Iterator[Desks]:
    desks = Desks(tmp_path, keyring)
    yield desks
    desks.close()
