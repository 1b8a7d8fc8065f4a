"""A small round against both servers, for real."""

import json
import sys
from pathlib import Path

import pytest

from bench.__main__ import main, run_rounds
from bench.items import packed
from bench.lanes import Lane, WrongAnswer, cursor_of, open_lane
from bench.results import ROWS, results_of
from bench.rounds import GROUPS, Load
from bench.servers import Server
from bench.wire import Answer

TINY = Load(warm_up=1, pushes=3, size=7, polls=3, singles=2, lanes=2, pushes_per_lane=2)


def test_a_round_takes_every_measure_of_both_servers(tmp_path: Path) -> None:
    results = results_of(run_rounds(tmp_path, TINY, GROUPS, 1), GROUPS)
    expected = {row.measure for row in ROWS}
    if sys.platform != "linux":
        expected -= {"memory", "memory_peak"}
    assert {each.row.measure for each in results} == expected
    assert all(each.echolia.median > 0 and each.floor.median > 0 for each in results)
    assert list(tmp_path.iterdir()) == []


def test_asked_for_by_name_a_measure_stands_alone_and_json_is_all_that_is_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["start", "--json", "--rounds", "1", "--folder", str(tmp_path)])
    told = json.loads(capsys.readouterr().out)
    assert list(told["results"]) == ["start"]
    assert told["machine"]["synchronous"] == "FULL"


def test_a_floor_that_loses_or_spoils_an_item_gives_no_number(tmp_path: Path) -> None:
    with Server("floor", tmp_path) as server:
        lane = open_lane(server)
        pushes = lane.pushes(1, 3)
        pushes.send()
        assert pushes.check() == 3
        answers, _ = lane.pages()
        assert lane.check_pages(answers) == 3
        _spoil(lane)
        with pytest.raises(WrongAnswer):
            lane.check_pages(answers)
        lane.connection.close()


@pytest.mark.parametrize("answer", [Answer(500, b"{}"), Answer(200, b'{"ok":2}')])
def test_a_push_that_was_not_stored_whole_gives_no_number(tmp_path: Path, answer: Answer) -> None:
    with Server("floor", tmp_path) as server:
        lane = open_lane(server)
        pushes = lane.pushes(1, 3)
        pushes.answers.append(answer)
        with pytest.raises(WrongAnswer):
            pushes.check()
        lane.connection.close()


def test_a_cursor_is_found_at_the_end_of_a_page_and_nowhere_else() -> None:
    assert cursor_of(b'{"changes":[],"cursor":"abc","has_more":true,"server_time":1}') == "abc"
    assert cursor_of(b'{"changes":[]}') == ""


def test_a_cursor_is_found_in_messagepack_as_well() -> None:
    for cursor in ("abc", "a" * 31, "a" * 32, "-_." * 20):
        page = packed(
            {"changes": [], "cursor": cursor, "has_more": True, "server_time": 1}, "msgpack"
        )
        assert cursor_of(page) == cursor


def _spoil(lane: Lane) -> None:
    changed = next(iter(lane.contents))
    lane.contents[changed] = "AAAA"
