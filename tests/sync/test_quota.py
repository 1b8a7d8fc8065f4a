"""How an account grows into its room."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.config import Settings
from app.limits import versions_limit
from app.sync.quota import FIRST_BYTES, GROWTH_DAYS, grown
from tests.conftest import Running, settings_for
from tests.kit.clock import SetClock
from tests.kit.device import Device
from tests.kit.sync import Tables, edited, verdicts

MIB = 1024 * 1024
DAY = 86400
ReadTables = Callable[[], Tables]


@pytest.mark.parametrize(
    ("seconds", "limit"),
    [
        (-DAY, 64 * MIB),
        (0, 64 * MIB),
        (DAY - 1, 64 * MIB),
        (DAY, 96 * MIB),
        (15 * DAY, 544 * MIB),
        (30 * DAY - 1, 992 * MIB),
        (30 * DAY, 1024 * MIB),
        (4000 * DAY, 1024 * MIB),
    ],
)
def test_a_new_account_has_64_mib_and_all_of_it_after_30_days(seconds: int, limit: int) -> None:
    assert grown(1024 * MIB, seconds) == limit


@given(st.integers(1, 2**53 - 1), st.integers(0, 40 * DAY), st.integers(0, 40 * DAY))
def test_a_limit_never_shrinks_with_age_and_never_passes_the_full_one(
    full: int, one: int, other: int
) -> None:
    younger, older = sorted((one, other))
    first, second = (grown(full, age) for age in (younger, older))
    assert min(full, FIRST_BYTES) <= first <= second <= full
    assert grown(full, GROWTH_DAYS * DAY) == full


def production(folder: Path, limit: int) -> Settings:
    return settings_for(
        folder,
        environment="production",
        rate_limits="on",
        public_origin="https://sync.example",
        storage_limit_bytes=limit,
    )


async def test_status_and_refusal_tell_the_limit_of_today(
    running: Running, tmp_path: Path, clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.sync.quota.FIRST_BYTES", 10_000)
    http = await running(production(tmp_path, MIB))
    device = Device(http, origin="https://sync.example", clock=clock)
    (await device.register()).raise_for_status()
    (await device.push(device.change(data=bytes(10_000)))).raise_for_status()
    for age in (0, 3, 30):
        clock.advance(days=age - (3 if age == 30 else 0))
        await device.log_in()
        status = (await device.call("GET", "/sync/status")).json()
        limit = 10_000 + (MIB - 10_000) * age // 30
        assert status["storage"] == {"used": 10_000, "limit": limit}
        assert status["limits"]["storage_limit_bytes"] == MIB
        refused = await device.push(device.change(data=bytes(limit - 9_999)))
        assert (refused.status_code, refused.json()["code"]) == (413, "quota_exceeded")
        assert (refused.json()["used"], refused.json()["limit"]) == (10_000, limit)


async def test_a_server_in_development_gives_all_at_once(device: Device) -> None:
    status = (await device.call("GET", "/sync/status")).json()
    assert status["storage"]["limit"] == status["limits"]["storage_limit_bytes"]


@pytest.mark.parametrize(
    ("limit", "versions"), [(MIB, 10_000), (64 * MIB, 65_536), (1024 * MIB, 1_048_576)]
)
def test_a_version_is_worth_a_kibibyte_of_room(limit: int, versions: int) -> None:
    assert versions_limit(limit) == versions


@pytest.fixture
async def crowded(
    running: Running, tmp_path: Path, clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> Device:
    """A device whose account may hold 1024 versions, and holds 1020 tiny ones."""
    monkeypatch.setattr("app.limits.LEAST_VERSIONS", 1)
    http = await running(settings_for(tmp_path, storage_limit_bytes=MIB))
    device = Device(http, clock=clock)
    (await device.register()).raise_for_status()
    for _ in range(3):
        changes = [device.change(data=b"x") for _ in range(340)]
        (await device.push(*changes)).raise_for_status()
    return device


async def test_tiny_items_cannot_fill_the_disk(crowded: Device) -> None:
    five = [crowded.change(data=b"x") for _ in range(5)]
    refused = await crowded.push(*five)
    problem = refused.json()
    assert (refused.status_code, problem["code"]) == (413, "too_many_stored_versions")
    assert (problem["used"], problem["limit"]) == (1020, 1024)
    assert verdicts((await crowded.push(*five[:4])).json()) == ["applied"] * 4
    assert verdicts((await crowded.push(*five[:4])).json()) == ["replayed"] * 4


async def test_a_crowded_account_can_edit_and_delete(crowded: Device) -> None:
    four = [crowded.change(data=b"x") for _ in range(4)]
    await crowded.push(*four)
    edit = crowded.change(four[0]["id"], edited(four[0], crowded), data=b"longer than before")
    gone = crowded.change(four[1]["id"], edited(four[1], crowded), is_deleted=True, data=b"t")
    assert verdicts((await crowded.push(edit, gone)).json()) == ["applied", "applied"]
