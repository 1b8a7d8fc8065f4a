"""Few and many items held, for real but not so many."""

from pathlib import Path
from typing import cast

import pytest

from bench.held import (
    Flatness,
    HeldLoad,
    Turn,
    as_json,
    as_lines,
    check_held,
    flatness_of,
    run_held,
)
from bench.lanes import Lane, WrongAnswer
from bench.wire import Answer, Connection

SMALL = HeldLoad(few=20, many=3_000, turns=2, pushes=2, polls=3, size=10)


def test_a_filled_account_takes_pushes_and_polls_like_one_that_was_pushed(tmp_path: Path) -> None:
    """The run itself asks the server how much it holds, before and after."""
    found = run_held(tmp_path, SMALL)
    assert [each.cost for each in found] == ["push", "poll"]
    assert all(0 < each.least <= each.most for each in found)
    assert list(as_json(found)) == ["push", "poll"]
    assert "3,000 held" in as_lines(found, SMALL)[0]


class Telling:
    """A connection to a server that says how many entries it holds."""

    def __init__(self, entries: int) -> None:
        self._answer = Answer(200, b'{"items":{"entries":%d}}' % entries)

    def exchange(self, sent: bytes) -> Answer:
        return self._answer


def test_a_server_that_holds_something_else_gives_no_ratio() -> None:
    lane = Lane("echolia", cast("Connection", Telling(99)), "", {})
    check_held(lane, 99)
    with pytest.raises(WrongAnswer):
        check_held(lane, 100)


def test_one_slow_turn_does_not_decide_and_the_aim_is_a_ratio_of_medians() -> None:
    turns = [Turn((1.0, 1.2), (1.0, 1.0)), Turn((1.0, 9.0), (1.0, 2.0)), Turn((1.0, 1.1), (1, 3))]
    assert flatness_of("push", turns) == Flatness("push", 1.0, 1.2, 1.2, 1.1, 9.0)
    assert flatness_of("push", turns).is_met
    assert not flatness_of("poll", turns).is_met
