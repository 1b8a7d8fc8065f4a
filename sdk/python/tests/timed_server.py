"""The server of this repository in this process, on real sockets and files, with a clock that tests
move: what a year brings takes no year."""

from __future__ import annotations

import asyncio
import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn

DAY = 86_400.0
SECRET = "an unchanging secret for all lives of this server"


class _Server(uvicorn.Server):
    """Says when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()


class TimedServer:
    """A data folder, a port and a clock; served within `up`, any number of times."""

    def __init__(self, folder: Path) -> None:
        self.data, self._copies = folder / "data", folder / "copies"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = int(free.getsockname()[1])
        self.origin = f"http://localhost:{self._port}"
        self.now = 1_800_000_000.0
        self._app: Any = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def pass_days(self, days: float) -> None:
        self.now += days * DAY

    @contextmanager
    def up(self) -> Iterator[None]:
        from app.config import Settings
        from app.main import create_app

        settings = Settings(
            _env_file=None,
            data_dir=self.data,
            jwt_secret=SECRET,  # type: ignore[arg-type]
            public_origin=self.origin,
            log_level="error",
        )
        self._app = create_app(settings, clock=lambda: self.now)
        config = uvicorn.Config(
            self._app, host="127.0.0.1", port=self._port, log_config=None, loop="asyncio"
        )
        server = _Server(config)

        async def serve() -> None:
            self._loop = asyncio.get_running_loop()
            await server.serve()

        thread = threading.Thread(target=lambda: asyncio.run(serve()))
        thread.start()
        server.listening.wait(30)
        try:
            yield
        finally:
            server.should_exit = True
            thread.join(30)

    def tend(self) -> None:
        """The chore comes round."""
        assert self._loop is not None
        done = asyncio.run_coroutine_threadsafe(self._app.state.housekeeping.tend_due(), self._loop)
        done.result(30)

    def user_file(self) -> Path:
        (path,) = self.data.glob("users/*/user_*.db")
        return path

    def save(self) -> None:
        """A backup of everything; the server must be down."""
        shutil.rmtree(self._copies, ignore_errors=True)
        shutil.copytree(self.data, self._copies)

    def put_back(self, *, master: bool) -> None:
        """The backup is what there is: all of it, or the one account's file."""
        if master:
            shutil.rmtree(self.data)
            shutil.copytree(self._copies, self.data)
            return
        path = self.user_file()
        for beside in path.parent.glob(f"{path.name}-*"):
            beside.unlink()
        shutil.copy(self._copies / path.relative_to(self.data), path)
