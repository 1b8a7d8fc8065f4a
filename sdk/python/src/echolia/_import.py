"""An account export into an account: put back as it was, or sealed anew for another account."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeVar

from ._errors import CannotOpen, KeyringError, KeysNeeded
from ._export import check_export, items_of
from ._keyring import Keyring
from ._merge import MergePolicy, merge
from ._push import Progress
from ._vault import Vault
from ._versions import ItemKey, Version

_BATCH = 200

T = TypeVar("T")


@dataclass(slots=True)
class AccountImport:
    """Items by what became of them. `unopenable`: the keys at hand open no version of it. Beside
    that, `in_part`: of so many they did not open every version."""

    added: int = 0
    already_here: int = 0
    deleted: int = 0
    unopenable: int = 0
    in_part: int = 0


def import_export(
    vault: Vault,
    path: Path,
    old: Keyring | None,
    policy: MergePolicy,
    progress: Progress,
) -> AccountImport:
    """Every item of the export is in the local view and in the outbox; doing it again, or going on
    after it was cut off, adds nothing twice.

    ExportDamaged if the file is not whole, KeysNeeded if it is of another account than this one and
    the account of `old`; then nothing was taken.
    """
    summary = check_export(path)
    taker = _taker_for(summary.user_id, vault, old, policy)
    report, done, total = AccountImport(), 0, summary.counts.get("item", 0)
    items = items_of(path)
    while batch := list(islice(items, _BATCH)):
        with vault.store.transaction():
            for key, versions in batch:
                taker.take(key, versions, report)
        done += len(batch)
        progress("import", done, max(done, total))
    return report


def _taker_for(
    user_id: str, vault: Vault, old: Keyring | None, policy: MergePolicy
) -> _PutBack | _SealAnew:
    if user_id == vault.user_id:
        return _PutBack(vault)
    if old is None:
        raise KeysNeeded("this export is of another account: the folder with its keys is needed")
    if old.user_id != user_id or old.device_id is None:
        raise KeyringError("the keys given are of another account than the export")
    return _SealAnew(vault, Vault(vault.store, old, policy), policy)


@dataclass(slots=True)
class _PutBack:
    """Into the very account: the same bytes, by the same authors, with the same clocks."""

    vault: Vault

    def take(self, key: ItemKey, versions: Sequence[Version], report: AccountImport) -> None:
        added = _opened(self.vault.put_back, versions, report)
        if not added:
            report.unopenable += 1
        elif any(added):
            report.added += 1
        else:
            report.already_here += 1


@dataclass(slots=True)
class _SealAnew:
    """Into another account: opened with the old account's keys and sealed under the new one's.

    One device cannot write two concurrent versions of one item, so siblings become the one version
    that the policy makes of them; the default keeps every text.
    """

    vault: Vault
    old: Vault
    policy: MergePolicy

    def take(self, key: ItemKey, versions: Sequence[Version], report: AccountImport) -> None:
        if self.vault.view(key) is not None:
            report.already_here += 1
            return
        siblings = _opened(self.old.open, versions, report)
        if not siblings:
            report.unopenable += 1
            return
        content = merge(siblings, self.policy)
        if content.is_deleted:
            report.deleted += 1
            return
        self.vault.put(key, content.payload, seen=())
        report.added += 1


def _opened(
    take: Callable[[Version], T], versions: Sequence[Version], report: AccountImport
) -> list[T]:
    """What came of each version that opens; one that does not takes no other along."""
    results = []
    for version in versions:
        with suppress(CannotOpen):
            results.append(take(version))
    report.in_part += 0 < len(results) < len(versions)
    return results
