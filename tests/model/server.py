"""The server under the model: the real application on real files, in this process. It can be killed
at any commit, put back to a copy, and told what time it is."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any

import apsw
import httpx
import pytest

import app.main
from app.database import connection as sqlite
from app.database import embedded
from app.database.workers import Strand
from app.main import create_app
from tests.conftest import settings_for
from tests.kit.clock import SetClock

START = 1_800_000_000.0
_MAKE_TEMPLATE = embedded._make_template


class InlineWorkers:
    """Does what a strand is given at once and on this thread: no hand-over, so no race."""

    def __init__(self, _count: int) -> None:
        """Needs no threads."""

    def schedule(self, strand: Strand) -> None:
        strand.run_next()

    def stop(self) -> None:
        """There is nothing to stop."""


class Killed(Exception):
    """The server died while it worked on this; whoever asked gets no answer."""


class Server:
    """One application object, its folder, and its lives. Requests are served one at a time, and
    chores come round only when told to, so the same calls do the same."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / "data"
        self._copies = folder / "copies"
        self._at_death = folder / "death"
        self.clock = SetClock(START)
        self._runner = asyncio.Runner()
        self._chores: list[Callable[[], Awaitable[None]]] = []
        self._stack = AsyncExitStack()
        self._commits_left: int | None = None
        self._patch = pytest.MonkeyPatch()
        self._patch.setattr(app.main, "repeated", self._repeated)
        self._patch.setattr(embedded, "Workers", InlineWorkers)
        self._patch.setattr(embedded, "_make_template", lambda _folder: _any_template())
        self._patch.setattr(sqlite, "_commit", self._committing(sqlite._commit))
        self._app: Any = create_app(settings_for(folder), clock=self.clock)

    @asynccontextmanager
    async def _repeated(
        self, chore: Callable[[], Awaitable[None]], _seconds: float
    ) -> AsyncIterator[None]:
        await chore()
        self._chores.append(chore)
        yield

    # -- lives

    def begin(self, data: Path | None) -> None:
        """A new story: the server is up on a copy of `data`, or on nothing at all."""
        for folder in (self.data, self._copies, self._at_death):
            shutil.rmtree(folder, ignore_errors=True)
        if data is not None:
            copy_tree(data, self.data)
        self.clock.now = START
        self.start()

    def start(self) -> None:
        self._chores.clear()
        self._run(self._stack.enter_async_context(self._app.router.lifespan_context(self._app)))

    def stop(self) -> None:
        """Everything is closed as it should be."""
        self._run(self._stack.aclose())

    def kill(self) -> None:
        """Dead at once, and up again on what the disk held at that moment."""
        self._photograph()
        self._rise()

    def close(self) -> None:
        self._patch.undo()
        self._runner.close()

    def _photograph(self) -> None:
        """The files as they lie there: nothing checkpointed, no WAL gone. Shared memory does not
        outlive a process."""
        copy_tree(self.data, self._at_death)

    def _rise(self) -> None:
        self.stop()
        move_tree(self._at_death, self.data)
        self.start()

    def _committing(self, commit: Callable[[apsw.Connection], None]) -> Any:
        def counted(connection: apsw.Connection) -> None:
            commit(connection)
            if self._commits_left is not None:
                self._commits_left -= 1
                if self._commits_left == 0:
                    self._photograph()

        return counted

    # -- copies

    def save(self) -> None:
        """A backup of everything, made file by file while the server runs."""
        copy_tree(self.data, self._copies)

    def put_back(self, *, user: bool, master: bool) -> bool:
        """The server dies, and what was saved is there again; whether anything was saved."""
        if not self._copies.exists():
            return False
        self.stop()
        for name, wanted in (("users", user), ("master.db", master)):
            if wanted:
                self._put_back(name)
        self.start()
        return True

    def _put_back(self, name: str) -> None:
        for found in self.data.glob(f"{name}*"):
            remove(found)
        for saved in self._copies.glob(f"{name}*"):
            if saved.is_dir():
                copy_tree(saved, self.data / saved.name)
            else:
                shutil.copyfile(saved, self.data / saved.name)

    # -- requests and chores

    def do_chores(self) -> None:
        for chore in self._chores:
            self._run(chore())

    def answer(self, request: httpx.Request, dies_after: int | None = None) -> httpx.Response:
        """The answer to one request. With `dies_after`, the server is killed right after so many
        commits of it (if there are so many), and Killed is raised."""
        self._commits_left = dies_after
        try:
            response: httpx.Response = self._run(self._served(request))
        finally:
            left, self._commits_left = self._commits_left, None
        if left is not None and left <= 0:
            self._rise()
            raise Killed
        return response

    async def _served(self, request: httpx.Request) -> httpx.Response:
        body = request.read()
        asked = iter([{"type": "http.request", "body": body, "more_body": False}])
        said: list[Any] = []

        async def receive() -> Any:
            return next(asked, {"type": "http.disconnect"})

        async def send(message: Any) -> None:
            said.append(message)

        await self._app(_scope(request), receive, send)
        content = b"".join(each.get("body", b"") for each in said[1:])
        return httpx.Response(
            said[0]["status"], headers=said[0]["headers"], content=content, request=request
        )

    def _run(self, work: Any) -> Any:
        return self._runner.get_loop().run_until_complete(work)

    # -- looking at it

    def position(self) -> Any:
        """How far the account's sequence is, and its last tag."""
        (path,) = self.data.glob("users/*/user_*.db")
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            return connection.execute("SELECT seq, tag FROM sync_state").fetchall()
        finally:
            connection.close()


@cache
def _any_template() -> bytes:
    """That of any folder; made once, since making it is half of a start."""
    with tempfile.TemporaryDirectory() as folder:
        return _MAKE_TEMPLATE(Path(folder))


def _scope(request: httpx.Request) -> dict[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": request.url.scheme,
        "path": request.url.path,
        "raw_path": request.url.raw_path.split(b"?")[0],
        "query_string": request.url.query,
        "root_path": "",
        "headers": [(name.lower(), value) for name, value in request.headers.raw],
        "client": ("127.0.0.1", 40000),
        "server": ("localhost", 8000),
    }


def copy_tree(source: Path, target: Path) -> None:
    """`target` holds what `source` does, but for what does not outlive a process."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("*-shm", ".lock"))


def move_tree(source: Path, target: Path) -> None:
    shutil.rmtree(target)
    source.rename(target)


def remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
