"""Pushes through the whole server: what is answered, and what then lies on disk."""

import asyncio
from collections.abc import Callable

import pytest

from tests.kit.clock import SetClock
from tests.kit.device import Device
from tests.kit.keys import b64
from tests.kit.sync import Tables, account_of, edited, new_id, verdicts

ReadTables = Callable[[], Tables]


async def test_an_acknowledged_push_is_on_disk(device: Device, tables: ReadTables) -> None:
    changes = [
        device.change(data=b"an entry"),
        device.change(data=b"a memory", collection="memories"),
        device.change(data=b"a tag", collection="tags", entry_id=new_id()),
    ]
    answer = (await device.push(*changes)).raise_for_status().json()
    assert verdicts(answer) == ["applied"] * 3
    stored = {version.key: version.encrypted_data for version in tables().versions}
    assert stored == {
        ("entries", changes[0]["id"]): b"an entry",
        ("memories", changes[1]["id"]): b"a memory",
        ("tags", changes[2]["id"]): b"a tag",
    }


async def test_a_push_answer_names_each_change_in_request_order(
    device: Device, clock: SetClock
) -> None:
    changes = [
        device.change(),
        device.change(clock={device.id: 0}),
        device.change(collection="tags"),
    ]
    answer = (await device.push(*changes)).json()
    assert set(answer) == {"results", "cursor", "server_time"}
    assert isinstance(answer["cursor"], str)
    assert answer["server_time"] == int(clock.now)
    assert answer["results"] == [
        {"collection": "entries", "id": changes[0]["id"], "verdict": "applied"},
        {
            "collection": "entries",
            "id": changes[1]["id"],
            "verdict": "rejected",
            "code": "clock_invalid",
        },
        {"collection": "tags", "id": changes[2]["id"], "verdict": "applied"},
    ]


async def test_a_version_comes_back_as_it_was_pushed(
    device: Device, other: Device, clock: SetClock
) -> None:
    entry, tag = device.change(), device.change(collection="tags", entry_id=new_id())
    await device.push(entry, tag)
    received = int(clock.now)
    clock.advance(seconds=600)
    pulled = (await other.pull_all()).items
    assert pulled["entries", entry["id"]] == [
        {
            "device_id": device.id,
            "vector_clock": {device.id: 1},
            "key_epoch": 1,
            "is_deleted": False,
            "encrypted_data": entry["encrypted_data"],
            "received_at": received,
        }
    ]
    assert pulled["tags", tag["id"]][0]["entry_id"] == tag["entry_id"]


async def test_a_tag_may_name_no_entry(device: Device) -> None:
    silent = device.change(collection="tags")
    said = device.change(collection="tags", entry_id=None)
    await device.push(silent, said)
    pulled = (await device.pull_all()).items
    assert pulled["tags", silent["id"]][0]["entry_id"] is None
    assert pulled["tags", said["id"]][0]["entry_id"] is None


async def test_the_same_push_again_changes_nothing(device: Device, tables: ReadTables) -> None:
    changes = [device.change() for _ in range(5)]
    await device.push(*changes)
    before = tables()
    again = (await device.push(*changes)).json()
    assert verdicts(again) == ["replayed"] * 5
    assert all("versions" not in each for each in again["results"])
    assert tables() == before


async def test_a_stale_retried_write_never_wins(
    device: Device, other: Device, tables: ReadTables
) -> None:
    """The answer to the first write was lost, the item went on elsewhere, the retry comes late."""
    first = device.change(data=b"old")
    await device.push(first)
    newer = other.change(first["id"], edited(first, other), data=b"new")
    await other.push(newer)
    before = tables()
    late = (await device.push(first)).json()["results"][0]
    assert late["verdict"] == "stale"
    assert [each["encrypted_data"] for each in late["versions"]] == [b64(b"new")]
    assert tables() == before


