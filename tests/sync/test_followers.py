"""The SDK follows a real server, through its death."""

import queue
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from echolia import Client, Join, Options
from tests.kit.server import ServerProcess

PATIENCE_SECONDS = 30


class Enough(Exception):
    """The test is over."""


def at_once(*steps: Callable[[], Any]) -> list[Any]:
    """What each gives; they wait for each other."""
    found: list[Any] = [None] * len(steps)

    def run(place: int) -> None:
        found[place] = steps[place]()

    threads = [threading.Thread(target=run, args=(place,)) for place in range(len(steps))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_SECONDS)
    return found


def pair(client: Client, home: Path) -> None:
    invite = client.invite()
    with Join(home, invite.link, key="p256") as join:
        code = at_once(join.show_code, invite.wait_for_join)[0]
        at_once(lambda: invite.approve(code), lambda: join.finish().close())


class Follower:
    """A device that follows on a thread of its own; the texts that it holds, as they come."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._is_over = threading.Event()
        self._texts: queue.Queue[set[str]] = queue.Queue()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Follower":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()

    def sees(self, text: str) -> None:
        while text not in self._texts.get(timeout=PATIENCE_SECONDS):
            continue

    def join(self) -> None:
        self._thread.join(PATIENCE_SECONDS)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        try:
            with Client.open(self._home, options=Options(on_wait=self._waits)) as client:
                for _ in client.follow():
                    self._texts.put({entry.text for entry in client.entries.list()})
        except Enough:
            return

    def _waits(self, _seconds: float, _why: str) -> None:
        if self._is_over.is_set():
            raise Enough


@pytest.fixture
def writer(server: ServerProcess, tmp_path: Path) -> Iterator[Client]:
    with Client.create(tmp_path / "writer", server=server.url, key="p256") as client:
        yield client


def test_what_one_writes_reaches_the_other_and_goes_on_after_the_server_was_killed(
    server: ServerProcess, writer: Client, tmp_path: Path
) -> None:
    pair(writer, tmp_path / "reader")
    with Follower(tmp_path / "reader") as reader:
        for text in ("first", "second"):
            writer.entries.add(text)
            writer.sync()
            reader.sees(text)
        server.kill()
        server.start()
        writer.entries.add("third")
        writer.sync()
        reader.sees("third")
    server.stop()
    reader.join()
