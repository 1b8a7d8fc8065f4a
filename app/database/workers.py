"""Threads that do the blocking work, and strands that keep each database's work in order.

One strand per database: its jobs run one after another, on whichever thread is free, so a
connection is never used by two threads at once and the event loop never holds a lock. A job that
has begun runs to its end even when the request that asked for it is gone.
"""

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, TypeAlias, TypeVar

Result = TypeVar("Result")


class Workers:
    """A fixed set of threads that serve strands in turn. Of those that are free, the one that
    worked last is taken: what it needs is still in its caches."""

    def __init__(self, count: int) -> None:
        self._lock = threading.Lock()
        self._free: list[SimpleQueue[Strand | None]] = []
        self._waiting: deque[Strand] = deque()
        self._stopping = False
        self._threads = [
            threading.Thread(target=self._serve, name=f"db-{number}", daemon=True)
            for number in range(count)
        ]
        for thread in self._threads:
            thread.start()

    def schedule(self, strand: "Strand") -> None:
        with self._lock:
            if not self._free:
                self._waiting.append(strand)
                return
            worker = self._free.pop()
        worker.put(strand)

    def stop(self) -> None:
        """Every job scheduled before this is done, and the threads are gone."""
        with self._lock:
            self._stopping = True
            free, self._free = self._free, []
        for worker in free:
            worker.put(None)
        for thread in self._threads:
            thread.join()

    def _serve(self) -> None:
        inbox: SimpleQueue[Strand | None] = SimpleQueue()
        while (strand := self._next(inbox)) is not None:
            strand.run_next()

    def _next(self, inbox: "SimpleQueue[Strand | None]") -> "Strand | None":
        with self._lock:
            if self._waiting:
                return self._waiting.popleft()
            if self._stopping:
                return None
            self._free.append(inbox)
        return inbox.get()


_Job: TypeAlias = tuple[Callable[[], Any], asyncio.Future[Any]]


class Strand:
    """Work that must not overlap."""

    def __init__(self, workers: Workers) -> None:
        self._workers = workers
        self._lock = threading.Lock()
        self._jobs: deque[_Job] = deque()
        self._scheduled = False

    def submit(self, job: Callable[[], Result]) -> asyncio.Future[Result]:
        """Run `job` after all submitted before it. Must be called on an event loop. If the future
        is cancelled before the job begins, it does not run."""
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        with self._lock:
            self._jobs.append((job, future))
            if self._scheduled:
                return future
            self._scheduled = True
        self._workers.schedule(self)
        return future

    def run_next(self) -> None:
        """Run one job and give the other strands their turn. Called by a worker."""
        with self._lock:
            job, future = self._jobs.popleft()
        if not future.cancelled():
            _run(job, future)
        with self._lock:
            self._scheduled = bool(self._jobs)
            again = self._scheduled
        if again:
            self._workers.schedule(self)


def _run(job: Callable[[], Any], future: asyncio.Future[Any]) -> None:
    try:
        result = job()
    except BaseException as error:
        _deliver(future, future.set_exception, error)
    else:
        _deliver(future, future.set_result, result)


def _deliver(future: asyncio.Future[Any], settle: Callable[[Any], None], outcome: object) -> None:
    def on_the_loop() -> None:
        if not future.done():
            settle(outcome)

    with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
        future.get_loop().call_soon_threadsafe(on_the_loop)