async def test_a_conflict_keeps_both_and_shows_both(
    device: Device, other: Device, tables: ReadTables
) -> None:
    mine = device.change(data=b"mine")
    await device.push(mine)
    theirs = other.change(mine["id"], {other.id: 1}, data=b"theirs")
    result = (await other.push(theirs)).json()["results"][0]
    assert result["verdict"] == "conflict"
    shown = {each["encrypted_data"] for each in result["versions"]}
    assert shown == {b64(b"mine"), b64(b"theirs")}
    assert tables().conflicts == 1
    merge = device.change(mine["id"], edited(mine, device, theirs["vector_clock"]), data=b"both")
    assert verdicts((await device.push(merge)).json()) == ["applied"]
    assert [each.encrypted_data for each in tables().versions] == [b"both"]
    assert tables().conflicts == 0


async def test_a_delete_never_silently_beats_a_concurrent_edit(
    device: Device, other: Device
) -> None:
    item = device.change()
    await device.push(item)
    edit = device.change(item["id"], edited(item, device), data=b"kept")
    await device.push(edit)
    tombstone = other.change(item["id"], edited(item, other), is_deleted=True, data=b"gone")
    assert verdicts((await other.push(tombstone)).json()) == ["conflict"]
    left = (await device.pull_all()).items["entries", item["id"]]
    assert {each["encrypted_data"] for each in left} == {b64(b"kept"), b64(b"gone")}
    assert (await device.call("GET", "/sync/status")).json()["items"]["entries"] == 1


async def test_a_tombstone_erases_the_content_it_replaces(
    device: Device, tables: ReadTables
) -> None:
    item = device.change(data=b"a secret of the heart" * 20)
    await device.push(item)
    await device.push(device.change(item["id"], edited(item, device), is_deleted=True, data=b"t"))
    assert [each.encrypted_data for each in tables().versions] == [b"t"]
    assert tables().used_bytes == 1
    assert tables().live["entries"] == 0


async def test_a_delete_can_be_undone_by_a_later_edit(device: Device, tables: ReadTables) -> None:
    item = device.change()
    await device.push(item)
    tombstone = device.change(item["id"], edited(item, device), is_deleted=True)
    await device.push(tombstone)
    back = device.change(item["id"], edited(tombstone, device))
    assert verdicts((await device.push(back)).json()) == ["applied"]
    assert tables().live["entries"] == 1


async def test_two_changes_to_one_item_in_one_push_are_applied_in_order(
    device: Device, tables: ReadTables
) -> None:
    first = device.change(data=b"first")
    second = device.change(first["id"], {device.id: 2}, data=b"second")
    assert verdicts((await device.push(first, second)).json()) == ["applied", "applied"]
    assert [each.encrypted_data for each in tables().versions] == [b"second"]
    assert verdicts((await device.push(first, second)).json()) == ["stale", "replayed"]


async def test_a_rejected_change_does_not_hold_up_the_others(
    device: Device, tables: ReadTables
) -> None:
    good, bad = device.change(), device.change(key_epoch=2)
    assert verdicts((await device.push(bad, good)).json()) == ["unknown_key_epoch", "applied"]
    assert set(tables().items) == {("entries", good["id"])}


async def test_the_same_id_in_three_collections_is_three_items(
    device: Device, tables: ReadTables
) -> None:
    shared = new_id()
    changes = [
        device.change(shared, collection=name, data=name.encode())
        for name in ("entries", "memories", "tags")
    ]
    await device.push(*changes)
    assert {key[0]: held[0].encrypted_data for key, held in tables().items.items()} == {
        "entries": b"entries",
        "memories": b"memories",
        "tags": b"tags",
    }
    tombstone = device.change(shared, {device.id: 2}, is_deleted=True)
    await device.push(tombstone)
    assert tables().live == {"entries": 0, "memories": 1, "tags": 1}


