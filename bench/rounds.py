"""One round: a server on an empty folder, warmed up, and every measure taken on it once."""

import gc
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Literal, TypeAlias, get_args

from bench.lanes import Lane, open_lane, send_at_once
from bench.servers import Name, Server

Measure: TypeAlias = Literal[
    "start", "push", "pull", "push_msgpack", "pull_msgpack", "poll_p50", "poll_p99", "single_p50",
    "single_p99", "many", "memory", "memory_peak",
]  # fmt: skip
Group: TypeAlias = Literal["start", "push", "pull", "msgpack", "poll", "single", "many", "memory"]
GROUPS: tuple[Group, ...] = get_args(Group)

Values: TypeAlias = Mapping[Measure, float]
"""Seconds for `start`, items per second for `push`, `pull` (in either form) and `many`,
milliseconds for `poll` and `single`, MiB for `memory`."""


@dataclass(frozen=True, slots=True)
class Load:
    """How much is done in one round."""

    warm_up: int = 5
    pushes: int = 50
    size: int = 100
    polls: int = 300
    singles: int = 200
    lanes: int = 16
    pushes_per_lane: int = 10


def run_round(name: Name, folder: Path, load: Load, groups: Sequence[Group]) -> Values:
    """The values of one round. Raises WrongAnswer if the server did not do what was timed, and
    ServerFailed if it did not come up."""
    with tempfile.TemporaryDirectory(dir=folder) as fresh, ExitStack() as stack:
        server = stack.enter_context(Server(name, Path(fresh)))
        stack.enter_context(_without_collections())
        values: dict[Measure, float] = {"start": server.start_seconds}
        if set(groups) <= {"start"}:
            return values
        lane = open_lane(server)
        stack.callback(lane.connection.close)
        values |= _pushed_and_pulled(lane, load)
        if "msgpack" in groups:
            values |= _in_msgpack(server, load, values)
        if "poll" in groups:
            values |= _latency("poll", lane.polls(load.polls))
        if "single" in groups:
            values |= _singles(lane, load)
        if "many" in groups:
            values["many"] = _many(server, load)
        memory = server.memory()
        if memory is not None:
            values |= {"memory": memory.now, "memory_peak": memory.peak}
        return values


def _pushed_and_pulled(lane: Lane, load: Load) -> Values:
    warm_up = lane.pushes(load.warm_up, load.size)
    warm_up.send()
    warm_up.check()
    pushes = lane.pushes(load.pushes, load.size)
    pushing = pushes.send()
    pushed = pushes.check()
    lane.connection.exchange(lane.pull(None))  # the first page is warm-up here, as on any server
    answers, pulling = lane.pages()
    pulled = lane.check_pages(answers)
    return {"push": pushed / pushing, "pull": pulled / pulling}


def _in_msgpack(server: Server, load: Load, in_json: Values) -> Values:
    """The same once more in MessagePack, which the floor does not speak: there it is what JSON
    was."""
    taken = in_json
    if server.name == "echolia":
        lane = open_lane(server, "msgpack")
        try:
            taken = _pushed_and_pulled(lane, load)
        finally:
            lane.connection.close()
    return {"push_msgpack": taken["push"], "pull_msgpack": taken["pull"]}


def _singles(lane: Lane, load: Load) -> Values:
    pushes = lane.pushes(load.singles, 1)
    pushes.send()
    pushes.check()
    return _latency("single", pushes.took)


def _many(server: Server, load: Load) -> float:
    with ExitStack() as stack:
        lanes = [open_lane(server) for _ in range(load.lanes)]
        for lane in lanes:
            stack.callback(lane.connection.close)
            first = lane.pushes(1, 1)
            first.send()
            first.check()
        pushes = [lane.pushes(load.pushes_per_lane, load.size) for lane in lanes]
        took = send_at_once(pushes)
        return sum(each.check() for each in pushes) / took


def _latency(kind: Literal["poll", "single"], took: Sequence[float]) -> Values:
    ordered = sorted(took)
    p99 = ordered[-(-len(ordered) * 99 // 100) - 1]
    if kind == "poll":
        return {"poll_p50": median(ordered) * 1000, "poll_p99": p99 * 1000}
    return {"single_p50": median(ordered) * 1000, "single_p99": p99 * 1000}


@contextmanager
def _without_collections() -> Iterator[None]:
    """The client's garbage is collected between rounds, not within a timed stretch."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
