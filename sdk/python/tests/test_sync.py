"""The sync engine, one promise a test."""

from __future__ import annotations

from pathlib import Path

import pytest

from echolia import AnswerInvalid, MassDelete, Offline, Refused
from echolia._calls import Call
from echolia._versions import ItemKey

from .conftest import Desks
from .fake_server import FakeServer, Row


def test_what_one_device_writes_another_reads(desks: Desks) -> None:
    ana, ben = desks.add(), desks.add()
    ana.entries.add("hello")
    ana.sync()
    ben.sync()
    assert ben.texts() == ["hello"]


def test_a_lost_request_leaves_the_edit_in_the_outbox(desks: Desks) -> None:
    ana = desks.add()
    ana.entries.add("hello")
    with pytest.raises(Offline):
        ana.sync(lambda n, call: "before" if call.path == "/sync/push" else "")
    assert ana.store.count_queued() == 1
    ana.sync()
    assert (ana.store.count_queued(), len(desks.server.items)) == (0, 1)


def test_a_lost_answer_is_asked_again_with_the_same_bytes(desks: Desks) -> None:
    ana = desks.add()
    ana.entries.add("hello")
    sent: list[object] = []

    def lose(number: int, call: Call) -> str:
        if call.path != "/sync/push":
            return ""
        sent.append(call.body)
        return "after" if len(sent) == 1 else ""

    with pytest.raises(Offline):
        ana.sync(lose)
    ana.crash()
    ana.sync(lose)
    assert sent[0] == sent[1]
    assert len(desks.server.log) == 1


def test_an_unsent_edit_is_replaced_and_keeps_its_counter(desks: Desks) -> None:
    ana = desks.add()
    entry = ana.entries.add("one")
    ana.entries.edit(entry, "two")
    (queued,) = ana.store.sendable(0)
    assert queued.version.clock.as_dict() == {ana.device_id: 1}


def test_a_sent_edit_stays_queued_until_it_is_answered(desks: Desks) -> None:
    ana = desks.add()
    entry = ana.entries.add("one")
    with pytest.raises(Offline):
        ana.sync(lambda n, call: "after" if call.path == "/sync/push" else "")
    ana.entries.edit(entry, "two")
    assert ana.store.count_queued() == 2
    ana.sync()
    assert (ana.store.count_queued(), ana.texts()) == (0, ["two"])


def test_a_replayed_edit_is_in_the_view_when_the_next_one_is_written(desks: Desks) -> None:
    """The clock of an edit never covers a version whose text the writer could not see."""
    ana, ben = desks.add(), desks.add()
    entry = ana.entries.add("start")
    ana.sync()
    ben.sync()
    ana.entries.edit(entry, "start ana")
    ben.entries.edit(entry.id, "start ben")
    ben.sync()
    with pytest.raises(Offline):
        ana.sync(lambda n, call: "after" if call.path == "/sync/push" else "")
    ana.sync(lambda n, call: "")
    shown = ana.entries.get(entry.id).text
    assert "start ana" in shown
    assert "start ben" in shown


def test_both_texts_of_a_conflict_are_shown_alike_everywhere(desks: Desks) -> None:
    ana, ben = desks.add(), desks.add()
    entry = ana.entries.add("start")
    desks.settle()
    ana.entries.edit(entry.id, "from ana")
    ben.entries.edit(entry.id, "from ben")
    desks.settle()
    (shown,) = ana.texts()
    assert ben.texts() == [shown]
    assert shown.index("from ben") < shown.index("from ana")
    assert ana.entries.get(entry.id).in_conflict


def test_an_edit_ends_a_conflict_on_every_device(desks: Desks) -> None:
    ana, ben = desks.add(), desks.add()
    entry = ana.entries.add("start")
    desks.settle()
    ana.entries.edit(entry.id, "from ana")
    ben.entries.edit(entry.id, "from ben")
    desks.settle()
    ana.entries.edit(entry.id, "settled")
    desks.settle()
    assert ben.texts() == ["settled"]
    assert not ben.entries.get(entry.id).in_conflict


