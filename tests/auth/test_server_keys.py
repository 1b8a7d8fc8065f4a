"""The server's own keys."""

import stat
from pathlib import Path

import pytest

from app.auth.server_keys import GENERATED, KeySet, ServerKeys, load_server_keys, mac
from tests.conftest import SECRET, settings_for


def test_no_two_purposes_share_a_key() -> None:
    keys = KeySet.of(SECRET.encode())
    derived = [keys.access, keys.challenge, keys.nonce, keys.cursor, keys.refresh]
    assert len(set(derived)) == len(derived)
    assert {len(key) for key in derived} == {32}
    assert SECRET.encode() not in derived


def test_a_secret_gives_the_same_keys_each_time_and_another_gives_others() -> None:
    assert KeySet.of(b"a" * 32) == KeySet.of(b"a" * 32)
    assert KeySet.of(b"a" * 32).access != KeySet.of(b"b" * 32).access


def test_earlier_secrets_verify_and_do_not_sign() -> None:
    keys = ServerKeys.of(b"new" * 12, [b"old" * 12, b"older" * 8])
    assert keys.current == KeySet.of(b"new" * 12)
    assert [each.kid for each in keys.all] == [
        KeySet.of(secret).kid for secret in (b"new" * 12, b"old" * 12, b"older" * 8)
    ]
    assert keys.by_id(KeySet.of(b"old" * 12).kid) == KeySet.of(b"old" * 12)
    assert keys.by_id("nothing") is None
    assert keys.by_id(None) is None


def test_the_mac_is_that_of_rfc_4231() -> None:
    assert mac(b"\x0b" * 20, b"Hi There").hex() == (
        "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
    )


def test_a_development_secret_is_made_once_for_this_user_alone(tmp_path: Path) -> None:
    settings = settings_for(tmp_path, jwt_secret=None)
    settings.data_dir.mkdir()
    first = load_server_keys(settings)
    file = settings.data_dir / GENERATED
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert len(file.read_bytes()) >= 32
    assert load_server_keys(settings) == first
    assert [path.name for path in settings.data_dir.iterdir()] == [GENERATED]


def test_two_folders_get_two_secrets(tmp_path: Path) -> None:
    kids = set()
    for name in ("one", "two"):
        settings = settings_for(tmp_path / name, jwt_secret=None)
        settings.data_dir.mkdir(parents=True)
        kids.add(load_server_keys(settings).current.kid)
    assert len(kids) == 2


@pytest.mark.parametrize("left", [b"", b"short"])
def test_a_file_too_short_to_be_a_secret_is_replaced(tmp_path: Path, left: bytes) -> None:
    """Of an empty secret anybody could derive every key of the server."""
    settings = settings_for(tmp_path, jwt_secret=None)
    settings.data_dir.mkdir()
    (settings.data_dir / GENERATED).write_bytes(left)
    assert load_server_keys(settings) != ServerKeys.of(left)
    assert len((settings.data_dir / GENERATED).read_bytes()) >= 32
