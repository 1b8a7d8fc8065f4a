"""The SDK against the server of this repository, over real sockets and real files."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from echolia import (
    Client,
    Invite,
    Join,
    NotAuthenticated,
    Offline,
    Options,
    PairingCancelled,
    PairingForged,
    WrongCode,
)
from echolia._keyring import Keyring, KeyringFile
from echolia._pairing import Invitation

from . import real_server

pytestmark = pytest.mark.skipif(not real_server.is_here(), reason="only beside the server's code")


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    data = tmp_path_factory.mktemp("server") / "data"
    with real_server.serving(data, MAX_ITEM_BYTES="20000") as origin:
        yield origin


@pytest.fixture
def account(origin: str, tmp_path: Path) -> Iterator[Client]:
    with Client.create(tmp_path / "one", server=origin, device_name="amber otter") as client:
        yield client


def pair(client: Client, home: Path, options: Options | None = None) -> Client:
    """Both roles at once, as two people with two devices would do it."""
    invitation = client.invite()
    with Join(
        home, invitation.link, device_name="quiet heron", options=options or Options()
    ) as joining:
        invitation.approve(meet(invitation, joining))
        return joining.finish(20)


def meet(invitation: Invite, joining: Join) -> str:
    """The code that the new device shows once the other has seen it join."""
    shown: list[str] = []
    thread = threading.Thread(target=lambda: shown.append(joining.show_code(20)))
    thread.start()
    invitation.wait_for_join(20)
    thread.join()
    return shown[0]


class Faulty(httpx.BaseTransport):
    """Loses requests or answers, or sends twice, as `decide` says for each path."""

    def __init__(self, decide: Callable[[str], str]) -> None:
        self._inner = httpx.HTTPTransport()
        self._decide = decide

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        what = self._decide(request.url.path)
        if what == "before":
            raise httpx.ReadTimeout("lost request", request=request)
        response = self._inner.handle_request(request)
        if what == "after":
            response.read()
            raise httpx.ReadTimeout("lost answer", request=request)
        return response

    def close(self) -> None:
        self._inner.close()


def test_two_devices_share_a_journal(account: Client, tmp_path: Path) -> None:
    entry = account.entries.add("Dear diary, today was fine. ✓")
    account.tags.add("good days", entry_id=entry.id)
    account.memories.add("likes fine days", entry_ids=(entry.id,))
    assert account.sync().complete
    with pair(account, tmp_path / "two") as other:
        assert other.sync().complete
        assert other.entries.get(entry.id).text == entry.text
        assert [tag.name for tag in other.tags.list()] == ["good days"]
        assert [memory.entry_ids for memory in other.memories.list()] == [(entry.id,)]
        names = {device.name for device in account.devices()}
    assert names == {"amber otter", "quiet heron"}


def test_concurrent_edits_are_both_kept(account: Client, tmp_path: Path) -> None:
    entry = account.entries.add("start")
    account.sync()
    with pair(account, tmp_path / "two") as other:
        other.sync()
        account.entries.edit(entry, "from one")
        other.entries.edit(entry.id, "from two")
        account.sync()
        other.sync()
        account.sync()
        assert account.entries.get(entry.id).text == other.entries.get(entry.id).text
        assert {"from one", "from two"} <= set(other.entries.get(entry.id).text.split("\n"))


def test_every_lost_message_is_made_good(origin: str, tmp_path: Path) -> None:
    """Each request and each answer of a whole life is lost once; nothing is, in the end."""
    seen: set[tuple[str, str]] = set()

    def once(path: str) -> str:
        for what in ("before", "after"):
            if (path, what) not in seen:
                seen.add((path, what))
                return what
        return ""

    options = Options(transport=Faulty(once))
    with Client.create(tmp_path / "one", server=origin, options=options) as client:
        client.entries.add("hello")
        client.sync()
        report = client.sync()
        assert report.complete
        assert client.status().items["entries"] == 1


def test_a_lost_refresh_does_not_end_the_session(
    account: Client, origin: str, tmp_path: Path
) -> None:
    account.sync()
    session = account._load_session()
    assert session is not None
    account._driver.adopt(replace(session, access_token="spoilt"))
    lost: list[str] = []

    def lose_first_refresh(path: str) -> str:
        if path == "/auth/refresh" and not lost:
            lost.append(path)
            return "after"
        assert path != "/auth/login"
        return ""

    account.close()
    options = Options(transport=Faulty(lose_first_refresh))
    with Client.open(tmp_path / "one", options=options) as again:
        assert again.sync().complete
    assert lost


def test_a_device_whose_tokens_are_gone_comes_back_by_its_key(
    account: Client, tmp_path: Path
) -> None:
    account.sync()
    account._store.set_meta("session", None)
    account.close()
    with Client.open(tmp_path / "one") as again:
        assert again.sync().complete


def test_a_wrong_clock_does_no_harm(
    account: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("echolia._proofs.time.time", lambda: 1_000_000_000.0)
    account._store.set_meta("session", None)
    account.close()
    with Client.open(tmp_path / "one") as again:
        again.entries.add("from the past")
        assert again.sync().complete


def test_a_revoked_device_is_locked_out_and_keeps_what_it_wrote(
    account: Client, tmp_path: Path
) -> None:
    with pair(account, tmp_path / "two") as other:
        other.sync()
        account.revoke(other.vault.device_id)
        account.revoke(other.vault.device_id)
        other.entries.add("written after")
        with pytest.raises(NotAuthenticated):
            other.sync()
        assert [entry.text for entry in other.entries.list()] == ["written after"]


def test_too_large_an_entry_stays_here_and_the_rest_goes(account: Client) -> None:
    large = account.entries.add("x" * 40_000)
    account.entries.add("small")
    report = account.sync()
    assert (report.pushed, [held.code for held in report.held_back]) == (2, ["too_large"])
    account.entries.edit(large, "short after all")
    assert account.sync().complete


def test_a_mass_of_deletions_waits_for_a_yes(account: Client) -> None:
    with account.vault.store.transaction():
        entries = [account.entries.add(f"entry {number}") for number in range(102)]
    account.sync()
    with account.vault.store.transaction():
        for entry in entries:
            account.entries.delete(entry.id)
    report = account.sync()
    assert report.mass_delete is not None
    assert (report.mass_delete.deletes, report.pending) == (102, 102)
    assert account.sync(confirm_deletes=102).complete


def test_wrong_codes_are_counted_and_the_third_ends_the_pairing(
    account: Client, tmp_path: Path
) -> None:
    invitation = account.invite()
    with Join(tmp_path / "two", invitation.link) as joining:
        code = meet(invitation, joining)
        wrong = "000000" if code != "000000" else "111111"
        for left in (2, 1):
            with pytest.raises(WrongCode) as caught:
                invitation.approve(wrong)
            assert caught.value.tries_left == left
        with pytest.raises(PairingCancelled):
            invitation.approve(wrong)
        with pytest.raises(PairingCancelled):
            joining.finish(20)


def test_a_joiner_without_the_secret_is_found_out(account: Client, tmp_path: Path) -> None:
    invitation = account.invite()
    forged = replace(Invitation.parse(invitation.link), secret=bytes(32))
    with Join(tmp_path / "two", forged.link()) as joining:
        joining._driver.run(joining._joining.join())
        with pytest.raises(PairingForged):
            invitation.wait_for_join(20)


def test_a_join_survives_the_death_of_the_new_device(
    account: Client, tmp_path: Path, origin: str
) -> None:
    """Killed with the keys in hand but before the server's last word: `open` goes on."""
    home = tmp_path / "two"
    deaths = Options(transport=Faulty(lambda p: "before" if p.endswith("/complete") else ""))
    with pytest.raises(Offline):
        pair(account, home, deaths)
    with Client.open(home) as other:
        account.entries.add("hello")
        account.sync()
        other.sync()
        assert [entry.text for entry in other.entries.list()] == ["hello"]