@pytest.mark.parametrize("deletion_is_newer", [True, False])
def test_an_edit_outlives_a_deletion_that_had_not_seen_it(
    desks: Desks, deletion_is_newer: bool
) -> None:
    ana, ben = desks.add(), desks.add()
    entry = ana.entries.add("start")
    desks.settle()
    if not deletion_is_newer:
        ana.entries.delete(entry.id)
    ben.entries.edit(entry.id, "still wanted")
    if deletion_is_newer:
        ana.entries.delete(entry.id)
    desks.settle()
    assert ana.texts() == ben.texts() == ["still wanted"]
    assert ana.entries.get(entry.id).outlived_delete


def test_a_deletion_reaches_every_device(desks: Desks) -> None:
    ana, ben = desks.add(), desks.add()
    entry = ana.entries.add("start")
    desks.settle()
    ben.entries.delete(entry.id)
    desks.settle()
    assert ana.texts() == ben.texts() == []


def test_eager_machines_merge_once_and_then_rest(desks: Desks) -> None:
    people = [desks.add() for _ in range(3)]
    entry = people[0].entries.add("start")
    desks.settle()
    for at, desk in enumerate(people):
        desk.merge_wait = (0, 0)
        desk.entries.edit(entry.id, f"from {at}")
    for _ in range(6):
        desks.settle()
    before = len(desks.server.log)
    desks.settle()
    assert len(desks.server.log) == before < 15
    assert len({desk.texts()[0] for desk in people}) == 1
    assert all(f"from {at}" in people[0].texts()[0] for at in range(3))


def test_a_merge_waits_its_drawn_time(desks: Desks) -> None:
    ana, ben = desks.add(), desks.add()
    entry = ana.entries.add("start")
    desks.settle()
    ana.entries.edit(entry.id, "from ana")
    ben.entries.edit(entry.id, "from ben")
    ana.merge_wait = (1000, 2000)
    desks.settle()
    assert len(ana.store.versions_of(entry_key(entry.id))) == 2
    desks.time += 3000
    ana.sync()
    assert len(ana.store.versions_of(entry_key(entry.id))) == 1


def entry_key(item_id: str) -> ItemKey:
    return ItemKey("entries", item_id)


def test_a_copied_store_loses_neither_text(desks: Desks, tmp_path: Path) -> None:
    ana = desks.add()
    entry = ana.entries.add("start")
    ana.sync()
    twin = ana.copied(tmp_path / "twin.db")
    ana.entries.edit(entry.id, "start and one")
    twin.entries.edit(entry.id, "start and two")
    ana.sync()
    twin.sync()
    ana.sync()
    assert ana.texts() == twin.texts()
    assert "and one" in ana.texts()[0]
    assert "and two" in ana.texts()[0]


def test_a_store_from_a_backup_loses_neither_text(desks: Desks, tmp_path: Path) -> None:
    ana = desks.add()
    entry = ana.entries.add("start")
    ana.sync()
    old = ana.copied(tmp_path / "backup.db")
    for number in range(3):
        ana.entries.edit(entry.id, f"later {number}")
        ana.sync()
    old.entries.edit(entry.id, "from the backup")
    old.sync()
    ana.sync()
    assert ana.texts() == old.texts()
    assert "later 2" in ana.texts()[0]
    assert "from the backup" in ana.texts()[0]


def test_a_server_put_back_from_backup_gets_back_what_it_lost(desks: Desks) -> None:
    ana, ben = desks.add(), desks.add()
    ana.entries.add("kept")
    desks.settle()
    items, log = {k: list(v) for k, v in desks.server.items.items()}, list(desks.server.log)
    ana.entries.add("lost by ana")
    ben.entries.add("lost by ben")
    desks.settle()
    desks.server.items, desks.server.log, desks.server.epoch = items, log, 2
    report = ana.sync()
    assert report.reset == "epoch_changed"
    third = desks.add()
    desks.settle()
    assert third.texts() == ["kept", "lost by ana", "lost by ben"]
    assert ana.store.meta("reset_from") is None


