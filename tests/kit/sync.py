"""What sync tests look at: an account's tables, and accounts of several devices."""

import hashlib
import json
import uuid
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw

from tests.kit.device import Device
from tests.kit.keys import new_key
from tests.kit.pair import paired

COLLECTIONS = ("entries", "memories", "tags")
Key = tuple[str, str]
"""Collection and id."""


async def joined(first: Device) -> Device:
    """One more device of the account."""
    return await paired(first, Device(first.http, new_key(), clock=first.clock))


async def account_of(first: Device, devices: int) -> list[Device]:
    """The account's devices: the first, and others paired with it, `devices` in all."""
    return [first, *[await joined(first) for _ in range(devices - 1)]]


def new_id() -> str:
    return str(uuid.uuid4())


@dataclass(frozen=True)
class StoredVersion:
    """One row of an item's table."""

    key: Key
    seq: int
    device_id: str
    counter: int
    vector_clock: dict[str, int]
    key_epoch: int
    is_deleted: bool
    size: int
    digest: bytes
    encrypted_data: bytes


@dataclass(frozen=True)
class Tables:
    """An account as it lies on disk, read past the application."""

    seq: int
    tag: bytes
    used_bytes: int
    live: dict[str, int]
    conflicts: int
    count: int
    purged_seq: int
    kept_from: int
    versions: tuple[StoredVersion, ...]
    commits: tuple[tuple[int, bytes], ...]

    @property
    def items(self) -> dict[Key, list[StoredVersion]]:
        found: defaultdict[Key, list[StoredVersion]] = defaultdict(list)
        for version in self.versions:
            found[version.key].append(version)
        return dict(found)

    def check(self) -> None:
        """The sums and the sequence say what the rows say."""
        items = self.items
        assert self.used_bytes == sum(len(each.encrypted_data) for each in self.versions)
        for each in self.versions:
            assert each.size == len(each.encrypted_data)
            assert each.digest == hashlib.sha256(each.encrypted_data).digest()
            assert each.counter == each.vector_clock[each.device_id]
        live = Counter(key[0] for key, held in items.items() if not all(v.is_deleted for v in held))
        assert self.live == {name: live[name] for name in COLLECTIONS}
        assert self.count == len(self.versions)
        assert self.conflicts == sum(len(held) > 1 for held in items.values())
        self._check_sequence(items)
        for held in items.values():
            assert len(held) <= 8
            assert_concurrent([version.vector_clock for version in held])

    def _check_sequence(self, items: dict[Key, list[StoredVersion]]) -> None:
        numbers = [{version.seq for version in held} for held in items.values()]
        assert all(len(each) == 1 for each in numbers), "an item has two places in the sequence"
        places = [seq for each in numbers for seq in each]
        assert len(places) == len(set(places)), "two items share a place in the sequence"
        ends = [seq for seq, _ in self.commits]
        assert len({tag for _, tag in self.commits}) == len(self.commits)
        assert max(places, default=0) <= self.seq
        if self.seq:
            assert (max(ends), dict(self.commits)[max(ends)]) == (self.seq, self.tag)


def assert_concurrent(clocks: list[dict[str, int]]) -> None:
    """None of the clocks knows all that another knows."""
    for at, one in enumerate(clocks):
        for other in clocks[at + 1 :]:
            assert not knows(one, other), "a version stands beside its ancestor"
            assert not knows(other, one), "a version stands beside its ancestor"


def knows(one: dict[str, int], other: dict[str, int]) -> bool:
    """Whether the first clock holds all that the second does: written here a second time."""
    return all(one.get(device_id, 0) >= counter for device_id, counter in other.items())


def user_file(data_dir: Path, user_id: str) -> Path:
    return data_dir / "users" / user_id[:2] / f"user_{user_id}.db"


def tables_of(data_dir: Path, user_id: str) -> Tables:
    """Everything sync has stored of the account, as one snapshot."""
    path = user_file(data_dir, user_id)
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
    connection.set_busy_timeout(5000)
    try:
        connection.execute("BEGIN")
        return _read(connection)
    finally:
        connection.close()


def _read(connection: apsw.Connection) -> Tables:
    state: list[Any] = connection.execute(
        "SELECT seq, tag, used_bytes, live_entries, live_memories, live_tags, conflicts, versions,"
        " purged_seq, kept_from FROM sync_state"
    ).fetchall()
    assert len(state) == 1
    seq, tag, used, entries, memories, tags, conflicts, count, purged, kept = state[0]
    versions = tuple(
        StoredVersion((name, row[0]), row[1], row[2], row[3], json.loads(row[4]), row[5], *row[6:])
        for name in COLLECTIONS
        for row in connection.execute(
            "SELECT id, seq, device_id, counter, vector_clock, key_epoch, is_deleted, size,"
            f" digest, encrypted_data FROM synced_{name}"
        )
    )
    commits: Any = tuple(connection.execute("SELECT seq, tag FROM sync_commit ORDER BY seq"))
    live = {"entries": entries, "memories": memories, "tags": tags}
    return Tables(seq, tag, used, live, conflicts, count, purged, kept, versions, commits)


def edited(change: dict[str, Any], by: Device, *clocks: dict[str, int]) -> dict[str, int]:
    """The clock of an edit by a device that has seen the change and these clocks too."""
    merged: dict[str, int] = {}
    for clock in (change["vector_clock"], *clocks):
        for device_id, counter in clock.items():
            merged[device_id] = max(counter, merged.get(device_id, 0))
    return merged | {by.id: merged.get(by.id, 0) + 1}


def verdicts(answer: dict[str, Any]) -> list[str]:
    """The verdict of each change, or its code where it was rejected."""
    return [str(each.get("code", each["verdict"])) for each in answer["results"]]
