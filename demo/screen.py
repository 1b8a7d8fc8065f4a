"""What the demo says. On a terminal with colour and movement; anywhere else as plain lines."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console, Group
from rich.markup import escape
from rich.padding import Padding
from rich.panel import Panel
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

WIDTH = 100
_INDENT = (0, 0, 0, 3)


@dataclass(frozen=True, slots=True)
class Claim:
    """Something the demo set out to show, and whether it holds."""

    sentence: str
    holds: bool


class Screen:
    """Says things in order and remembers every claim."""

    def __init__(self, console: Console | None = None) -> None:
        self.claims: list[Claim] = []
        self._console = console or _console()
        self._step = 0
        self._began = time.perf_counter()

    @property
    def all_hold(self) -> bool:
        return bool(self.claims) and all(claim.holds for claim in self.claims)

    def title(self, title: str, words: str) -> None:
        self._console.print(Text(title, style="bold"))
        self._console.print(words, markup=False)

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """A numbered heading; while the block runs, a terminal shows that it does."""
        self._step += 1
        began = time.perf_counter()
        self._console.print(f"\n[bold cyan]{self._step}[/]  [bold]{escape(title)}[/]")
        with self._console.status("[dim]…[/]", spinner="dots"):
            yield
        self._console.print(f"   [dim]{time.perf_counter() - began:.1f} s[/]")

    def says(self, words: str) -> None:
        self._console.print(Padding(Text(words), _INDENT, expand=False))

    def quotes(self, lines: Sequence[str]) -> None:
        """Something shown as it is, set apart."""
        for line in lines:
            self._console.print(
                Text(f"   │ {line}", style="dim", overflow="ellipsis"), no_wrap=True
            )

    def table(
        self, columns: Sequence[str], rows: Sequence[Sequence[str]], numbers: int = 0
    ) -> None:
        """Rows under headings; the last `numbers` columns are numbers."""
        table = Table(box=None, padding=(0, 3, 0, 0), header_style="dim")
        for at, name in enumerate(columns):
            is_number = at >= len(columns) - numbers
            table.add_column(name, justify="right" if is_number else "left", overflow="fold")
        for row in rows:
            table.add_row(*(Text(cell) for cell in row))
        self._console.print(Padding(table, _INDENT, expand=False))

    def claim(self, sentence: str, holds: bool) -> None:
        """Say that something holds, or that it does not; the summary says it again."""
        self.claims.append(Claim(sentence, holds))
        self._console.print(Padding(self._marked(self.claims[-1:]), _INDENT, expand=False))

    @contextmanager
    def progress(self, words: str, size_bytes: int) -> Iterator[Callable[[int], None]]:
        """A bar over so many bytes, on a terminal; the block reports how many more are done."""
        columns = (TextColumn("   {task.description}"), BarColumn(), DownloadColumn())
        bar = Progress(*columns, console=self._console, transient=True)
        if not self._console.is_terminal:
            yield lambda done: None
            return
        with bar:
            task = bar.add_task(words, total=size_bytes)
            yield lambda done: bar.advance(task, done)

    def summary(self, notes: Sequence[str]) -> None:
        """Every claim again, on one screen."""
        failed = sum(not claim.holds for claim in self.claims)
        seconds = time.perf_counter() - self._began
        end = f"{failed} of {len(self.claims)} do not hold" if failed else "All of it holds"
        words = Text.assemble("\n", (f"{end}; it took {seconds:.0f} s.", "bold"))
        body = Group(self._marked(self.claims), words, *map(Text, notes))
        self._console.print()
        colour = "red" if failed else "green"
        self._console.print(Panel(body, title="What you have seen", border_style=colour))

    def failure(self, words: str) -> None:
        self._console.print(Text(f"\n✗ {words}", style="bold red"))

    def _marked(self, claims: Sequence[Claim]) -> Table:
        """A mark before each claim; a long one goes on below itself."""
        yes, no = ("ok", "NO") if self._console.options.ascii_only else ("✓", "✗")
        marked = Table.grid(padding=(0, 1))
        for claim in claims:
            mark = Text(yes, "green") if claim.holds else Text(no, "bold red")
            marked.add_row(mark, Text(claim.sentence))
        return marked


def _console() -> Console:
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    console = Console(highlight=False, soft_wrap=False)
    console.width = min(console.width, WIDTH) if console.is_terminal else WIDTH
    return console
