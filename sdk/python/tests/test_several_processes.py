"""One home, several processes (a sync by timer, an editor left open): no word is lost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from echolia import AlreadySetUp, MassDelete, Offline, StoreError
from echolia._answers import Answer
from echolia._calls import Call
from echolia._canonical import new_id
from echolia._keyring import Keyring, KeyringFile
from echolia._store import Store
from echolia._versions import ItemKey

from .conftest import Desk, Desks
from .fake_server import FakeServer, Row


class Second(Desk):
    """The same device in another process: the same file, its own connection."""

    def __init__(self, first: Desk) -> None:
        super().__init__(first.path, first.keyring, first.server, first._now)


class Interrupting(FakeServer):
    """Lets something happen between two calls of a sync."""

    def __init__(self) -> None:
        super().__init__()
        self.before: dict[str, Callable[[], object]] = {}
        self.after: dict[str, Callable[[], object]] = {}

    def handle(self, device_id: str, call: Call) -> Answer:
        self.before.pop(call.path, lambda: None)()
        try:
            return super().handle(device_id, call)
        finally:
            self.after.pop(call.path, lambda: None)()


def test_an_edit_that_replaced_an_unsent_one_meanwhile_is_kept(desks: Desks) -> None:
    """Both carry the same clock, so the clock alone cannot tell what the editor showed."""
    ana = desks.add()
    other = Second(ana)
    on_screen = ana.entries.add("start")
    other.entries.edit(on_screen.id, "from the other window")
    after = ana.entries.edit(on_screen, "typed for an hour")
    assert "from the other window" in after.text
    assert "typed for an hour" in after.text


def test_a_deletion_spares_what_came_in_after_the_entry_was_read(desks: Desks) -> None:
    ana, ben = desks.add(), desks.add()
    entry = ana.entries.add("start")
    desks.settle()
    on_screen = ana.entries.get(entry.id)
    ben.entries.edit(entry.id, "start, and a thought")
    desks.settle()
    ana.entries.delete(on_screen)
    desks.settle()
    assert ana.texts() == ben.texts() == ["start, and a thought"]


def test_a_deletion_of_what_was_read_deletes_it(desks: Desks) -> None:
    ana, ben = desks.add(), desks.add()
    entry = ana.entries.add("start")
    desks.settle()
    ben.entries.delete(ben.entries.get(entry.id))
    desks.settle()
    assert ana.texts() == ben.texts() == []


def test_an_edit_between_choosing_and_sending_sends_the_edit_alone(desks: Desks) -> None:
    ana = desks.add()
    other = Second(ana)
    entry = ana.entries.add("one")
    ana.store.set_meta("limits", b"{}")
    chosen = ana.store.sendable

    def choose(after: int) -> Any:
        found = list(chosen(after))
        if other.texts() == ["one"]:
            other.entries.edit(entry.id, "two")
        return found

    ana.store.sendable = choose  # type: ignore[method-assign]
    ana.sync()
    assert (ana.texts(), ana.store.count_queued()) == (["two"], 0)
    assert not ana.entries.get(entry.id).in_conflict


def test_two_syncs_at_once_send_everything_once(desks: Desks) -> None:
    desks.server = server = Interrupting()
    ana = desks.add()
    other = Second(ana)
    for number in range(3):
        ana.entries.add(f"{number}")
    server.before["/sync/push"] = other.sync
    report = ana.sync()
    assert (report.pending, len(server.log)) == (0, 3)
    assert ana.texts() == ["0", "1", "2"]


def test_a_reset_of_another_process_is_not_cut_short(desks: Desks) -> None:
    """A page asked for before it must not set the cursor behind what the reset has to see."""
    desks.server = server = Interrupting()
    ana = desks.add()
    other = Second(ana)
    for number in range(6):
        ana.entries.add(f"{number}")
    ana.sync()
    server.page = 2

    def expire() -> None:
        ana_cursor = other.store.meta("cursor")
        other.store.set_meta("synced_at", b"1")
        other.store.doubt_held()
        other.store.set_meta("reset", b"cursor_expired")
        other.store.set_meta("reset_from", ana_cursor)
        other.store.set_meta("cursor", None)

    server.after["/sync/pull"] = expire
    report = ana.sync()
    assert (report.dropped, len(ana.texts())) == (0, 6)


def test_two_first_starts_at_once_make_one_device(tmp_path: Path, keyring: Keyring) -> None:
    KeyringFile.create(tmp_path / "keyring.json", keyring, "")
    with pytest.raises(AlreadySetUp):
        KeyringFile.create(tmp_path / "keyring.json", keyring, "")
    assert [path.name for path in tmp_path.iterdir()] == ["keyring.json"]
    assert (tmp_path / "keyring.json").stat().st_mode & 0o777 == 0o600


def test_a_store_that_is_locked_for_long_says_so_and_can_be_used_again(tmp_path: Path) -> None:
    one, two = Store(tmp_path / "store.db"), Store(tmp_path / "store.db")
    two._db.execute("PRAGMA busy_timeout = 10")
    with one.transaction():
        one.set_meta("name", b"value")
        with pytest.raises(StoreError), two.transaction():
            raise AssertionError("the lock is held")
    with two.transaction():
        assert two.meta("name") == b"value"
    one.close()
    two.close()


def test_a_commit_that_fails_leaves_nothing_half_open(tmp_path: Path) -> None:
    one, two = Store(tmp_path / "store.db"), Store(tmp_path / "store.db")
    one._db.execute("PRAGMA busy_timeout = 10")
    two._db.execute("BEGIN")
    two.meta("name")
    with pytest.raises(StoreError), one.transaction():
        one.set_meta("name", b"lost")
    two._db.execute("COMMIT")
    with one.transaction():
        assert one.meta("name") is None
    one.close()
    two.close()


# -- the outbox


def test_an_edit_made_small_enough_goes_out_though_the_large_one_was_sent(desks: Desks) -> None:
    class Narrow(FakeServer):
        def _push_one(self, pusher: str, change: Row, resets: bool) -> Row:
            if len(change["encrypted_data"]) > 2000:
                key = {"collection": change["collection"], "id": change["id"]}
                return {**key, "verdict": "rejected", "code": "too_large"}
            return super()._push_one(pusher, change, resets)

    desks.server = Narrow()
    ana, ben = desks.add(), desks.add()
    entry = ana.entries.add("long " * 1000)
    with pytest.raises(Offline):
        ana.sync(lambda n, call: "after" if call.path == "/sync/push" else "")
    ana.entries.edit(entry.id, "short")
    assert ana.sync().complete
    ben.sync()
    assert ben.texts() == ["short"]


def test_a_yes_to_some_deletions_is_no_yes_to_as_many_again(desks: Desks) -> None:
    class Doubtful(FakeServer):
        def push(self, device_id: str, body: Row) -> Row:
            deletes = sum(1 for change in body["changes"] if change["is_deleted"])
            if deletes > 1 and body.get("confirm_deletes") != deletes:
                raise MassDelete(409, "mass_delete", extras={"deletes": deletes, "live": 9})
            return super().push(device_id, body)

    desks.server = Doubtful()
    ana = desks.add()
    items = [ana.entries.add(f"{number}") for number in range(6)]
    ana.sync()
    for item in items:
        ana.entries.delete(item)
    ana.store.set_meta("limits", b'{"max_push_changes": 3}')
    report = ana.sync(confirm_deletes=3)
    assert (report.pending, report.pending_deletes) == (3, 3)
    assert ana.sync(confirm_deletes=report.pending_deletes).complete


def test_a_clock_that_was_years_ahead_does_not_put_off_a_merge_for_years(desks: Desks) -> None:
    ana, ben = desks.add(), desks.add()
    entry = ana.entries.add("start")
    desks.settle()
    ana.entries.edit(entry.id, "from ana")
    ben.entries.edit(entry.id, "from ben")
    ben.sync()
    ana.merge_wait = (100, 200)
    desks.time += 10**9
    ana.sync()
    desks.time -= 10**9
    ana.sync()
    ana.sync()
    assert len(ana.store.versions_of(ItemKey("entries", entry.id))) == 1


def test_titles_and_sources_of_both_sides_of_a_conflict_are_kept(desks: Desks) -> None:
    ana, ben = desks.add(), desks.add()
    entry = ana.entries.add("text", title="old")
    memory = ana.memories.add("fact")
    desks.settle()
    first, second = new_id(), new_id()
    for desk, title, source in ((ana, "by ana", first), (ben, "by ben", second)):
        desk.entries.edit(entry.id, "text", title=title)
        key = ItemKey("memories", memory.id)
        view = desk.vault.view(key)
        assert view is not None
        payload = {**view.content.payload, "entry_ids": [source]}
        desk.vault.put(key, payload, seen=view.siblings)
    desks.settle()
    assert ana.entries.get(entry.id).title == "by ben / by ana"
    assert set(ana.memories.get(memory.id).entry_ids) == {first, second}
