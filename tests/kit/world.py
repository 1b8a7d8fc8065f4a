"""An account and a server in this process that can be stopped, saved, put back and started anew."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import apsw
import httpx

from app.config import Settings
from app.main import create_app
from tests.kit.clock import SetClock
from tests.kit.device import Device
from tests.kit.sync import joined, user_file


class World:
    """Two devices of one account, and a server that can be stopped, saved and put back."""

    def __init__(self, settings: Settings, clock: SetClock) -> None:
        self.settings = settings
        self.clock = clock
        self.mine: Device
        self.theirs: Device

    @asynccontextmanager
    async def served(self) -> AsyncIterator[None]:
        app = create_app(self.settings, clock=self.clock)
        async with app.router.lifespan_context(app):
            transport = httpx.ASGITransport(app, raise_app_exceptions=False)
            async with httpx.AsyncClient(
                transport=transport, base_url="http://localhost:8000"
            ) as http:
                if not hasattr(self, "mine"):
                    self.mine = Device(http, clock=self.clock)
                    (await self.mine.register()).raise_for_status()
                    self.theirs = await joined(self.mine)
                self.mine.http = self.theirs.http = http
                yield

    def save(self) -> None:
        shutil.copy(self._file, self._copy)

    def put_back(self) -> None:
        for suffix in ("-wal", "-shm"):
            self._file.with_name(self._file.name + suffix).unlink(missing_ok=True)
        shutil.copy(self._copy, self._file)

    @property
    def _file(self) -> Path:
        return user_file(self.settings.data_dir, self.mine.user_id)

    @property
    def _copy(self) -> Path:
        return self.settings.data_dir / "copy.db"

    def change_epoch(self) -> None:
        connection = apsw.Connection(str(self._file))
        connection.execute("UPDATE sync_state SET epoch = randomblob(8)")
        connection.close()
