"""Keys at rest."""

from __future__ import annotations

import sqlite3
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from echolia import AlreadySetUp, Client, KeyringError, NotSetUp, StoreError, WrongPassphrase
from echolia import _keyring as module
from echolia._canonical import b64
from echolia._keyring import Keyring, KeyringFile
from echolia._store import Store
from echolia._versions import ItemKey


@pytest.fixture(autouse=True)
def _fast_scrypt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(module._SCRYPT, "n", 2**10)


@pytest.mark.parametrize("passphrase", ["", "correct horse", "pässwörd ✓"])
def test_a_keyring_comes_back_whole(tmp_path: Path, keyring: Keyring, passphrase: str) -> None:
    path = tmp_path / "keyring.json"
    KeyringFile.create(path, keyring, passphrase)
    _, again = KeyringFile.open(path, passphrase)
    assert again.to_json() == keyring.to_json()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert KeyringFile.is_locked(path) is bool(passphrase)


def test_one_passphrase_in_two_unicode_forms_is_one(tmp_path: Path, keyring: Keyring) -> None:
    path = tmp_path / "keyring.json"
    KeyringFile.create(path, keyring, "pa\u0308ss")
    assert KeyringFile.open(path, "p\u00e4ss")[1].user_id == keyring.user_id


def test_a_wrong_passphrase_opens_nothing(tmp_path: Path, keyring: Keyring) -> None:
    path = tmp_path / "keyring.json"
    KeyringFile.create(path, keyring, "right")
    for wrong in ("wrong", ""):
        with pytest.raises(WrongPassphrase):
            KeyringFile.open(path, wrong)


def test_a_save_needs_no_passphrase_again(tmp_path: Path, keyring: Keyring) -> None:
    path = tmp_path / "keyring.json"
    file = KeyringFile.create(path, keyring, "right")
    file.save(replace(keyring, device_name="new name"))
    assert KeyringFile.open(path, "right")[1].device_name == "new name"


@pytest.mark.parametrize(
    "damage", [b"", b"{}", b"[]", b"null", b'{"v":1,"salt":null,"body":"e30="}']
)
def test_a_damaged_file_says_so(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "keyring.json"
    path.write_bytes(damage)
    with pytest.raises(KeyringError, match="damaged"):
        KeyringFile.open(path, "")


def test_nothing_is_made_twice_or_opened_before_it_is_made(
    tmp_path: Path, keyring: Keyring
) -> None:
    path = tmp_path / "keyring.json"
    with pytest.raises(NotSetUp):
        KeyringFile.open(path, "")
    KeyringFile.create(path, keyring, "")
    with pytest.raises(AlreadySetUp):
        KeyringFile.create(path, keyring, "")


def test_with_a_passphrase_no_file_of_the_home_can_be_read(
    tmp_path: Path, keyring: Keyring
) -> None:
    KeyringFile.create(tmp_path / "keyring.json", keyring, "right")
    with Client.open(tmp_path, "right") as client:
        entry = client.entries.add("a secret text", title="a secret title")
        client.entries.edit(entry, "another secret text")
        client.tags.add("a secret tag")
    secrets = [b"secret", b"amber otter", *keyring.key_epochs.values(), keyring.store_key]
    for file in tmp_path.iterdir():
        data = file.read_bytes()
        assert not any(secret in data for secret in secrets)
        assert not any(b64(secret).encode() in data for secret in secrets)
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_deleted_text_leaves_no_trace_in_the_store(tmp_path: Path, keyring: Keyring) -> None:
    KeyringFile.create(tmp_path / "keyring.json", keyring, "")
    with Client.open(tmp_path) as client:
        entry = client.entries.add("soon gone")
        (stored,) = client.vault.store.versions_of(ItemKey("entries", entry.id))
        client.entries.delete(entry.id)
    assert stored.version.envelope[100:140] not in (tmp_path / "store.db").read_bytes()


def test_a_store_of_a_newer_kind_is_left_alone(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "store.db") as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(StoreError, match="newer"):
        Store(tmp_path / "store.db")
