"""Rounds to results: medians, spreads, shares of the floor, and which aims are met. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal, TypeAlias

from bench.rounds import Group, Measure, Values
from bench.servers import Name

Rounds: TypeAlias = Mapping[Name, Sequence[Values]]


@dataclass(frozen=True, slots=True)
class Aim:
    """What the project wants: at least a share of the floor's speed, or at most a value."""

    kind: Literal["share", "below"]
    value: float

    def __str__(self) -> str:
        return f"≥ {self.value:g} of floor" if self.kind == "share" else f"< {self.value:g}"


@dataclass(frozen=True, slots=True)
class Row:
    """How a measure is shown; `rate` says that more is better."""

    group: Group
    measure: Measure
    text: str
    rate: bool
    digits: int
    aim: Aim | None = None


ROWS: tuple[Row, ...] = (
    Row("push", "push", "push, 100 a request, items/s", True, 0, Aim("share", 0.6)),
    Row("pull", "pull", "pull, 500 a page, items/s", True, 0, Aim("share", 0.5)),
    Row("msgpack", "push_msgpack", "the same in MessagePack: push, items/s", True, 0),
    Row("msgpack", "pull_msgpack", "the same in MessagePack: pull, items/s", True, 0),
    Row("many", "many", "push, 16 accounts at once, items/s", True, 0),
    Row("single", "single_p50", "push of one item, p50 ms", False, 2),
    Row("single", "single_p99", "push of one item, p99 ms", False, 2),
    Row("poll", "poll_p50", "pull that finds nothing, p50 ms", False, 2),
    Row("poll", "poll_p99", "pull that finds nothing, p99 ms", False, 2),
    Row("start", "start", "start to first healthy answer, s", False, 2, Aim("below", 1.5)),
    Row("memory", "memory", "resident memory afterwards, MiB", False, 0, Aim("below", 150)),
    Row("memory", "memory_peak", "resident memory at its peak, MiB", False, 0),
)


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of a value over all rounds, and how far it went."""

    median: float
    least: float
    most: float


@dataclass(frozen=True, slots=True)
class Result:
    """One measure of both servers. `share` is the server's speed as a part of the floor's (1: as
    fast; 0.5: half as fast), round by round; `share_of_medians` is the same of the two medians."""

    row: Row
    echolia: Spread
    floor: Spread
    share: Spread
    share_of_medians: float

    @property
    def is_met(self) -> bool | None:
        """Whether the aim is met; None if there is none."""
        aim = self.row.aim
        if aim is None:
            return None
        if aim.kind == "share":
            return self.share_of_medians >= aim.value
        return self.echolia.median < aim.value


def results_of(rounds: Rounds, groups: Sequence[Group]) -> list[Result]:
    """A result per measure of these groups that every round has taken."""
    return [
        _result(row, rounds)
        for row in ROWS
        if row.group in groups
        and all(row.measure in values for taken in rounds.values() for values in taken)
    ]


def as_json(results: Sequence[Result]) -> dict[str, Any]:
    """The results for machines."""
    return {
        each.row.measure: {
            "what": each.row.text,
            "echolia": _numbers(each.echolia),
            "floor": _numbers(each.floor),
            "share_of_floor": _numbers(each.share),
            "share_of_medians": round(each.share_of_medians, 4),
            "aim": None if each.row.aim is None else str(each.row.aim),
            "met": each.is_met,
        }
        for each in results
    }


def as_table(results: Sequence[Result]) -> str:
    """The results for people: median (least - most) per server."""
    head = ("", "echolia", "floor", "of floor", "(paired)", "aim", "met")
    return "\n".join(aligned([head, *(_cells(each) for each in results)], left=(0, 5, 6)))


def aligned(lines: Sequence[Sequence[str]], *, left: Sequence[int]) -> list[str]:
    """Each line with its cells one above the other; the columns in `left` begin alike, others end
    alike."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if column in left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]


def spread_of(values: Sequence[float]) -> Spread:
    return Spread(median(values), min(values), max(values))


def _result(row: Row, rounds: Rounds) -> Result:
    ours = [values[row.measure] for values in rounds["echolia"]]
    floor = [values[row.measure] for values in rounds["floor"]]
    shares = [_share(row, one, other) for one, other in zip(ours, floor, strict=True)]
    of_medians = _share(row, median(ours), median(floor))
    return Result(row, spread_of(ours), spread_of(floor), spread_of(shares), of_medians)


def _share(row: Row, ours: float, floor: float) -> float:
    return ours / floor if row.rate else floor / ours


def _cells(result: Result) -> tuple[str, ...]:
    digits = result.row.digits
    met = {True: "yes", False: "NO", None: ""}[result.is_met]
    return (
        result.row.text,
        _shown(result.echolia, digits),
        _shown(result.floor, digits),
        f"{result.share_of_medians:.2f}",
        f"({result.share.least:.2f} - {result.share.most:.2f})",
        "" if result.row.aim is None else str(result.row.aim),
        met,
    )


def _shown(spread: Spread, digits: int) -> str:
    middle, least, most = (
        f"{value:,.{digits}f}" for value in (spread.median, spread.least, spread.most)
    )
    return f"{middle} ({least} - {most})"


def _numbers(spread: Spread) -> dict[str, float]:
    return {
        "median": round(spread.median, 4),
        "min": round(spread.least, 4),
        "max": round(spread.most, 4),
    }
