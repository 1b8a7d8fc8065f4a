"""The log: a closed list, one JSON object a line, never in the way of serving."""

import inspect
import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from types import FunctionType

import pytest

from app import events
from tests.kit.server import ROOT

CANARY = "canary_eccbc87e4b5ce2fe"
NOT_EVENTS = {"start", "flush", "frames"}


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    before = root.handlers[:]
    yield
    root.handlers[:] = before
    events.start("error")


def event_functions() -> dict[str, FunctionType]:
    return {
        name: found
        for name, found in inspect.getmembers(events, inspect.isfunction)
        if found.__module__ == events.__name__ and name[0] != "_" and name not in NOT_EVENTS
    }


def filled(event: FunctionType) -> dict[str, object]:
    examples: dict[object, object] = {str: "x", int: 1, float: 1.5, list[str]: ["x"]}
    return {
        name: examples.get(parameter.annotation)
        for name, parameter in inspect.signature(event).parameters.items()
    }


@pytest.mark.parametrize("name", event_functions())
def test_each_event_is_one_json_line_under_its_own_name(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    events.start("debug")
    event = event_functions()[name]
    event(**filled(event))
    events.flush()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1
    line = json.loads(lines[0])
    assert line["event"] == name
    assert set(line) == {"event", "level", "at", *filled(event)}
    assert line["at"].endswith("Z")


def test_no_event_takes_what_could_name_anybody() -> None:
    for name, event in event_functions().items():
        for parameter in inspect.signature(event).parameters.values():
            assert parameter.kind is parameter.KEYWORD_ONLY, name
            assert parameter.name not in (
                "user_id", "device_id", "item_id", "id", "path", "url", "query", "address", "ip",
                "key", "token", "body", "value", "message", "exception", "headers",
            ), name  # fmt: skip


def test_levels_below_the_set_one_are_not_written(capsys: pytest.CaptureFixture[str]) -> None:
    events.start("warning")
    events.account_created()
    events.storage_failed(kind="unit", error="X")
    events.flush()
    found = [json.loads(line)["event"] for line in capsys.readouterr().out.splitlines()]
    assert found == ["storage_failed"]


def test_a_librarys_words_are_not_kept(capsys: pytest.CaptureFixture[str]) -> None:
    events.start("info")
    for name in ("uvicorn.error", "asyncio", "some.library"):
        logger = logging.getLogger(name)
        logger.info("quiet %s", CANARY)
        logger.warning("loud %s", CANARY)
        try:
            raise ValueError(CANARY)
        except ValueError:
            logger.exception("failed %s", CANARY)
    logging.getLogger("uvicorn.access").warning(CANARY)
    events.flush()
    written = capsys.readouterr()
    assert CANARY not in written.out + written.err
    found = [json.loads(line) for line in written.out.splitlines()]
    assert {each["event"] for each in found} == {"library_message"}
    assert [each["error"] for each in found] == [None, "ValueError"] * 3


def test_frames_name_places_and_hold_no_values() -> None:
    def inner(secret: str) -> None:
        raise ValueError(secret)

    with pytest.raises(ValueError, match=CANARY) as raised:
        inner(CANARY)
    found = events.frames(raised.value.__traceback__)
    assert found[-1].startswith("tests/test_events.py:")
    assert found[-1].endswith(" inner")
    assert CANARY not in str(found)


def test_lines_of_many_threads_stay_whole(capsys: pytest.CaptureFixture[str]) -> None:
    events.start("info")

    def write() -> None:
        for _ in range(100):
            events.storage_failed(kind="x" * 200, error="y" * 200)

    threads = [threading.Thread(target=write) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    events.flush()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 800
    assert all(json.loads(line)["event"] == "storage_failed" for line in lines)


TALKS = """
import sys, time
from app import events
events.start("info")
began = time.monotonic()
for _ in range(int(sys.argv[1])):
    events.storage_failed(kind="x" * 100, error="y")
events.flush()
assert time.monotonic() - began < 8, "it waited for the reader"
print("done", file=sys.stderr)
"""


def talk(lines: int, stdout: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", TALKS, str(lines)]
    return subprocess.Popen(command, cwd=ROOT, stdout=stdout, stderr=-1, text=True)


def test_a_reader_that_never_reads_holds_nothing_up_and_the_process_ends() -> None:
    """More lines than pipe and queue hold together."""
    read, write = os.pipe()
    try:
        with talk(20_000, write) as process:
            assert process.stderr is not None
            assert process.stderr.read() == "done\n"
            assert process.wait(15) == 0
    finally:
        os.close(read)
        os.close(write)


def test_a_reader_that_went_away_holds_nothing_up() -> None:
    read, write = os.pipe()
    os.close(read)
    try:
        with talk(100, write) as process:
            assert process.stderr is not None
            assert process.stderr.read() == "done\n"
            assert process.wait(15) == 0
    finally:
        os.close(write)


def test_a_reader_that_falls_behind_is_told_how_many_lines_it_missed() -> None:
    read, write = os.pipe()
    with talk(20_000, write) as process:
        os.close(write)
        assert process.stderr is not None
        with open(read, encoding="utf-8") as reader:
            first = reader.readline()
            threading.Event().wait(1)
            found = [json.loads(line) for line in (first, *reader)]
        process.wait(15)
    dropped = sum(each["lines"] for each in found if each["event"] == "log_lines_dropped")
    written = sum(each["event"] == "storage_failed" for each in found)
    assert dropped > 0
    assert dropped + written <= 20_000


def test_without_a_standard_output_nothing_is_written_anywhere() -> None:
    command = ["sh", "-c", 'exec "$0" -c "$1" 10 >&-', sys.executable, TALKS]
    with subprocess.Popen(command, cwd=ROOT, stderr=-1, text=True) as process:
        assert process.stderr is not None
        assert process.stderr.read() == "done\n"
        assert process.wait(15) == 0
