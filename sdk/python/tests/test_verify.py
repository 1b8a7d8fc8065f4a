"""Comparing both sides as a whole, and mending what one of them lost without noticing."""

from __future__ import annotations

import json
from typing import Any

import pytest

from echolia import AnswerInvalid, Refused
from echolia._answers import Answer
from echolia._calls import Call
from echolia._canonical import b64
from echolia._digest import bucket_of, read_sums, sums_of, version_hash
from echolia._versions import ItemKey, Version

from . import real_server
from .conftest import Desk, Desks
from .test_vectors import VECTORS

DAY = 86_400.0


def forget(desk: Desk, item_id: str) -> None:
    """As a damaged disk would."""
    desk.store._db.execute("DELETE FROM versions WHERE item_id = ?", (item_id,))


def version_of(told: dict[str, Any]) -> Version:
    key = ItemKey(told["collection"], told["id"])
    fields = {**told, "encrypted_data": b64(bytes.fromhex(told["encrypted_data"]))}
    return Version.read(key, Answer(fields))


@pytest.mark.skipif(not real_server.is_here(), reason="only beside the specification")
def test_hashes_and_sums_are_those_of_the_specification() -> None:
    vectors = json.loads((VECTORS / "digest.json").read_text("utf-8"))
    versions = [version_of(told) for told in vectors["versions"]]
    for told, version in zip(vectors["versions"], versions, strict=True):
        assert version_hash(version).hex() == told["hash"]
        assert bucket_of(version.key.item_id) == told["bucket"]
    found = {
        str(at): {"count": count, "sum": f"{total:064x}"}
        for at, (count, total) in enumerate(sums_of(versions))
        if count
    }
    assert found == vectors["buckets"]


def test_what_was_lost_here_comes_back(desks: Desks) -> None:
    ana = desks.add()
    lost = ana.entries.add("lost by the disk")
    for number in range(20):
        ana.entries.add(f"entry {number}")
    ana.sync()
    forget(ana, lost.id)
    assert not ana.sync().verified
    report = ana.sync(verify=True)
    assert (report.verified, report.mended) == (True, 1)
    assert "lost by the disk" in ana.texts()


def test_what_the_server_lost_goes_back_to_it_whoever_wrote_it(desks: Desks) -> None:
    ana, ben = desks.add(), desks.add()
    entry = ana.entries.add("one")
    ana.sync()
    ben.sync()
    ben.entries.edit(entry.id, "two")
    ben.sync()
    ana.sync()
    rows = desks.server.items.pop(("entries", entry.id))
    report = ana.sync(verify=True)
    assert (report.verified, report.mended, report.pending) == (True, 1, 0)
    assert desks.server.items["entries", entry.id] == rows


def test_a_server_that_shows_an_older_version_gets_the_newer_one(desks: Desks) -> None:
    ana = desks.add()
    entry = ana.entries.add("one")
    ana.sync()
    old = list(desks.server.items["entries", entry.id])
    ana.entries.edit(entry, "two")
    ana.sync()
    new = desks.server.items["entries", entry.id]
    desks.server.items["entries", entry.id] = old
    assert ana.sync(verify=True).mended
    assert desks.server.items["entries", entry.id] == new


def test_only_buckets_that_differ_are_fetched(desks: Desks) -> None:
    ana = desks.add()
    entries = [ana.entries.add(f"entry {number}") for number in range(30)]
    ana.sync()
    forget(ana, entries[3].id)
    asked: list[Call] = []

    def note(_: int, call: Call) -> str:
        asked.append(call)
        return ""

    ana.sync(note, verify=True)
    buckets = [params["bucket"] for call in asked if "bucket" in (params := call.params or {})]
    assert buckets == [bucket_of(entries[3].id)]


def test_a_deletion_that_the_server_forgot_by_right_is_forgotten_here(desks: Desks) -> None:
    ana = desks.add()
    entry = ana.entries.add("gone")
    ana.sync()
    ana.entries.delete(entry.id)
    ana.sync()
    desks.time += 91 * DAY
    del desks.server.items["entries", entry.id]
    assert ana.sync(verify=True).verified
    assert not desks.server.items
    assert list(ana.store.held("entries")) == []


def test_a_fresh_deletion_that_the_server_lost_goes_back_to_it(desks: Desks) -> None:
    ana = desks.add()
    entry = ana.entries.add("gone")
    ana.sync()
    ana.entries.delete(entry.id)
    ana.sync()
    (tombstone,) = desks.server.items.pop(("entries", entry.id))
    ana.sync(verify=True)
    assert desks.server.items == {("entries", entry.id): [tombstone]}


def test_a_comparison_comes_by_itself_once_a_day(desks: Desks) -> None:
    ana = desks.add()
    ana.entries.add("hello")
    assert not ana.sync().verified
    desks.time += DAY
    assert ana.sync().verified
    assert not ana.sync().verified
    desks.time -= 30 * DAY  # the clock was put right
    assert ana.sync().verified


def test_nothing_is_compared_while_an_edit_waits(desks: Desks) -> None:
    ana = desks.add()
    ana.sync()
    desks.server.quota = 0
    ana.entries.add("no room")
    assert not ana.sync(verify=True).verified


def test_an_older_server_without_digests_is_no_trouble(desks: Desks) -> None:
    ana = desks.add()
    ana.entries.add("hello")

    def absent(collection: str) -> dict[str, Any]:
        raise Refused(404, "not_found")

    desks.server.digest = absent  # type: ignore[method-assign]
    report = ana.sync(verify=True)
    assert (report.complete, report.verified) == (True, False)


@pytest.mark.parametrize(
    "buckets",
    [
        [],
        [{"count": 0, "sum": "0" * 64}] * 255,
        [{"count": 0, "sum": "0" * 63}] * 256,
        [{"count": 0, "sum": "G" * 64}] * 256,
        [{"count": "0", "sum": "0" * 64}] * 256,
    ],
)
def test_what_is_no_digest_is_refused(buckets: list[Any]) -> None:
    with pytest.raises(AnswerInvalid):
        read_sums(Answer({"buckets": buckets}))


def test_a_device_that_lost_its_store_fills_it_again(desks: Desks) -> None:
    ana = desks.add()
    for number in range(5):
        ana.entries.add(f"entry {number}")
    ana.sync()
    texts = ana.texts()
    ana.store.close()
    ana.path.unlink()
    ana.open()
    ana.sync()
    assert ana.texts() == texts
