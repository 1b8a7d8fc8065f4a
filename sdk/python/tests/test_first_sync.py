"""A new device fetches a whole journal through the terminal client, killed again and again."""

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

from echolia import Client, Options
from echolia.cli._progress import Pace

from . import real_server

pytestmark = pytest.mark.skipif(not real_server.is_here(), reason="only beside the server's code")
SOURCE = Path(__file__).parents[1] / "src"
PAGE = 500
MOST_GROWTH_BYTES = 100 * 1024 * 1024

# The client as it is, but that each page fetched is told through a pipe: how many items it held.
WATCHED = """
import os, sys
import httpx
from echolia.cli import main

told, send = int(sys.argv[1]), httpx.HTTPTransport.handle_request

def watched(self, request):
    response = send(self, request)
    if request.url.path == "/sync/pull":
        os.write(told, b"%d\\n" % response.read().count(b'"versions":'))
    return response

httpx.HTTPTransport.handle_request = watched
sys.exit(main(sys.argv[2:]))
"""


@dataclass
class Run:
    """A process of the client: items per page as they come, and the memory it took."""

    process: subprocess.Popen[str]
    told: Iterator[str]
    pages: list[int] = field(default_factory=list)
    resident: list[int] = field(default_factory=list)

    def fetch(self, most: int | None = None) -> None:
        """Returns when so many pages have come, or all."""
        for line in self.told:
            self.pages.append(int(line))
            self.resident.append(_resident_bytes(self.process.pid))
            if len(self.pages) == most:
                return

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


def written(home: Path, origin: str, count: int, options: Options | None = None) -> dict[str, str]:
    """A device with so many entries, all of them on the server: texts by id."""
    texts: dict[str, str] = {}
    with Client.create(home, server=origin, key="p256", options=options or Options()) as client:
        for start in range(0, count, PAGE):
            with client.vault.store.transaction():
                for number in range(start, min(start + PAGE, count)):
                    entry = client.entries.add(f"Day {number}. " + "It rained. " * (number % 60))
                    texts[entry.id] = entry.text
        assert client.sync().complete
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


def fetch_with_deaths(folder: Path, origin: str, count: int) -> tuple[int, float]:
    """The growth of memory and the items a second of the last of three processes, of which two
    were killed. In the end the new device has what the first one wrote."""
    texts = written(folder / "one", origin, count)
    third = max(1, count // PAGE // 3)
    fetched: list[int] = []
    with running(folder / "two", "pair", "--join", "-") as first:
        joins(folder / "one", first)
        first.fetch(third)
        time.sleep(random.uniform(0, 0.1))  # somewhere within storing the page
        first.process.kill()
    with running(folder / "two", "sync") as second:
        second.fetch(third)
        time.sleep(random.uniform(0, 0.1))
        second.process.kill()
    with running(folder / "two", "sync") as last:
        began = time.monotonic()
        last.fetch()
        said, noted = last.process.communicate(timeout=60)
        took = time.monotonic() - began
    assert last.process.returncode == 0, noted
    for run in (first, second, last):
        fetched += run.pages
    assert count <= sum(fetched) <= count + 2 * 2 * PAGE
    assert said == f"0 sent, {sum(last.pages)} fetched\n"
    if took > 3:
        assert f"Fetching: {count:,} of {count:,}, " in noted
        print(noted, end="")
    with Client.open(folder / "two") as client:
        assert {entry.id: entry.text for entry in client.entries.list()} == texts
        assert client.sync().pulled == 0
    return max(run.growth for run in (first, second, last)), sum(last.pages) / took


def test_a_killed_first_sync_goes_on_where_it_was(tmp_path: Path) -> None:
    with real_server.serving(tmp_path / "data", RATE_LIMITS="on") as origin:
        growth, _ = fetch_with_deaths(tmp_path, origin, 2_000)
    assert growth < MOST_GROWTH_BYTES


@pytest.mark.soak
def test_a_hundred_thousand_entries_arrive_in_little_memory(tmp_path: Path) -> None:
    with real_server.serving(tmp_path / "data", RATE_LIMITS="on") as origin:
        growth, pace = fetch_with_deaths(tmp_path, origin, 100_000)
    print(f"{pace:,.0f} items/s with start and end; memory +{growth / 2**20:.1f} MiB")
    assert growth < MOST_GROWTH_BYTES


def test_a_device_in_a_hurry_keeps_to_the_usual_rates_and_gets_through(tmp_path: Path) -> None:
    """Sixty pushes and more at once, where fifty may be."""
    waits: list[str] = []
    options = Options(on_wait=lambda seconds, why: waits.append(why))
    settings = {"RATE_LIMITS": "on", "MAX_PUSH_CHANGES": "10"}
    with real_server.serving(tmp_path / "data", **settings) as origin:
        texts = written(tmp_path / "one", origin, 800, options)
        with Client.open(tmp_path / "one") as client:
            assert client.status().pending == 0
    assert len(texts) == 800
    assert "rate_limited" in waits


def test_a_pace_counts_from_the_first_report_of_this_process() -> None:
    at = [0.0]
    pace = Pace(lambda: at[0])
    pace.report("pull", 40_500, 100_000)
    assert (pace.per_second("pull"), pace.summaries()) == (None, [])
    at[0] = 10.0
    pace.report("pull", 100_000, 100_000)
    assert pace.summaries() == ["Fetching: 100,000 of 100,000, 5,950 items/s"]
