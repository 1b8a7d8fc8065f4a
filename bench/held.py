"""What it costs that an account holds much already: one with a thousand items beside one with a
million, on one server, in turn."""

from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Literal, TypeAlias

import orjson

from bench.account import register
from bench.filled import fill
from bench.lanes import Lane, WrongAnswer, lane_of, open_lane
from bench.results import aligned
from bench.servers import Server
from bench.wire import Connection, request

MOST_RATIO = 1.3
Cost: TypeAlias = Literal["push", "poll"]
_WARM_UPS = 10


@dataclass(frozen=True, slots=True)
class HeldLoad:
    """How much either account holds, and how often it is asked. A turn's pushes go to a small
    account of their own, or it would soon be a large one."""

    few: int = 1_000
    many: int = 1_000_000
    turns: int = 12
    pushes: int = 10
    polls: int = 50
    size: int = 100


@dataclass(frozen=True, slots=True)
class Turn:
    """Milliseconds, with few and with many items held: an item of a push, and a poll."""

    push: tuple[float, float]
    poll: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Flatness:
    """What a measure costs with many items held, beside what it costs with few: by the medians of
    all turns, and how far apart single turns lay."""

    cost: Cost
    few_ms: float
    many_ms: float
    ratio: float
    least: float
    most: float

    @property
    def is_met(self) -> bool:
        return self.ratio <= MOST_RATIO


def run_held(folder: Path, load: HeldLoad) -> list[Flatness]:
    """Fill an account, and ask both in turn. Raises WrongAnswer if the server did not do what was
    timed."""
    with Server("echolia", folder) as server, closing(Connection(server.port)) as connection:
        account = register(connection)
        first = lane_of(account, connection).pushes(1, load.size)
        first.send()
        first.check()
    fill(folder / "data", account, load.many - load.size)
    with Server("echolia", folder) as server, ExitStack() as stack:
        large = lane_of(account, stack.enter_context(closing(Connection(server.port))))
        check_held(large, load.many)
        _push(large, load, _WARM_UPS)
        turns = []
        for number in range(load.turns):
            small = open_lane(server)
            stack.callback(small.connection.close)
            _push(small, load, load.few // load.size)
            turns.append(_turn(small, large, load, many_first=bool(number % 2)))
        check_held(large, load.many + (_WARM_UPS + load.turns * load.pushes) * load.size)
    return [flatness_of("push", turns), flatness_of("poll", turns)]


def flatness_of(cost: Cost, turns: Sequence[Turn]) -> Flatness:
    """The medians side by side; within a turn a push is reckoned by the mean, so that the server's
    writing back of what it wrote counts."""
    pairs = [turn.push if cost == "push" else turn.poll for turn in turns]
    ratios = [many / few for few, many in pairs]
    few, many = (median(each) for each in zip(*pairs, strict=True))
    return Flatness(cost, few, many, many / few, min(ratios), max(ratios))


def as_json(found: Sequence[Flatness]) -> dict[str, Any]:
    """The ratios for machines."""
    return {
        each.cost: {
            "few_ms": round(each.few_ms, 4),
            "many_ms": round(each.many_ms, 4),
            "ratio": round(each.ratio, 4),
            "least": round(each.least, 4),
            "most": round(each.most, 4),
            "aim": f"≤ {MOST_RATIO}",
            "met": each.is_met,
        }
        for each in found
    }


def as_lines(found: Sequence[Flatness], load: HeldLoad) -> list[str]:
    """The ratios for people."""
    what = {"push": "push, ms per item", "poll": "pull that finds nothing, ms"}
    cells = [("", f"{load.few:,} held", f"{load.many:,} held", "ratio", "(paired)", "aim", "met")]
    cells += [
        (
            what[each.cost],
            f"{each.few_ms:.3f}",
            f"{each.many_ms:.3f}",
            f"{each.ratio:.2f}",
            f"({each.least:.2f} - {each.most:.2f})",
            f"≤ {MOST_RATIO}",
            "yes" if each.is_met else "NO",
        )
        for each in found
    ]
    return aligned(cells, left=(0, 5, 6))


def _turn(small: Lane, large: Lane, load: HeldLoad, *, many_first: bool) -> Turn:
    order = (large, small) if many_first else (small, large)
    pushes = [_push(lane, load, load.pushes) for lane in order]
    polls = [_poll(lane, load) for lane in order]
    if many_first:
        pushes.reverse()
        polls.reverse()
    return Turn((pushes[0], pushes[1]), (polls[0], polls[1]))


def _push(lane: Lane, load: HeldLoad, count: int) -> float:
    pushes = lane.pushes(count, load.size)
    took = pushes.send()
    return took * 1000 / pushes.check()


def _poll(lane: Lane, load: HeldLoad) -> float:
    answer = lane.connection.exchange(request("GET", "/sync/status", lane.headers))
    cursor = str(orjson.loads(answer.body)["cursor"])
    return median(lane.polls_behind(cursor, load.polls)) * 1000


def check_held(lane: Lane, count: int) -> None:
    """Raises WrongAnswer unless the server says that the account holds so many entries."""
    answer = lane.connection.exchange(request("GET", "/sync/status", lane.headers))
    held = orjson.loads(answer.body)["items"]["entries"]
    if answer.status != 200 or held != count:
        raise WrongAnswer(f"an account that should hold {count} items holds {held}")
