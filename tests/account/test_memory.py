"""However large an account is, an export of it takes the room of a page."""

import os
from hashlib import sha256
from pathlib import Path

import httpx
import pytest

from tests.kit.device import Device
from tests.kit.server import ServerProcess

ITEMS = 10_000
ITEM_BYTES = 8 * 1024
MOST_GROWTH_BYTES = 24 * 1024 * 1024


def resident_bytes(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.soak
async def test_an_export_of_ten_thousand_items_takes_no_more_room_than_a_small_one(
    server: ServerProcess,
) -> None:
    async with httpx.AsyncClient(base_url=server.url, timeout=60) as http:
        device = Device(http)
        (await device.register()).raise_for_status()
        for _ in range(0, ITEMS, 250):
            changes = [device.change(data=os.urandom(ITEM_BYTES)) for _ in range(250)]
            (await device.push(*changes)).raise_for_status()
        before = resident_bytes(server.pid)
        size, most, digest = await _exported(device, server.pid)
        growth = most - before
    print(f"\n{size / 1e6:.0f} MB exported; memory {before / 1e6:.0f} MB, +{growth / 1e6:.1f} MB")
    assert size > ITEMS * ITEM_BYTES
    assert growth < MOST_GROWTH_BYTES
    assert digest


async def _exported(device: Device, pid: int) -> tuple[int, int, str]:
    """Size, the most memory the server took meanwhile, and the digest."""
    device.nonce = None
    token = str(device.session["access_token"])
    headers = {
        "Authorization": f"Bearer {token}",
        "DPoP": device.proof("POST", "/account/export", token),
    }
    size, most, digest, last = 0, 0, sha256(), b""
    async with device.http.stream("POST", "/account/export", headers=headers) as answer:
        answer.raise_for_status()
        async for part in answer.aiter_raw():
            size += len(part)
            digest.update(part)
            most = max(most, resident_bytes(pid))
            last = (last + part)[-400:]
    assert b'{"type":"end"' in last
    return size, most, digest.hexdigest()
