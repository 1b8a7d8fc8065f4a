"""The time of a request: what runs when, and that lateness is told once and cancels nothing."""

import asyncio
import contextvars

import pytest

from app import work as module
from app.work import AtWork, Phase, Work, body_seconds, current, resting

PATIENCE_SECONDS = 10


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.005)
    monkeypatch.setattr(module, "WORK_SECONDS", 0.02)
    monkeypatch.setattr(module, "BODY_SECONDS", 0.02)


class Told:
    """Which phases were late."""

    def __init__(self) -> None:
        self.phases: list[Phase] = []
        self.came = asyncio.Event()

    def __call__(self, phase: Phase) -> None:
        self.phases.append(phase)
        self.came.set()

    async def wait(self) -> None:
        await asyncio.wait_for(self.came.wait(), PATIENCE_SECONDS)


async def looked(every: AtWork) -> None:
    """All that is late by now has been told: another that is as late was."""
    last = Told()
    ended = every.begin(last)
    await last.wait()
    ended.end()


async def test_what_works_too_long_is_told_once() -> None:
    every, told = AtWork(), Told()
    work = every.begin(told)
    await told.wait()
    await looked(every)
    assert told.phases == ["working"]
    assert every.count == 1, "what hangs is still at work"
    work.end()
    assert every.count == 0


async def test_what_ends_in_time_is_not_told() -> None:
    every, told = AtWork(), Told()
    every.begin(told).end()
    await looked(every)
    assert told.phases == []
    assert every.count == 0


async def test_who_waits_for_news_is_not_late_and_not_counted() -> None:
    every, told = AtWork(), Told()
    work = every.begin(told)
    with resting():
        assert every.count == 0
        await looked(every)
        assert told.phases == []
    assert every.count == 1
    await told.wait()
    assert told.phases == ["working"]
    work.end()


async def test_who_reads_is_not_counted_and_has_a_time_of_its_own() -> None:
    every, told = AtWork(), Told()
    work = every.begin(told)
    work.begin_reading()
    assert every.count == 0
    await told.wait()
    assert told.phases == ["reading"]
    work.end_reading()
    work.end()
    assert every.count == 0


async def test_bytes_that_come_earn_time() -> None:
    every, told = AtWork(), Told()
    work = every.begin(told)
    work.begin_reading()
    work.read(1024 * 1024)
    await looked(every)
    assert told.phases == []
    work.end()


def test_a_body_has_half_a_minute_more_for_what_comes_and_two_minutes_at_most(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "BODY_SECONDS", 30.0)
    sizes = (0, 16 * 1024, 160 * 1024, 8 * 1024 * 1024)
    assert [body_seconds(size) for size in sizes] == [30, 31, 40, 120]


async def test_code_finds_the_request_it_works_for() -> None:
    every = AtWork()

    async def request() -> bool:
        work: Work = every.begin(Told())
        found = current() is work
        work.end()
        return found

    assert await asyncio.gather(*(asyncio.ensure_future(request()) for _ in range(3))) == [True] * 3


async def test_outside_of_requests_waiting_is_just_waiting() -> None:
    async def outside() -> Work | None:
        with resting():
            return current()

    task = asyncio.get_running_loop().create_task(outside(), context=contextvars.Context())
    assert await task is None