@pytest.mark.parametrize(
    ("counter", "expected"),
    [
        (-1, "clock_invalid"),
        (0, "clock_invalid"),
        (2**53 - 1, "applied"),
        (2**53, "clock_invalid"),
        (2**63, "clock_invalid"),
        (2**64, "clock_invalid"),
        (10**30, "clock_invalid"),
    ],
)
async def test_a_counter_out_of_range_is_a_matter_of_its_item(
    device: Device, tables: ReadTables, counter: int, expected: str
) -> None:
    good = device.change()
    answer = await device.push(device.change(clock={device.id: counter}), good)
    assert verdicts(answer.json()) == [expected, "applied"]
    tables()


async def test_clocks_of_64_and_65_devices(device: Device) -> None:
    """65 entries are too many whoever they name; 64 strangers are merely unknown."""
    few = {device.id: 1} | {new_id(): 1 for _ in range(63)}
    many = few | {new_id(): 1}
    answer = await device.push(device.change(clock=few), device.change(clock=many))
    assert verdicts(answer.json()) == ["unknown_device", "clock_invalid"]


async def test_a_revoked_device_stays_in_clocks_and_counts_there(
    device: Device, other: Device
) -> None:
    item = other.change()
    await other.push(item)
    await device.call("DELETE", f"/auth/devices/{other.id}", proof=True)
    edit = device.change(item["id"], edited(item, device))
    assert verdicts((await device.push(edit)).json()) == ["applied"]


async def test_a_revoked_device_cannot_push(
    device: Device, other: Device, tables: ReadTables
) -> None:
    await device.call("DELETE", f"/auth/devices/{other.id}", proof=True)
    assert (await other.push(other.change())).status_code == 401
    assert tables().versions == ()


# --- atomic -------------------------------------------------------------------------------------


async def test_an_atomic_push_that_fits_is_applied(device: Device, tables: ReadTables) -> None:
    changes = [device.change() for _ in range(3)]
    assert verdicts((await device.push(*changes, atomic=True)).json()) == ["applied"] * 3
    assert verdicts((await device.push(*changes, atomic=True)).json()) == ["replayed"] * 3
    assert len(tables().versions) == 3


async def test_one_rejection_leaves_all_of_an_atomic_push_undone(
    device: Device, tables: ReadTables
) -> None:
    before = tables()
    bad = device.change(key_epoch=9)
    answer = await device.push(device.change(), bad, device.change(), atomic=True)
    assert answer.status_code == 409
    problem = answer.json()
    assert problem["code"] == "atomic_aborted"
    assert problem["results"] == [
        {
            "collection": "entries",
            "id": bad["id"],
            "verdict": "rejected",
            "code": "unknown_key_epoch",
        }
    ]
    assert tables() == before


async def test_one_stale_change_leaves_all_of_an_atomic_push_undone_and_is_shown(
    device: Device, tables: ReadTables
) -> None:
    old = device.change()
    await device.push(old, device.change(old["id"], {device.id: 2}, data=b"newer"))
    before = tables()
    problem = (await device.push(device.change(), old, atomic=True)).json()
    assert problem["code"] == "atomic_aborted"
    (failing,) = problem["results"]
    assert failing["verdict"] == "stale"
    assert [each["encrypted_data"] for each in failing["versions"]] == [b64(b"newer")]
    assert tables() == before


async def test_a_conflict_is_no_failure_of_an_atomic_push(device: Device, other: Device) -> None:
    mine = device.change()
    await device.push(mine)
    theirs = other.change(mine["id"], {other.id: 1})
    assert verdicts((await other.push(theirs, atomic=True)).json()) == ["conflict"]


# --- authors and resets -------------------------------------------------------------------------


async def test_a_change_may_name_its_pusher(device: Device) -> None:
    assert verdicts((await device.push(device.change(device_id=device.id))).json()) == ["applied"]


async def test_another_author_needs_a_reset(
    device: Device, other: Device, tables: ReadTables
) -> None:
    before = tables()
    foreign = device.change(clock={other.id: 1}, device_id=other.id)
    answer = await device.push(device.change(), foreign)
    assert (answer.status_code, answer.json()["code"]) == (422, "foreign_author")
    assert tables() == before


