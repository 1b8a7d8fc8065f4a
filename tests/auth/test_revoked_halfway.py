"""The master database knows that a device is revoked, and its account's own could not be told."""

from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from app.config import Settings
from app.database.embedded import EmbeddedDatabases
from app.database.port import Unavailable, Work, Written
from app.main import create_app
from tests.kit.clock import SetClock
from tests.kit.device import Device
from tests.kit.pair import paired


class FullDisk:
    """The user databases of a running application, one of whose writes fails."""

    def __init__(self, users: EmbeddedDatabases) -> None:
        self._users = users

    def open(self, user_id: str) -> Any:
        return _Full()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._users, name)


class _Full:
    async def write(self, _: list[Work]) -> Written:
        raise Unavailable


@pytest.mark.parametrize("by_itself", [True, False])
async def test_nobody_is_let_in_by_a_database_that_was_not_told(
    settings: Settings, clock: SetClock, by_itself: bool
) -> None:
    app: FastAPI = create_app(settings, clock=clock)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://localhost:8000"
        ) as http,
    ):
        owner, lost = Device(http, clock=clock), Device(http, clock=clock)
        await owner.register()
        await paired(owner, lost)
        accounts = app.state.auth.accounts
        users = accounts._users
        accounts._users = FullDisk(users)
        asks = lost if by_itself else owner
        cut_off = await asks.call("DELETE", f"/auth/devices/{lost.id}", proof=True)
        accounts._users = users

        assert cut_off.status_code == 503
        assert (await lost.push(lost.change())).status_code == 401
        assert (await lost.refresh()).status_code == 401
        assert (await owner.push(owner.change())).status_code == 200