def test_edits_made_while_the_server_lost_their_ancestors_survive(desks: Desks) -> None:
    ana, ben = desks.add(), desks.add()
    entry = ana.entries.add("start")
    desks.settle()
    items, log = {k: list(v) for k, v in desks.server.items.items()}, list(desks.server.log)
    ben.entries.edit(entry.id, "start, ben")
    desks.settle()
    desks.server.items, desks.server.log, desks.server.epoch = items, log, 2
    ana.entries.edit(entry.id, "start, ben, ana")
    desks.settle()
    assert ana.texts() == ben.texts() == ["start, ben, ana"]


def test_a_server_that_forgot_without_saying_so_is_told_again(desks: Desks) -> None:
    ana = desks.add()
    entry = ana.entries.add("start")
    ana.sync()
    ben = desks.add()
    ben.sync()
    ben.entries.edit(entry.id, "from ben")
    desks.settle()
    desks.server.items.clear()
    desks.server.log = [("entries", entry.id)] * len(desks.server.log)
    desks.server.log = []
    ana.store.set_meta("cursor", b"1.0")
    ana.entries.edit(entry.id, "from ben and ana")
    ana.sync()
    assert [row["device_id"] for row in desks.server.items[("entries", entry.id)]] == [
        ana.device_id
    ]
    assert ana.store.count_queued() == 0


def test_items_purged_elsewhere_go_and_unsent_ones_stay(desks: Desks) -> None:
    ana, ben = desks.add(), desks.add()
    gone = ana.entries.add("gone")
    edited = ana.entries.add("edited")
    desks.settle()
    for item in (gone, edited):
        ana.entries.delete(item.id)
    ana.sync()
    desks.server.items.clear()
    desks.server.log = []
    desks.server.floor = 0
    ana.entries.add("new")
    ana.sync()
    ben.entries.edit(edited.id, "edited offline")
    desks.server.log = [("entries", next(iter(desks.server.items))[1])] * 9
    desks.server.floor = 9
    desks.time += 100 * 86_400
    report = ben.sync()
    assert report.dropped == 1
    assert "gone" not in ben.texts()
    assert "edited offline" in ben.texts()


def test_a_flipped_bit_is_set_aside_and_overwrites_nothing(desks: Desks) -> None:
    ana, ben = desks.add(), desks.add()
    entry = ana.entries.add("good")
    desks.settle()
    ana.entries.edit(entry.id, "good, later")
    ana.sync()
    (row,) = desks.server.items[("entries", entry.id)]
    row["encrypted_data"] = row["encrypted_data"][:200] + b"AAAA" + row["encrypted_data"][204:]
    report = ben.sync()
    assert (report.unopenable, ben.texts()) == (1, ["good"])
    ben.entries.edit(entry.id, "written after the forgery")
    ben.sync()
    assert len(desks.server.items[("entries", entry.id)]) == 2


@pytest.mark.parametrize("field", ["vector_clock", "is_deleted", "device_id"])
def test_a_changed_row_around_an_honest_envelope_is_set_aside(desks: Desks, field: str) -> None:
    ana, ben = desks.add(), desks.add()
    entry = ana.entries.add("good")
    desks.settle()
    ana.entries.edit(entry.id, "good, later")
    ana.sync()
    (row,) = desks.server.items[("entries", entry.id)]
    forged = {
        "vector_clock": {ana.device_id: 99},
        "is_deleted": True,
        "device_id": ben.device_id,
    }
    row[field] = forged[field]
    ben.sync()
    assert ben.texts() == ["good"]


def test_an_older_version_served_again_changes_nothing(desks: Desks) -> None:
    ana = desks.add()
    entry = ana.entries.add("old")
    ana.sync()
    old = [dict(row) for row in desks.server.items[("entries", entry.id)]]
    ana.entries.edit(entry.id, "new")
    ana.sync()
    desks.server.items[("entries", entry.id)] = old
    desks.server.log.append(("entries", entry.id))
    report = ana.sync()
    assert (report.older_than_known, ana.texts()) == (1, ["new"])


def test_a_full_account_still_takes_deletions(desks: Desks) -> None:
    ana = desks.add()
    first = ana.entries.add("first")
    ana.sync()
    desks.server.quota = desks.server.used()
    for number in range(5):
        ana.entries.add(f"no room {number}")
    ana.entries.delete(first.id)
    report = ana.sync()
    assert report.quota is not None
    assert {held.code for held in report.held_back} == {"quota_exceeded"}
    assert report.pending == 5
    assert desks.server.items[("entries", first.id)][0]["is_deleted"]


