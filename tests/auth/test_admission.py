"""Authentication decides, whatever else becomes of a request."""

from pathlib import Path
from typing import Any

import pytest

from tests.conftest import NewDevice, Running, settings_for
from tests.kit.clock import SetClock
from tests.kit.device import Device
from tests.kit.pair import paired

BAD_PUSHES: list[Any] = [
    {},
    {"changes": []},
    {"changes": [{"collection": "entries"}]},
    {"changes": [], "unknown": 1},
    {"changes": [], "reset_from": "no cursor"},
]
BAD_PULLS = ["limit=0", "cursor=no-cursor", "collections=none", "unknown=1"]


async def refused(device: Device) -> list[int]:
    """Everything that is refused for what was sent."""
    pushes = [await device.call("POST", "/sync/push", body) for body in BAD_PUSHES]
    foreign = await device.push(device.change(device_id="00000000-0000-4000-8000-000000000000"))
    pulls = [await device.call("GET", f"/sync/pull?{query}") for query in BAD_PULLS[:-1]]
    return [answer.status_code for answer in (*pushes, foreign, *pulls)]


@pytest.mark.parametrize("body", BAD_PUSHES)
async def test_a_refused_push_counts_as_the_first_use_of_a_token(body: Any, device: Device) -> None:
    """The pair of tokens before it is worth nothing from then on."""
    old = device.session["access_token"]
    assert (await device.refresh()).is_success
    assert (await device.call("GET", "/sync/status", token=old)).status_code == 200
    assert (await device.call("POST", "/sync/push", body)).status_code == 422
    assert (await device.call("GET", "/sync/status", token=old)).status_code == 401


@pytest.mark.parametrize("query", BAD_PULLS[:-1])
async def test_a_refused_pull_counts_as_the_first_use_of_a_token(
    query: str, device: Device
) -> None:
    """The same for a pull."""
    old = device.session["access_token"]
    assert (await device.refresh()).is_success
    assert (await device.call("GET", f"/sync/pull?{query}")).status_code == 422
    assert (await device.call("GET", "/sync/status", token=old)).status_code == 401


async def test_a_push_refused_inside_its_transaction_counts_as_well(
    running: Running, tmp_path: Path, clock: SetClock
) -> None:
    """What the transaction noted is rolled back with it, and noted all the same."""
    http = await running(settings_for(tmp_path, storage_limit_bytes=1024 * 1024))
    device = Device(http, clock=clock)
    (await device.register()).raise_for_status()
    old = device.session["access_token"]
    assert (await device.refresh()).is_success
    full = [device.change(data=bytes(600_000)) for _ in range(2)]
    assert (await device.push(*full)).json()["code"] == "quota_exceeded"
    assert (await device.call("GET", "/sync/status", token=old)).status_code == 401


async def test_a_revoked_device_that_sends_nonsense_is_told_that_it_is_revoked(
    device: Device, new_device: NewDevice
) -> None:
    """401 comes before 422."""
    other = await paired(device, new_device())
    assert set(await refused(other)) == {422}
    gone = await device.call("DELETE", f"/auth/devices/{other.id}", proof=True)
    assert gone.status_code == 204
    assert set(await refused(other)) == {401}


async def test_a_push_that_changes_nothing_is_let_in_as_any_other(device: Device) -> None:
    """A replay writes no item, and the use of the token is noted."""
    change = device.change()
    await device.push(change)
    old = device.session["access_token"]
    assert (await device.refresh()).is_success
    assert (await device.push(change)).json()["results"][0]["verdict"] == "replayed"
    assert (await device.call("GET", "/sync/status", token=old)).status_code == 401
