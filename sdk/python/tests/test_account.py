"""An account as a whole, against the server of this repository: out, in again, and gone."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from echolia import (
    Client,
    ExportDamaged,
    KeyringError,
    KeysNeeded,
    NotAuthenticated,
    NotSetUp,
    Offline,
    Options,
    check_export,
    erase_device,
    keep_both,
)
from echolia._canonical import b64, new_id
from echolia._export import FORMAT, ExportCheck
from echolia._import import import_export
from echolia._store import Store
from echolia._sync import silent
from echolia._vault import Vault
from echolia.cli import main

from . import real_server
from .conftest import Desks
from .fake_server import raw
from .test_real_server import pair

pytestmark = pytest.mark.skipif(not real_server.is_here(), reason="only beside the server's code")


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with real_server.serving(tmp_path_factory.mktemp("server") / "data") as origin:
        yield origin


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with real_server.serving(tmp_path_factory.mktemp("elsewhere") / "data") as origin:
        yield origin


@pytest.fixture
def account(origin: str, tmp_path: Path) -> Iterator[Client]:
    with Client.create(tmp_path / "one", server=origin) as client:
        yield client


def texts(client: Client) -> list[str]:
    return sorted(entry.text for entry in client.entries.list())


def journal(client: Client) -> dict[str, tuple[str, str, int]]:
    return {one.id: (one.text, one.title, one.created_at) for one in client.entries.list()}


def test_the_server_says_what_it_holds(account: Client) -> None:
    account.entries.add("one")
    account.sync()
    held = account.account()
    assert (held.user_id, held.devices) == (account.vault.user_id, 1)
    assert 0 < held.used < held.limit


def test_an_export_opens_in_an_empty_account_of_another_server(
    account: Client, elsewhere: str, tmp_path: Path
) -> None:
    """The same texts, tags, memories and times; siblings keep every word."""
    with account.vault.store.transaction():
        for number in range(450):
            account.entries.add(f"entry {number} ☂", created_at=1_600_000_000 + number)
    kept = account.entries.list()[0]
    account.memories.add("a memory", entry_ids=(kept.id,))
    account.tags.add("a tag", entry_id=kept.id)
    account.entries.delete(account.entries.list()[-1])
    account.sync()
    with pair(account, tmp_path / "two", Options(merge_wait_seconds=None)) as other:
        other.sync()
        other.entries.edit(kept.id, "written there")
        account.entries.edit(kept.id, "written here")
        other.sync()
        account.sync()
    before = journal(account)
    assert "written there" in before[kept.id][0]
    assert "written here" in before[kept.id][0]
    file = tmp_path / "account.ndjson"
    summary = account.export_account(file)
    assert summary.counts["item"] == 452
    assert file.stat().st_mode & 0o777 == 0o600
    assert b"entry 1" not in file.read_bytes()

    home = tmp_path / "new"
    with Client.create(home, server=elsewhere) as fresh:
        with pytest.raises(KeysNeeded):
            fresh.import_account(file)
        with pytest.raises(KeyringError):
            fresh.import_account(file, old_home=home)
        report = fresh.import_account(file, old_home=tmp_path / "one")
        assert (report.added, report.deleted, report.unopenable) == (451, 1, 0)
        assert journal(fresh) == before
        assert fresh.tags.list()[0].entry_id == kept.id
        assert fresh.memories.list()[0].entry_ids == (kept.id,)
        again = fresh.import_account(file, old_home=tmp_path / "one")
        assert (again.added, again.already_here) == (0, 451)
        with pair(fresh, tmp_path / "third") as third:
            third.sync()
            assert journal(third) == before


def test_an_import_that_is_cut_off_goes_on(account: Client, elsewhere: str, tmp_path: Path) -> None:
    with account.vault.store.transaction():
        for number in range(450):
            account.entries.add(f"entry {number}")
    account.sync()
    file = tmp_path / "account.ndjson"
    account.export_account(file)

    class Cut(Exception):
        pass

    def cut(stage: str, done: int, total: int) -> None:
        if stage == "import" and done >= 400:
            raise Cut

    with Client.create(tmp_path / "new", server=elsewhere) as fresh:
        with pytest.raises(Cut):
            fresh.import_account(file, old_home=tmp_path / "one", progress=cut)
        assert len(texts(fresh)) == 400
        report = fresh.import_account(file, old_home=tmp_path / "one")
        assert (report.added, report.already_here) == (50, 400)
        assert texts(fresh) == texts(account)


def test_an_account_gets_back_what_its_server_lost(desks: Desks, tmp_path: Path) -> None:
    """Nothing is left but the export and a device without a store: every version comes back as it
    was, and siblings stay siblings."""
    one, two = desks.add(), desks.add()
    kept = one.entries.add("old")
    one.entries.add("other")
    desks.settle()
    one.entries.edit(kept.id, "by one")
    two.entries.edit(kept.id, "by two")
    desks.settle()
    before, held = one.texts(), dict(desks.server.items)
    file = tmp_path / "export"
    file.write_bytes(export_of(desks))
    desks.server.items.clear()
    desks.server.log.clear()
    desks.server.epoch += 1
    bare = desks.add()
    for added in (2, 0):
        report = import_export(bare.vault, file, None, keep_both, silent)
        assert (report.added, report.already_here) == (added, 2 - added)
        bare.sync()
    assert bare.texts() == before
    assert desks.server.items.keys() == held.keys()
    for key, rows in held.items():
        assert sorted(map(raw, desks.server.items[key])) == sorted(map(raw, rows))


@pytest.mark.parametrize("is_own", [True, False], ids=["put back", "sealed anew"])
def test_a_sibling_that_does_not_open_takes_no_other_along(
    desks: Desks, tmp_path: Path, is_own: bool
) -> None:
    one, two = desks.add(), desks.add()
    kept = one.entries.add("old")
    desks.settle()
    one.entries.edit(kept.id, "by one")
    two.entries.edit(kept.id, "by two")
    desks.settle()
    rows = desks.server.items["entries", kept.id]
    assert len(rows) == 2
    for damaged in range(2):
        envelope = base64.b64encode(raw(rows[damaged])[:-1] + b"!").decode()
        changed = [dict(row) for row in rows]
        changed[damaged]["encrypted_data"] = envelope
        desks.server.items["entries", kept.id] = changed
        file = tmp_path / f"export {damaged}"
        file.write_bytes(export_of(desks))
        keyring = replace(desks.keyring, device_id=new_id())
        if not is_own:
            keyring = replace(keyring, user_id=new_id(), key_epochs={1: os.urandom(32)})
        store = Store(tmp_path / f"new {damaged}.db")
        vault = Vault(store, keyring)
        report = import_export(vault, file, desks.keyring, keep_both, silent)
        assert (report.added, report.unopenable, report.in_part) == (1, 0, 1)
        (view,) = vault.views("entries")
        assert view.content.payload["text"] in ("by one", "by two")
        store.close()


def export_of(desks: Desks) -> bytes:
    """What the server would export, items alone."""
    items = [
        {"type": "item", "collection": key[0], "id": key[1], "seq": at, "versions": rows}
        for at, (key, rows) in enumerate(desks.server.items.items(), start=1)
    ]
    user_id = desks.keyring.user_id
    header = {"type": "header", "format": FORMAT, "user_id": user_id, "exported_at": 1}
    held = [line(**item) for item in items]
    digest = hashlib.sha256(b"".join(held)).hexdigest()
    section = line(type="section", name="item", count=len(held), sha256=digest)
    before = b"".join([line(**header), *held, section])
    sums = {"lines": len(held) + 2, "counts": {"item": len(held)}}
    return before + line(type="end", **sums, sha256=hashlib.sha256(before).hexdigest())


def line(**members: object) -> bytes:
    return json.dumps(members, separators=(",", ":"), default=b64).encode() + b"\n"


# -- damage


@pytest.fixture(scope="module")
def exported(origin: str, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("exported")
    with Client.create(folder / "one", server=origin) as client:
        for number in range(5):
            client.entries.add(f"entry {number}")
        client.sync()
        client.export_account(folder / "file")
    return (folder / "file").read_bytes()


def check(data: bytes, size: int = 1000) -> None:
    found = ExportCheck()
    for at in range(0, len(data), size):
        found.feed(data[at : at + size])
    found.finish()


def test_an_export_cut_off_anywhere_is_noticed(exported: bytes) -> None:
    for size in (1, 17, 1000, len(exported)):
        check(exported, size)
    for end in range(0, len(exported), 97):
        with pytest.raises(ExportDamaged):
            check(exported[:end])
    with pytest.raises(ExportDamaged):
        check(exported[:-1])


def test_any_flipped_bit_is_noticed(exported: bytes) -> None:
    for at in range(0, len(exported), 61):
        changed = bytearray(exported)
        changed[at] ^= 1
        with pytest.raises(ExportDamaged):
            check(bytes(changed))


def test_a_line_that_is_left_out_doubled_or_moved_is_noticed(exported: bytes) -> None:
    lines = exported.splitlines(keepends=True)
    for at in range(len(lines)):
        with pytest.raises(ExportDamaged):
            check(b"".join(lines[:at] + lines[at + 1 :]))
        with pytest.raises(ExportDamaged):
            check(b"".join(lines[: at + 1] + lines[at:]))
    items = [at for at, line in enumerate(lines) if line.startswith(b'{"type":"item"')]
    lines[items[0]], lines[items[1]] = lines[items[1]], lines[items[0]]
    with pytest.raises(ExportDamaged):
        check(b"".join(lines))


def test_a_damaged_file_is_refused_before_anything_is_taken(
    account: Client, exported: bytes, tmp_path: Path
) -> None:
    file = tmp_path / "damaged"
    file.write_bytes(exported[:-200])
    with pytest.raises(ExportDamaged):
        check_export(file)
    with pytest.raises(ExportDamaged):
        account.import_account(file, old_home=tmp_path / "one")
    assert texts(account) == []


class Cutting(httpx.BaseTransport):
    """Ends the first answers to an export early, as a lost connection or a lying proxy would."""

    def __init__(self, times: int, *, loudly: bool) -> None:
        self._inner = httpx.HTTPTransport()
        self.left, self._loudly = times, loudly

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = self._inner.handle_request(request)
        if request.url.path != "/account/export" or not self.left:
            return response
        self.left -= 1
        return httpx.Response(200, stream=_Cut(response, loudly=self._loudly))

    def close(self) -> None:
        self._inner.close()


class _Cut(httpx.SyncByteStream):
    def __init__(self, response: httpx.Response, *, loudly: bool) -> None:
        self._response, self._loudly = response, loudly

    def __iter__(self) -> Iterator[bytes]:
        stream = self._response.stream
        assert isinstance(stream, httpx.SyncByteStream)
        yield b"".join(stream)[:700]
        if self._loudly:
            raise httpx.ReadError("the connection broke")

    def close(self) -> None:
        self._response.close()


@pytest.mark.parametrize(("loudly", "error"), [(True, Offline), (False, ExportDamaged)])
def test_an_export_that_is_cut_off_is_fetched_again(
    account: Client, tmp_path: Path, loudly: bool, error: type[Exception]
) -> None:
    account.entries.add("one")
    account.sync()
    home, file = tmp_path / "one", tmp_path / "account.ndjson"
    for times, fails in ((2, False), (3, True)):
        file.write_bytes(b"what was there before")
        transport = Cutting(times, loudly=loudly)
        with Client.open(home, options=Options(transport=transport)) as client:
            if fails:
                with pytest.raises(error):
                    client.export_account(file)
                assert file.read_bytes() == b"what was there before"
            else:
                client.export_account(file)
                check_export(file)
        assert transport.left == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["account.ndjson", "one"]


# -- the end


def test_a_deleted_account_is_gone_for_all_its_devices(account: Client, tmp_path: Path) -> None:
    account.entries.add("one")
    account.sync()
    with pair(account, tmp_path / "two") as other:
        other.sync()
        account.delete_account()
        for client in (account, other):
            with pytest.raises(NotAuthenticated):
                client.account()
        assert texts(other) == ["one"], "what a device holds is its own"
    account.close()
    erase_device(tmp_path / "one")
    assert list((tmp_path / "one").iterdir()) == []
    with pytest.raises(NotSetUp):
        Client.open(tmp_path / "one")


class LosesAnswer(httpx.BaseTransport):
    """The first deletion arrives, and its answer does not."""

    def __init__(self) -> None:
        self._inner = httpx.HTTPTransport()
        self.lost = 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = self._inner.handle_request(request)
        if request.method == "DELETE" and not self.lost:
            self.lost += 1
            response.close()
            raise httpx.ReadTimeout("lost answer", request=request)
        return response

    def close(self) -> None:
        self._inner.close()


def test_a_deletion_whose_answer_is_lost_is_done(account: Client, tmp_path: Path) -> None:
    account.sync()
    transport = LosesAnswer()
    with Client.open(tmp_path / "one", options=Options(transport=transport)) as client:
        client.delete_account()
    assert transport.lost == 1
    with pytest.raises(NotAuthenticated):
        account.account()


def test_the_terminal_exports_imports_shows_and_deletes(
    origin: str,
    elsewhere: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("ECHOLIA_PASSPHRASE", raising=False)

    def run(home: str, *words: str, expect: int = 0) -> str:
        assert main(["--home", str(tmp_path / home), *words]) == expect
        return capsys.readouterr().out

    run("one", "init", "--server", origin)
    run("one", "write", "Dear diary")
    run("one", "sync")
    assert json.loads(run("one", "--json", "account"))["devices"] == 1
    file = str(tmp_path / "account.ndjson")
    assert json.loads(run("one", "--json", "export", "--account", file))["counts"]["item"] == 1
    run("two", "init", "--server", elsewhere)
    run("two", "import", "--account", file, expect=9)
    old = str(tmp_path / "one")
    assert json.loads(run("two", "--json", "import", "--account", file, "--old-home", old)) == {
        "added": 1,
        "already_here": 0,
        "deleted": 0,
        "unopenable": 0,
        "in_part": 0,
    }
    (entry,) = json.loads(run("two", "--json", "list"))
    assert entry["text"].strip() == "Dear diary"

    answer: Callable[[str], None] = lambda text: monkeypatch.setattr(  # noqa: E731
        sys, "stdin", io.StringIO(text)
    )
    answer("no\n")
    run("one", "account", "delete", expect=1)
    run("one", "account")
    answer("delete\n")
    run("one", "account", "delete", "--export", str(tmp_path / "kept"))
    assert len(list((tmp_path / "kept").rglob("*.md"))) == 1
    run("one", "list", expect=3)
