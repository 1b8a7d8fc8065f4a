"""A device whose account was deleted before anything was stored in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from echolia import Client, NotAuthenticated, _renewal

from . import real_server
from .test_real_server import pair

pytestmark = pytest.mark.skipif(not real_server.is_here(), reason="only beside the server's code")


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with real_server.serving(tmp_path_factory.mktemp("server") / "data") as origin:
        yield origin


@pytest.fixture
def client(origin: str, tmp_path: Path) -> Iterator[Client]:
    with Client.create(tmp_path / "one", server=origin) as made:
        yield made


def test_it_begins_anew_and_what_waited_is_sent(client: Client, tmp_path: Path) -> None:
    client.sync()
    kept = client.entries.add("written while it was away")
    client.entries.edit(client.entries.add("twice"), "twice, edited")
    client.entries.delete(client.entries.add("gone"))
    before = client.vault.user_id
    client.delete_account()
    report = client.sync()
    assert report.complete
    assert client.vault.user_id != before
    assert client.entries.get(kept.id).text == "written while it was away"
    client.close()
    with Client.open(tmp_path / "one") as again, pair(again, tmp_path / "two") as other:
        other.sync()
        assert sorted(one.text for one in other.entries.list()) == sorted(
            ["written while it was away", "twice, edited"]
        )
        assert [one.name for one in other.devices()].count(None) == 0


def test_one_that_had_anything_stored_does_not(client: Client) -> None:
    client.entries.add("stored")
    client.sync()
    before = client.vault.user_id
    client.delete_account()
    for _ in range(2):
        with pytest.raises(NotAuthenticated):
            client.sync()
    assert client.vault.user_id == before
    assert [one.text for one in client.entries.list()] == ["stored"]


def test_one_that_is_revoked_does_not(client: Client, tmp_path: Path) -> None:
    with pair(client, tmp_path / "two") as other:
        client.revoke(other.vault.device_id)
        with pytest.raises(NotAuthenticated) as refused:
            other.sync()
        assert refused.value.code == "device_revoked"


class Killed(BaseException):
    """The process ends here."""


def test_killed_before_its_keys_are_saved_it_goes_on(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.entries.add("one")
    client.delete_account()

    def die(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(_renewal, "settled", die)
        with pytest.raises(Killed):
            client.sync()
    client.close()
    for _ in range(2):
        with Client.open(tmp_path / "one") as again:
            assert again.sync().complete
            assert [one.text for one in again.entries.list()] == ["one"]


def test_killed_before_its_store_has_moved_it_goes_on(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.entries.add("one")
    client.delete_account()

    def die(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(_renewal, "move", die)
        with pytest.raises(Killed):
            client.sync()
    client.close()
    with Client.open(tmp_path / "one") as again:
        assert again.sync().complete
        assert [one.text for one in again.entries.list()] == ["one"]
