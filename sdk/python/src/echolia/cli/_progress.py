"""How far a long piece of work has come: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .._push import Progress

STAGES = {"push": "Sending", "pull": "Fetching", "import": "Importing", "export": "Exporting"}
_BETWEEN_LINES_SECONDS = 5.0
_TOLD_SECONDS = 1.0

Note = Callable[[str], None]
Clock = Callable[[], float]


class Pace:
    """What each stage did in this process, and how fast. A stage counts from its first report: what
    was before may have been another process, or waiting."""

    def __init__(self, now: Clock) -> None:
        self._now = now
        self._first: dict[str, tuple[int, float]] = {}
        self._last: dict[str, tuple[int, int, float]] = {}

    def report(self, stage: str, done: int, total: int) -> None:
        now = self._now()
        self._first.setdefault(stage, (done, now))
        self._last[stage] = (done, total, now)

    def per_second(self, stage: str) -> float | None:
        """Items a second; None before there is anything to tell."""
        (before, began), (done, _, now) = self._first[stage], self._last[stage]
        return (done - before) / (now - began) if done > before and now > began else None

    def summaries(self) -> list[str]:
        """A line for each stage that took a second or more."""
        return [
            self.line(stage)
            for stage, (_, _, ended) in self._last.items()
            if ended - self._first[stage][1] >= _TOLD_SECONDS
        ]

    def line(self, stage: str) -> str:
        done, total, _ = self._last[stage]
        pace = self.per_second(stage)
        rate = "" if pace is None else f", {pace:,.0f} items/s"
        return f"{STAGES[stage]}: {done:,} of {total:,}{rate}"


@contextmanager
def lines(pace: Pace, note: Note, now: Clock = time.monotonic) -> Iterator[Progress]:
    """A line every five seconds, for terminals that can do no more and for logs."""
    due = now() + _BETWEEN_LINES_SECONDS

    def show(stage: str, done: int, total: int) -> None:
        nonlocal due
        pace.report(stage, done, total)
        if now() >= due:
            due = now() + _BETWEEN_LINES_SECONDS
            note(pace.line(stage))

    yield show


@contextmanager
def bar(pace: Pace) -> Iterator[Progress]:
    """A bar for each stage, with its speed and the time that is left."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[pace]}"),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=Console(stderr=True), transient=True) as shown:
        tasks = {
            stage: shown.add_task(name, visible=False, pace="") for stage, name in STAGES.items()
        }

        def show(stage: str, done: int, total: int) -> None:
            pace.report(stage, done, total)
            rate = pace.per_second(stage)
            told = "" if rate is None else f"{rate:,.0f}/s"
            shown.update(tasks[stage], completed=done, total=total, visible=True, pace=told)

        yield show
