"""A server that is killed forgives nobody the accounts of the day."""

from pathlib import Path

import httpx

from tests.kit.device import Device
from tests.kit.identity import said, tables
from tests.kit.keys import p256_key
from tests.kit.server import ServerProcess

AN_HOUR = 5
A_DAY = 20


async def test_the_accounts_of_a_day_are_counted_across_kills(tmp_path: Path) -> None:
    """The hour's count is in memory and starts anew; the day's is on disk with the account."""
    server = ServerProcess(tmp_path, RATE_LIMITS="on")
    made = 0
    for _ in range(A_DAY // AN_HOUR):
        server.start()
        async with httpx.AsyncClient(base_url=server.url) as http:
            for _ in range(AN_HOUR):
                device = Device(http, p256_key(1000 + made), origin=server.url)
                assert said(await device.register()) == (201, None)
                made += 1
        server.kill()
    server.start()
    async with httpx.AsyncClient(base_url=server.url) as http:
        refused = await Device(http, p256_key(1000 + made), origin=server.url).register()
        assert said(refused) == (429, "rate_limited")
        known = Device(http, p256_key(1000), origin=server.url)
        assert said(await known.register()) == (200, None)
    server.stop()
    assert [row[2] for row in tables(server.data / "master.db")["accounts_made"]] == [A_DAY]
