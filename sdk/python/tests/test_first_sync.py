"""A whole journal goes out, and to a new device, through the terminal client, which is killed again
and again."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from echolia import Client, Offline, Options
from echolia._answers import Answer
from echolia._calls import Call
from echolia._sync import SyncEngine
from echolia.cli._progress import Pace

from . import real_server
from .conftest import Desks
from .fake_server import FakeServer, drive

needs_server = pytest.mark.skipif(not real_server.is_here(), reason="only beside the server's code")
SOURCE = Path(__file__).parents[1] / "src"
PAGE = 500
MOST_GROWTH_BYTES = 100 * 1024 * 1024

# The client as it is, but that the items of each answered push and pull are told through a pipe.
WATCHED = """
import os, sys
import httpx
from echolia.cli import main

told, send = int(sys.argv[1]), httpx.HTTPTransport.handle_request

def watched(self, request):
    response = send(self, request)
    counted = {"/sync/pull": b"versions", "/sync/push": b"applied"}.get(request.url.path)
    if counted:
        os.write(told, b"%d\\n" % response.read().count(counted))
    return response

httpx.HTTPTransport.handle_request = watched
sys.exit(main(sys.argv[2:]))
"""


@dataclass
class Run:
    """A process of the client: items per answer as they come, and the memory it took."""

    process: subprocess.Popen[str]
    told: Iterator[str]
    pages: list[int] = field(default_factory=list)
    resident: list[int] = field(default_factory=list)

    def watch(self, most: int | None = None) -> None:
        """Returns when so many answers have come, or all."""
        for line in self.told:
            self.pages.append(int(line))
            self.resident.append(_resident_bytes(self.process.pid))
            if len(self.pages) == most:
                return

    def kill(self) -> None:
        """Somewhere within storing the last answer."""
        time.sleep(random.uniform(0, 0.1))
        self.process.kill()
        self.pages += map(int, self.told)

    @property
    def growth(self) -> int:
        return max(self.resident) - self.resident[0]


@contextmanager
def running(home: Path, *words: str) -> Iterator[Run]:
    heard, told = os.pipe()
    command = [sys.executable, "-c", WATCHED, str(told), "--home", str(home), "--plain", *words]
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        pass_fds=(told,),
    )
    os.close(told)
    try:
        with os.fdopen(heard) as pipe:
            yield Run(process, iter(pipe.readline, ""))
    finally:
        process.kill()
        process.communicate()


def _resident_bytes(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def write(client: Client, count: int) -> dict[str, str]:
    """So many entries wait to be sent: texts by id."""
    texts: dict[str, str] = {}
    for start in range(0, count, PAGE):
        with client.vault.store.transaction():
            for number in range(start, min(start + PAGE, count)):
                entry = client.entries.add(f"Day {number}. " + "It rained. " * (number % 60))
                texts[entry.id] = entry.text
    return texts


def joins(old: Path, run: Run) -> None:
    """The device in `old` lets the one in `run` in."""
    command = [sys.executable, "-m", "echolia", "--home", str(old), "--plain", "pair"]
    pipe = subprocess.PIPE
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    inviting = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment)
    assert inviting.stdout
    assert run.process.stdin
    assert run.process.stdout
    run.process.stdin.write(inviting.stdout.readline())
    run.process.stdin.flush()
    inviting.communicate(run.process.stdout.readline(), timeout=60)
    assert inviting.returncode == 0


@dataclass(frozen=True)
class Figures:
    """Items a second of the last processes that sent and that fetched, their start and end
    included; and the most that the memory of any grew."""

    sent: float
    fetched: float
    growth: int


def through(folder: Path, origin: str, count: int) -> Figures:
    """So many entries go from one device to a new one; the client is killed once while it sends
    and twice while it fetches. In the end both devices hold the same."""
    one, two = folder / "one", folder / "two"
    with Client.create(one, server=origin, key="p256") as client:
        texts = write(client, count)
    third = max(1, count // PAGE // 3)
    with running(one, "sync") as cut:
        cut.watch(third)
        cut.kill()
    sending, sent = _to_the_end(one, count)
    with running(two, "pair", "--join", "-") as first:
        joins(one, first)
        first.watch(third)
        first.kill()
    with running(two, "sync") as second:
        second.watch(third)
        second.kill()
    last, fetched = _to_the_end(two, count)
    fetching = (first, second, last)
    assert count <= sum(sum(run.pages) for run in fetching) <= count + 2 * PAGE
    with Client.open(two) as client:
        assert {entry.id: entry.text for entry in client.entries.list()} == texts
        assert client.sync().pulled == 0
    return Figures(sent, fetched, max(run.growth for run in (cut, sending, *fetching)))


def _to_the_end(home: Path, count: int) -> tuple[Run, float]:
    """A sync that nobody disturbs, and the items of its answers a second. Where it took a while, it
    has said how far it came and how fast it was."""
    with running(home, "sync") as run:
        began = time.monotonic()
        run.watch()
        said, noted = run.process.communicate(timeout=60)
        took = time.monotonic() - began
    assert run.process.returncode == 0, noted
    assert said.endswith(" fetched\n")
    if took > 5:
        assert f"Fetching: {count:,} of {count:,}, " in noted
        print(noted, end="")
    return run, sum(run.pages) / took


@needs_server
def test_a_sync_that_is_killed_goes_on_where_it_was(tmp_path: Path) -> None:
    with real_server.serving(tmp_path / "data", RATE_LIMITS="on") as origin:
        assert through(tmp_path, origin, 2_000).growth < MOST_GROWTH_BYTES


@needs_server
@pytest.mark.soak
def test_a_hundred_thousand_entries_arrive_in_little_memory(tmp_path: Path) -> None:
    with real_server.serving(tmp_path / "data", RATE_LIMITS="on") as origin:
        found = through(tmp_path, origin, 100_000)
    print(
        f"sent {found.sent:,.0f} items/s, fetched {found.fetched:,.0f} items/s,"
        f" memory +{found.growth / 2**20:.1f} MiB"
    )
    assert found.growth < MOST_GROWTH_BYTES


@needs_server
def test_a_device_in_a_hurry_keeps_to_the_usual_rates_and_gets_through(tmp_path: Path) -> None:
    """Sixty pushes and more at once, where fifty may be."""
    waits: list[str] = []
    options = Options(on_wait=lambda seconds, why: waits.append(why))
    settings = {"RATE_LIMITS": "on", "MAX_PUSH_CHANGES": "10"}
    with (
        real_server.serving(tmp_path / "data", **settings) as origin,
        Client.create(tmp_path / "one", server=origin, key="p256", options=options) as client,
    ):
        write(client, 800)
        assert client.sync().complete
    assert "rate_limited" in waits


class Counting(FakeServer):
    """Says how much it holds, as the real one does."""

    def handle(self, device_id: str, call: Call) -> Answer:
        answer = super().handle(device_id, call)
        if call.path != "/sync/status":
            return answer
        return Answer({**answer.fields, "items": {"entries": len(self.items)}})


def test_a_pace_counts_from_the_first_report_of_this_process() -> None:
    at = [0.0]
    pace = Pace(lambda: at[0])
    pace.report("pull", 40_500, 100_000)
    assert (pace.per_second("pull"), pace.summaries()) == (None, [])
    at[0] = 10.0
    pace.report("pull", 100_000, 100_000)
    assert pace.summaries() == ["Fetching: 100,000 of 100,000, 5,950 items/s"]


def test_what_a_first_sync_sends_counts_among_what_it_will_fetch(desks: Desks) -> None:
    desks.server = server = Counting()
    server.page = 2
    ana, ben = desks.add(), desks.add()
    for number in range(3):
        ana.entries.add(f"{number}")
    ana.sync()
    for number in range(4):
        ben.entries.add(f"{number}")
    seen: list[tuple[str, int, int]] = []
    engine = SyncEngine(ben.vault, merge_wait_seconds=None)
    drive(server, ben.device_id, engine.sync(progress=lambda *told: seen.append(told)))
    assert seen == [("push", 4, 4), *(("pull", done, 7) for done in (2, 4, 6, 7))]


def test_a_first_sync_cut_off_tells_all_that_it_has_fetched(desks: Desks) -> None:
    desks.server = server = Counting()
    server.page = 2
    ana, ben = desks.add(), desks.add()
    for number in range(5):
        ana.entries.add(f"{number}")
    ana.sync()
    pulls: list[Call] = []

    def third_pull(n: int, call: Call) -> str:
        pulls.extend([call] if call.path == "/sync/pull" else [])
        return "before" if len(pulls) == 3 else ""

    with pytest.raises(Offline):
        ben.sync(third_pull)
    seen: list[tuple[str, int, int]] = []
    engine = SyncEngine(ben.vault, merge_wait_seconds=None)
    drive(server, ben.device_id, engine.sync(progress=lambda *told: seen.append(told)))
    assert seen == [("pull", 5, 5)]