def test_an_interrupted_init_goes_on_with_the_same_keys(origin: str, tmp_path: Path) -> None:
    home = tmp_path / "one"
    deaf = Options(transport=Faulty(lambda p: "after" if p == "/auth/register" else ""))
    with pytest.raises(Offline):
        Client.create(home, server=origin, options=deaf)
    _, before = KeyringFile.open(home / "keyring.json", "")
    with Client.create(home, server=origin) as client:
        client.entries.add("hello")
        assert client.sync().complete
    _, after = KeyringFile.open(home / "keyring.json", "")
    assert before.signing.der == after.signing.der
    assert before.key_epochs == after.key_epochs


def test_a_server_put_back_from_yesterday_gets_everything_back(tmp_path: Path) -> None:
    data, backup = tmp_path / "data", tmp_path / "backup"
    secret = {"JWT_SECRET": "an unchanging secret for both lives of this server"}
    with (
        real_server.serving(data, **secret) as origin,
        Client.create(tmp_path / "one", server=origin) as client,
    ):
        kept = client.entries.add("kept")
        client.sync()
    shutil.copytree(data, backup)
    with real_server.serving(data, **secret) as second:
        _move(tmp_path / "one", second)
        with Client.open(tmp_path / "one") as client:
            client.entries.add("lost with the disk")
            client.entries.edit(kept, "kept and changed")
            client.sync()
    shutil.rmtree(data)
    shutil.copytree(backup, data)
    with real_server.serving(data, **secret) as third:
        _move(tmp_path / "one", third)
        with Client.open(tmp_path / "one") as client:
            client.entries.edit(kept.id, "kept and changed twice")
            client.sync()
            assert client.sync().complete
            with pair(client, tmp_path / "two") as other:
                other.sync()
                texts = sorted(entry.text for entry in other.entries.list())
    assert texts == ["kept and changed twice", "lost with the disk"]


