"""Strands: work on one database in order and never at once; a job that has begun ends."""

import asyncio
import threading
from collections.abc import Iterator

import pytest

from app.database.workers import Strand, Workers


@pytest.fixture
def workers() -> Iterator[Workers]:
    made = Workers(4)
    yield made
    made.stop()


async def test_jobs_of_a_strand_run_in_order_and_never_at_once(workers: Workers) -> None:
    strand = Strand(workers)
    at_work = threading.Semaphore(1)
    done: list[int] = []

    def job(number: int) -> int:
        assert at_work.acquire(blocking=False)
        done.append(number)
        at_work.release()
        return number

    results = [strand.submit(lambda n=n: job(n)) for n in range(200)]  # type: ignore[misc]
    assert await asyncio.gather(*results) == list(range(200))
    assert done == list(range(200))


async def test_strands_do_not_wait_for_each_other(workers: Workers) -> None:
    release = threading.Event()
    stuck = Strand(workers).submit(lambda: release.wait(10))
    async with asyncio.timeout(5):
        assert await Strand(workers).submit(lambda: 1) == 1
    release.set()
    assert await stuck


async def test_a_job_cancelled_before_it_begins_does_not_run(workers: Workers) -> None:
    strand = Strand(workers)
    release = threading.Event()
    ran: list[str] = []
    first = strand.submit(lambda: release.wait(10))
    second = strand.submit(lambda: ran.append("second"))
    third = strand.submit(lambda: ran.append("third"))
    second.cancel()
    release.set()
    await first
    await third
    assert ran == ["third"]


async def test_a_job_that_has_begun_ends_though_nobody_waits(workers: Workers) -> None:
    strand = Strand(workers)
    begun, release = threading.Event(), threading.Event()
    ran: list[str] = []

    def job() -> None:
        begun.set()
        release.wait(10)
        ran.append("done")

    left = strand.submit(job)
    await asyncio.to_thread(begun.wait, 5)
    left.cancel()
    release.set()
    await strand.submit(lambda: None)
    assert ran == ["done"]


async def test_an_error_of_a_job_is_its_callers_and_nobody_elses(workers: Workers) -> None:
    strand = Strand(workers)

    def fails() -> None:
        raise KeyError

    with pytest.raises(KeyError):
        await strand.submit(fails)
    assert await strand.submit(lambda: 1) == 1


def test_work_whose_loop_is_gone_does_not_end_the_worker(workers: Workers) -> None:
    release = threading.Event()

    async def leave() -> Strand:
        strand = Strand(workers)
        strand.submit(lambda: release.wait(10))
        return strand

    strand = asyncio.run(leave())
    release.set()

    async def come_back() -> int:
        return await strand.submit(lambda: 1)

    assert asyncio.run(come_back()) == 1


def test_stopping_ends_the_threads() -> None:
    before = threading.active_count()
    made = Workers(3)
    assert threading.active_count() == before + 3
    made.stop()
    assert threading.active_count() == before
