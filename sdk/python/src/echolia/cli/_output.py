"""What the terminal client says: to people with colour, to scripts as lines or JSON."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from importlib.util import find_spec
from typing import Any

from .._push import Progress
from ._progress import Pace, bar, lines

_NOTE_LENGTH = 500
_NOTICED_SECONDS = 1.0


class Output:
    """Results go to stdout, everything else to stderr, so that a pipe gets results alone."""

    def __init__(self, *, as_json: bool, plain: bool) -> None:
        self.as_json = as_json
        self.for_scripts = as_json or plain
        self._rich = not self.for_scripts and sys.stdout.isatty() and _has("rich")

    def result(self, value: Any, text: str) -> None:
        """`value` for scripts that asked for JSON, `text` for everybody else."""
        is_seen = sys.stdout.isatty()
        if self.as_json:
            text = json.dumps(value, ensure_ascii=is_seen)
        elif is_seen and not self.for_scripts:
            text = shown(text)
        print(text, flush=True)

    def line(self, text: str) -> None:
        """Exactly this line on stdout, in every mode."""
        print(text, flush=True)

    def note(self, text: str) -> None:
        """One line for people. It may quote a server, so it is made harmless and kept short."""
        print(printable(text[:_NOTE_LENGTH]), file=sys.stderr, flush=True)

    def waiting(self, seconds: float, why: str) -> None:
        """What the wait that begins now is for."""
        if why == "proof_of_work":
            if seconds >= _NOTICED_SECONDS:
                self.note(f"the server asks for some work first: about {duration(seconds)}")
            return
        if why == "reconnecting":
            return
        self.note(f"{busy(why)}: trying again in {duration(seconds)}")

    def table(self, columns: list[str], rows: list[list[str]]) -> None:
        """Columns that fit the terminal; tab-separated lines in a pipe."""
        if not self._rich:
            for row in rows:
                print("\t".join(map(printable, row)))
            return
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, pad_edge=False, header_style="dim")
        for name in columns:
            table.add_column(name, no_wrap=name != columns[-1], overflow="ellipsis")
        for row in rows:
            table.add_row(*(Text(printable(cell)) for cell in row))
        Console().print(table)

    def qr(self, link: str) -> None:
        """The link as a QR code, if the extra for it is installed."""
        if not _has("segno"):
            return
        import segno

        segno.make(link, error="l").terminal(compact=True)

    @contextmanager
    def progress(self) -> Iterator[Progress]:
        """A bar on a terminal, a line now and then anywhere else; and at the end how fast it was,
        unless it was over in no time."""
        pace = Pace(time.monotonic)
        has_bar = self._rich and sys.stderr.isatty()
        with bar(pace) if has_bar else lines(pace, self.note) as report:
            yield report
        for summary in pace.summaries():
            self.note(summary)


def busy(code: str) -> str:
    """Why a server asks to come again later, in words."""
    if code == "rate_limited":
        return "the server takes no more such requests just now"
    if code == "offline":
        return "the server cannot be reached"
    return "the server is busy just now"


def duration(seconds: float) -> str:
    """A time to wait, never told as shorter than it is."""
    if seconds <= 90:
        return f"{max(1, math.ceil(seconds))} s"
    if seconds <= 90 * 60:
        return f"{math.ceil(seconds / 60)} min"
    return f"{math.ceil(seconds / 3600)} h"


def _has(module: str) -> bool:
    return find_spec(module) is not None


def when(moment: int | None) -> str:
    """Local time for people; a dash for never."""
    if moment is None:
        return "-"
    return datetime.fromtimestamp(moment).strftime("%Y-%m-%d %H:%M")  # noqa: DTZ006 - for people


def shown(text: str) -> str:
    """A text for a terminal: printable, with its lines and tabs."""
    return "\n".join("\t".join(map(printable, line.split("\t"))) for line in text.split("\n"))


def printable(text: str) -> str:
    """`text` without control characters, which could play tricks with a terminal."""
    return "".join(char if char.isprintable() else " " for char in text)