async def test_reset_from_null_uploads_what_the_server_holds_nothing_of(
    device: Device, other: Device, tables: ReadTables
) -> None:
    """An edit on top of versions that were purged here: not even their authors are known."""
    mine = device.change(clock={device.id: 3, other.id: 8})
    theirs = device.change(clock={other.id: 5, device.id: 1}, device_id=other.id)
    assert verdicts((await device.push(mine)).json()) == ["clock_invalid"]
    answer = await device.push(mine, theirs, reset_from=None)
    assert verdicts(answer.json()) == ["applied", "applied"]
    assert {each.device_id for each in tables().versions} == {device.id, other.id}
    again = await device.push(mine, theirs, reset_from=None)
    assert verdicts(again.json()) == ["replayed", "replayed"]


async def test_reset_from_null_lifts_nothing_where_something_is_held(
    device: Device, other: Device
) -> None:
    held = device.change()
    await device.push(held)
    foreign = device.change(held["id"], {other.id: 2, device.id: 9}, device_id=other.id)
    answer = await device.push(foreign, reset_from=None)
    assert verdicts(answer.json()) == ["clock_invalid"]


async def test_a_cursor_that_still_works_is_no_reason_to_reset(
    device: Device, tables: ReadTables
) -> None:
    cursor = (await device.push(device.change())).json()["cursor"]
    before = tables()
    for works in (cursor, (await device.pull()).json()["cursor"]):
        answer = await device.push(device.change(), reset_from=works)
        assert (answer.status_code, answer.json()["code"]) == (422, "reset_not_needed")
    assert tables() == before


async def test_a_reset_from_anything_but_an_own_cursor_is_refused(
    device: Device, stranger: Device, tables: ReadTables
) -> None:
    before = tables()
    foreign = (await stranger.push(stranger.change())).json()["cursor"]
    bad: tuple[object, ...] = (foreign, "", "x", foreign[:-1], "A" * 55, "A" * 400, 5, True, [], {})
    for cursor in bad:
        answer = await device.push(device.change(), reset_from=cursor)
        assert (answer.status_code, answer.json()["code"]) == (422, "cursor_invalid"), cursor
    assert tables() == before


# --- siblings -----------------------------------------------------------------------------------


async def test_eight_siblings_are_kept_and_the_ninth_is_refused(
    device: Device, tables: ReadTables
) -> None:
    devices = await account_of(device, 9)
    item = new_id()
    for at, each in enumerate(devices[:8]):
        answer = (await each.push(each.change(item, {each.id: 1}))).json()
        assert verdicts(answer) == ["conflict" if at else "applied"]
    before = tables()
    assert len(before.versions) == 8
    assert before.conflicts == 1
    ninth = devices[8].change(item, {devices[8].id: 1})
    assert verdicts((await devices[8].push(ninth)).json()) == ["too_many_versions"]
    assert tables() == before
    everything = {each.id: 1 for each in devices[:8]} | {devices[8].id: 1}
    merge = devices[8].change(item, everything)
    assert verdicts((await devices[8].push(merge)).json()) == ["applied"]
    assert len(tables().versions) == 1


async def test_versions_that_do_not_fit_the_answer_are_null(device: Device, other: Device) -> None:
    """Five items of 1 MiB in conflict: what exceeds 4 MiB must be pulled."""
    mebibyte = bytes(1 << 20)
    items = [device.change(data=mebibyte) for _ in range(5)]
    assert (await device.push(*items)).is_success
    theirs = [other.change(each["id"], {other.id: 1}, data=b"small") for each in items]
    results = (await other.push(*theirs)).json()["results"]
    assert [each["verdict"] for each in results] == ["conflict"] * 5
    shown = [each["versions"] is not None for each in results]
    assert shown == [True, True, True, False, False]
    total = sum(len(v["encrypted_data"]) for r in results for v in r["versions"] or ())
    assert total * 3 / 4 <= 4 << 20