def _move(home: Path, origin: str) -> None:
    """The server is back at another port: a test's trouble, not a user's."""
    file, keyring = KeyringFile.open(home / "keyring.json", "")
    file.save(replace(keyring, server=origin))
    assert isinstance(keyring, Keyring)


DYING = """
import os, sys
import httpx
from echolia import Client, Options

home, path, when = sys.argv[1:]

class Dying(httpx.HTTPTransport):
    def handle_request(self, request):
        if request.url.path == path and when == "before":
            os._exit(9)
        response = super().handle_request(request)
        if request.url.path == path and when == "after":
            response.read()
            os._exit(9)
        return response

Client.open(home, options=Options(transport=Dying())).sync()
"""


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("path", ["/sync/push", "/sync/pull"])
def test_a_process_that_dies_while_syncing_loses_and_doubles_nothing(
    account: Client, tmp_path: Path, path: str, when: str
) -> None:
    account.sync()
    entry = account.entries.add("first words")
    account.close()
    command = [sys.executable, "-c", DYING, str(tmp_path / "one"), path, when]
    source = Path(__file__).parents[1] / "src"
    died = subprocess.run(command, check=False, env={**os.environ, "PYTHONPATH": str(source)})
    assert died.returncode == 9
    with Client.open(tmp_path / "one") as again:
        again.entries.edit(entry, "last words")
        assert again.sync().complete
        assert [one.text for one in again.entries.list()] == ["last words"]
        assert not again.entries.get(entry.id).in_conflict


def test_a_name_that_did_not_arrive_at_the_start_arrives_with_the_first_sync(
    origin: str, tmp_path: Path
) -> None:
    registered: list[str] = []

    def lose_the_second(path: str) -> str:
        if path == "/auth/register":
            registered.append(path)
        return "before" if len(registered) in (2, 3, 4) and path == "/auth/register" else ""

    options = Options(transport=Faulty(lose_the_second))
    with Client.create(
        tmp_path / "one", server=origin, device_name="amber otter", options=options
    ) as client:
        assert [device.name for device in client.devices()] == [None]
        client.sync()
        assert [device.name for device in client.devices()] == ["amber otter"]