def test_a_line_too_slow_for_a_whole_push_takes_it_in_parts(desks: Desks) -> None:
    class Slow(FakeServer):
        def push(self, device_id: str, body: Row) -> Row:
            if len(body["changes"]) > 3:
                raise Refused(408, "request_timeout")
            return super().push(device_id, body)

    desks.server = Slow()
    ana = desks.add()
    for number in range(40):
        ana.entries.add(f"{number}")
    report = ana.sync()
    assert (report.pending, len(desks.server.items)) == (0, 40)


def test_a_line_too_slow_for_one_entry_is_said_to_be_and_keeps_it(desks: Desks) -> None:
    class TooSlow(FakeServer):
        def push(self, device_id: str, body: Row) -> Row:
            raise Refused(408, "request_timeout")

    desks.server = TooSlow()
    ana = desks.add()
    for number in range(3):
        ana.entries.add(f"{number}")
    with pytest.raises(Refused):
        ana.sync()
    assert ana.store.count_queued() == 3


def test_too_many_siblings_are_merged_instead_of_refused(desks: Desks) -> None:
    desks.server.max_versions = 2
    people = [desks.add() for _ in range(4)]
    entry = people[0].entries.add("start")
    desks.settle()
    for at, desk in enumerate(people):
        desk.entries.edit(entry.id, f"from {at}")
    desks.settle()
    assert len({desk.texts()[0] for desk in people}) == 1
    assert all(f"from {at}" in people[0].texts()[0] for at in range(4))


def test_versions_left_out_of_an_answer_are_pulled(desks: Desks) -> None:
    desks.server.max_answer_versions = 0
    ana, ben = desks.add(), desks.add()
    entry = ana.entries.add("start")
    desks.settle()
    ana.entries.edit(entry.id, "from ana")
    ben.entries.edit(entry.id, "from ben")
    desks.settle()
    assert ana.texts() == ben.texts()
    assert "from ana" in ben.texts()[0]


def test_an_edit_keeps_what_arrived_while_it_was_being_written(desks: Desks) -> None:
    ana, ben = desks.add(), desks.add()
    written = ana.entries.add("start")
    desks.settle()
    on_screen = ana.entries.get(written.id)
    ben.entries.edit(written.id, "meanwhile")
    ben.sync()
    ana.sync()
    after = ana.entries.edit(on_screen, "typed for an hour")
    assert "meanwhile" in after.text
    assert "typed for an hour" in after.text


def test_deletions_the_server_doubts_wait_for_a_yes(desks: Desks) -> None:
    class Doubtful(FakeServer):
        def push(self, device_id: str, body: dict) -> dict:  # type: ignore[type-arg]
            deletes = sum(1 for change in body["changes"] if change["is_deleted"])
            if deletes > 1 and body.get("confirm_deletes") != deletes:
                raise MassDelete(409, "mass_delete", extras={"deletes": deletes, "live": 3})
            return super().push(device_id, body)

    desks.server = Doubtful()
    ana = desks.add()
    items = [ana.entries.add(f"{number}") for number in range(3)]
    ana.sync()
    for item in items:
        ana.entries.delete(item.id)
    ana.entries.add("new")
    report = ana.sync()
    assert (report.pending, report.mass_delete and report.mass_delete.deletes) == (3, 3)
    report = ana.sync(confirm_deletes=3)
    assert report.complete


def test_a_server_that_promises_more_and_gives_nothing_is_left(desks: Desks) -> None:
    class Endless(FakeServer):
        def pull(self, params: dict) -> dict:  # type: ignore[type-arg]
            return {"changes": [], "cursor": "x", "has_more": True}

    desks.server = Endless()
    ana = desks.add()
    with pytest.raises(AnswerInvalid):
        ana.sync()


def test_pages_arrive_whole_whatever_their_size(desks: Desks) -> None:
    desks.server.page = 3
    ana, ben = desks.add(), desks.add()
    for number in range(10):
        ana.entries.add(f"{number}")
    desks.settle()
    assert ben.texts() == sorted(f"{number}" for number in range(10))
