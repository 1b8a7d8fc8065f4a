"""Digests of what is stored, and pulls of one bucket."""

import base64
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from app.sync import digests
from tests.conftest import Running, settings_for
from tests.kit.clock import SetClock
from tests.kit.device import Device
from tests.kit.sync import edited
from tests.spec.make_digest import hash_of, sha256


async def digest(device: Device, collection: str = "entries") -> dict[str, Any]:
    answer = await device.call("GET", "/sync/digest", params={"collection": collection})
    found: dict[str, Any] = answer.raise_for_status().json()
    assert len(found["buckets"]) == 256
    return found


async def expected(device: Device, collection: str = "entries") -> list[dict[str, Any]]:
    """Computed from a pull, by the page's words."""
    counts: Counter[int] = Counter()
    sums: Counter[int] = Counter()
    for (name, item_id), versions in (await device.pull_all()).items.items():
        for version in versions if name == collection else ():
            content = base64.b64decode(version["encrypted_data"]).hex()
            told = version | {"collection": name, "id": item_id, "encrypted_data": content}
            bucket = sha256(bytes.fromhex(item_id.replace("-", "")))[0]
            counts[bucket] += 1
            sums[bucket] += int.from_bytes(hash_of(told), "big")
    return [{"count": counts[at], "sum": f"{sums[at] % 2**256:064x}"} for at in range(256)]


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digests, "PIECE", 20)
    monkeypatch.setattr(digests, "WALK", 20)


async def fill(device: Device, other: Device) -> None:
    """Items of all collections, edits, siblings and deletions."""
    for collection in ("entries", "memories", "tags"):
        items = [device.change(collection=collection) for _ in range(70)]
        await device.push(*items)
        clocks = [edited(each, device) for each in items]
        await device.push(
            device.change(items[0]["id"], clocks[0], collection=collection),
            device.change(items[1]["id"], clocks[1], collection=collection, is_deleted=True),
        )
        await other.push(
            *(other.change(each["id"], {other.id: 1}, collection=collection) for each in items[2:6])
        )


async def test_a_digest_is_that_of_what_a_pull_brings(
    device: Device, other: Device, small_pieces: None
) -> None:
    await fill(device, other)
    for collection in ("entries", "memories", "tags"):
        found = await digest(device, collection)
        assert found["collection"] == collection
        assert found["buckets"] == await expected(device, collection)


async def test_a_digest_follows_every_change_and_is_the_same_for_all(
    device: Device, other: Device
) -> None:
    item = device.change()
    empty = await digest(device)
    for change in (item, device.change(item["id"], edited(item, device), is_deleted=True)):
        await device.push(change)
        found = await digest(other)
        assert found["buckets"] == (await digest(device))["buckets"] == await expected(device)
        assert found["buckets"] != empty["buckets"]
        status = (await device.call("GET", "/sync/status")).json()
        assert found["cursor"] == status["cursor"]


async def test_a_digest_of_an_account_that_never_rests_is_of_one_moment(
    device: Device, other: Device, small_pieces: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(device, other)
    tried: list[int | None] = []
    summed_by = digests.Digests._summed_by

    class Restless:
        """The database, and somebody who pushes whenever it was looked at."""

        def __init__(self, db: Any) -> None:
            self._db = db

        async def read(self, reads: Any) -> Any:
            rows = await self._db.read(reads)
            (await device.push(device.change())).raise_for_status()
            return rows

    async def disturbed(self: Any, db: Any, collection: Any, piece: int | None) -> Any:
        tried.append(piece)
        seen: Any = db if piece is None else Restless(db)
        return await summed_by(self, seen, collection, piece)

    monkeypatch.setattr(digests.Digests, "_summed_by", disturbed)
    found = await digest(device)
    assert tried == [20, 20, None]
    assert found["buckets"] == await expected(device)


async def test_another_accounts_items_are_in_no_digest(device: Device, stranger: Device) -> None:
    await device.push(device.change())
    assert (await digest(stranger))["buckets"] == [{"count": 0, "sum": "0" * 64}] * 256


async def test_the_buckets_together_are_the_collection(
    device: Device, other: Device, small_pieces: None
) -> None:
    await fill(device, other)
    everything = {k: v for k, v in (await device.pull_all()).items.items() if k[0] == "entries"}
    found: dict[Any, Any] = {}
    for bucket in range(256):
        params: dict[str, Any] = {"collections": "entries", "bucket": bucket}
        page = (await device.pull(**params)).raise_for_status().json()
        assert not page["has_more"]
        for change in page["changes"]:
            assert sha256(bytes.fromhex(change["id"].replace("-", "")))[0] == bucket
            found[change["collection"], change["id"]] = change["versions"]
    assert found == everything


async def test_a_bucket_comes_in_pages_that_miss_and_double_nothing(
    device: Device, small_pieces: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.sync.digest_store.bucket_of", lambda item_id: int(item_id[0] < "8"))
    items = [device.change() for _ in range(200)]
    await device.push(*items)
    for limit in (1, 7, 500):
        got: list[str] = []
        cursor, more = "", True
        while more:
            params = {"collections": "entries", "bucket": 1, "limit": limit}
            page = (await device.pull(cursor, **params)).raise_for_status().json()
            assert len(page["changes"]) <= limit
            assert page["changes"] or not page["has_more"] or limit > 1
            got += [each["id"] for each in page["changes"]]
            cursor, more = page["cursor"], page["has_more"]
        assert got == [each["id"] for each in items if each["id"][0] < "8"]


async def test_a_page_of_a_bucket_ends_at_4_mib(running: Running, tmp_path: Path) -> None:
    clock = SetClock()
    device = Device(await running(settings_for(tmp_path)), clock=clock)
    (await device.register()).raise_for_status()
    item = device.change(data=bytes(1024 * 1024))
    bucket = sha256(bytes.fromhex(item["id"].replace("-", "")))[0]
    (await device.push(item)).raise_for_status()
    page = (await device.pull(collections="entries", bucket=bucket)).json()
    assert [each["id"] for each in page["changes"]] == [item["id"]]


@pytest.mark.parametrize(
    "params",
    [
        {"bucket": 0},
        {"bucket": 0, "collections": "entries,tags"},
        {"bucket": 256, "collections": "tags"},
        {"bucket": -1, "collections": "tags"},
        {"bucket": "1.0", "collections": "tags"},
        {"bucket": "", "collections": "tags"},
        {"bucket": 1, "collections": "tags", "wait": 1},
    ],
)
async def test_a_bucket_that_does_not_fit_is_refused(
    device: Device, params: dict[str, Any]
) -> None:
    answer = await device.pull(**params)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")


@pytest.mark.parametrize("collection", [None, "", "entry", "entries,tags", "ENTRIES"])
async def test_a_digest_is_of_one_collection(device: Device, collection: str | None) -> None:
    params = {} if collection is None else {"collection": collection}
    answer = await device.call("GET", "/sync/digest", params=params)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")


async def test_a_cursor_that_cannot_go_on_says_so_in_a_bucket_too(
    device: Device, stranger: Device
) -> None:
    foreign = (await stranger.pull()).json()["cursor"]
    answer = await device.pull(foreign, collections="tags", bucket=1)
    assert answer.json()["code"] == "cursor_invalid"