async def test_an_atomic_push_says_of_two_changes_to_one_item_what_failed(device: Device) -> None:
    first = device.change()
    older = device.change(first["id"], {device.id: 1})
    newer = device.change(first["id"], {device.id: 2})
    answer = await device.push(newer, older, atomic=True)
    assert answer.status_code == 409
    (failing,) = answer.json()["results"]
    assert (failing["id"], failing["verdict"]) == (first["id"], "stale")
    assert (await device.pull()).json()["changes"] == []


# --- accounts -----------------------------------------------------------------------------------


async def test_another_account_sees_no_byte(device: Device, stranger: Device) -> None:
    secret = device.change(data=b"nobody else's")
    cursor = (await device.push(secret)).json()["cursor"]
    page = await stranger.pull()
    assert page.json()["changes"] == []
    assert secret["id"] not in page.text
    assert (await stranger.pull(cursor)).json()["code"] == "cursor_invalid"
    status = (await stranger.call("GET", "/sync/status")).json()
    assert status["items"] == {"entries": 0, "memories": 0, "tags": 0}
    assert status["storage"]["used"] == 0


async def test_two_accounts_may_use_the_same_id(device: Device, stranger: Device) -> None:
    shared = new_id()
    await device.push(device.change(shared, data=b"one"))
    taken = await stranger.push(stranger.change(shared, data=b"two"))
    assert verdicts(taken.json()) == ["applied"]
    mine = (await device.pull_all()).items["entries", shared]
    theirs = (await stranger.pull_all()).items["entries", shared]
    assert [each["encrypted_data"] for each in mine] == [b64(b"one")]
    assert [each["encrypted_data"] for each in theirs] == [b64(b"two")]


async def test_a_device_of_another_account_is_unknown(device: Device, stranger: Device) -> None:
    clock = {device.id: 1, stranger.id: 1}
    assert verdicts((await device.push(device.change(clock=clock))).json()) == ["unknown_device"]
    foreign = device.change(clock={stranger.id: 1}, device_id=stranger.id)
    answer = await device.push(foreign, reset_from=None)
    assert verdicts(answer.json()) == ["unknown_device"]


# --- many at once -------------------------------------------------------------------------------


async def test_thirty_pushes_at_once_leave_no_gap_and_no_double(
    device: Device, other: Device, tables: ReadTables
) -> None:
    def one(at: int) -> tuple[Device, list[dict[str, object]]]:
        who = (device, other)[at % 2]
        return who, [who.change() for _ in range(1 + at % 3)]

    sent = [one(at) for at in range(30)]
    answers = await asyncio.gather(*(who.push(*changes) for who, changes in sent))
    assert all(set(verdicts(answer.json())) == {"applied"} for answer in answers)
    assert len({answer.json()["cursor"] for answer in answers}) == 30
    found = tables()
    count = sum(len(changes) for _, changes in sent)
    assert found.seq == count
    assert sorted(version.seq for version in found.versions) == list(range(1, count + 1))
    assert len(found.commits) == 30
    ids = {str(each["id"]) for _, changes in sent for each in changes}
    assert {version.key[1] for version in found.versions} == ids


async def test_thirty_pushes_at_once_to_one_item_leave_one_winner_per_counter(
    device: Device, tables: ReadTables
) -> None:
    """One device, one counter, thirty contents: a cloned store. One is kept, the rest are told."""
    item = new_id()
    answers = await asyncio.gather(*(device.push(device.change(item)) for _ in range(30)))
    told = sorted(verdicts(answer.json())[0] for answer in answers)
    assert told == ["applied"] + ["clock_reuse"] * 29
    assert len(tables().versions) == 1


async def test_the_same_push_thirty_times_at_once_is_stored_once(
    device: Device, tables: ReadTables
) -> None:
    change = device.change()
    answers = await asyncio.gather(*(device.push(change) for _ in range(30)))
    told = sorted(verdicts(answer.json())[0] for answer in answers)
    assert told == ["applied"] + ["replayed"] * 29
    assert (tables().seq, len(tables().versions)) == (1, 1)
