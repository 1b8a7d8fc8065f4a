"""`python -m bench`: the server beside its floor. Tells, and judges nothing by its exit code."""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from bench import held, live
from bench.machine import machine_of
from bench.results import Rounds, as_json, as_table, results_of
from bench.rounds import GROUPS, Group, Load, Values, run_round
from bench.servers import Name

ROUNDS = 5
LIVE = "live"
"""Streams of events: the floor has none to compare with."""
HELD = "held"
"""Asked for by name only: filling the large account alone takes longer than any other measure."""
_KEPT_OVER_RESTARTS = Path("/var/tmp")  # by custom on a disk, where /tmp may be memory


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the rounds and print what they came to."""
    asked = _parser().parse_args(arguments)
    if asked.measures == [LIVE]:
        _tell_live(asked.folder)
        return
    if HELD in asked.measures:
        _run_held(asked.folder, as_json=asked.json)
        return
    groups: Sequence[Group] = asked.measures or GROUPS
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="echolia-bench-", dir=asked.folder) as folder:
        machine = machine_of(Path(folder))
        rounds = run_rounds(Path(folder), Load(), groups, asked.rounds)
    results = results_of(rounds, groups)
    if asked.json:
        told = {"machine": machine.as_json(), "rounds": asked.rounds, "results": as_json(results)}
        print(json.dumps(told, indent=2))
        return
    print("\n".join(machine.sentences()))
    print(f"{_load_sentence(Load())} Median (least - most) of {asked.rounds} rounds.\n")
    print(as_table(results))
    print(f"\n{time.perf_counter() - began:.0f} s in all.")


def _tell_live(parent: Path) -> None:
    live.allow_files()
    with tempfile.TemporaryDirectory(prefix="echolia-bench-", dir=parent) as folder:
        print("\n".join(machine_of(Path(folder)).sentences()))
        for line in live.run(Path(folder)):
            print(line, flush=True)


def _run_held(where: Path, *, as_json: bool) -> None:
    load = held.HeldLoad()
    with tempfile.TemporaryDirectory(prefix="echolia-bench-", dir=where) as folder:
        machine = machine_of(Path(folder))
        _say(f"filling an account with {load.many:,} items")
        found = held.run_held(Path(folder), load)
    if as_json:
        print(json.dumps({"machine": machine.as_json(), HELD: held.as_json(found)}, indent=2))
        return
    print("\n".join([*machine.sentences(), "", *held.as_lines(found, load)]))


def run_rounds(folder: Path, load: Load, groups: Sequence[Group], count: int) -> Rounds:
    """`count` rounds of each server in turn; who goes first changes from round to round."""
    rounds: dict[Name, list[Values]] = {"floor": [], "echolia": []}
    for number in range(count):
        _say(f"round {number + 1} of {count}")
        order: tuple[Name, ...] = ("floor", "echolia") if number % 2 else ("echolia", "floor")
        for name in order:
            rounds[name].append(run_round(name, folder, load, groups))
    return rounds


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("measures", nargs="*", choices=[*GROUPS, LIVE, HELD, []],
                        metavar="measure",
                        help=f"which to take: {', '.join(GROUPS)} (default: all of these); or,"
                        f" alone, {LIVE}: streams of events, or {HELD}: whether what is held makes"
                        " it slower")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="results for machines, on stdout")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="rounds of each server")
    parser.add_argument("--folder", type=Path, default=_default_folder(),
                        help="where the servers keep their files")  # fmt: skip
    return parser


def _default_folder() -> Path:
    return _KEPT_OVER_RESTARTS if _KEPT_OVER_RESTARTS.is_dir() else Path(tempfile.gettempdir())


def _load_sentence(load: Load) -> str:
    return (
        f"A round: an empty folder, {load.warm_up * load.size} items to warm up,"
        f" {load.pushes * load.size:,} items of 1 KiB pushed, all of them pulled from the start."
    )


def _say(progress: str) -> None:
    print(progress, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
