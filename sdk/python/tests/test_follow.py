"""A device that follows its account: what it makes of a stream, and of there being none."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from echolia import AnswerInvalid, NotAuthenticated, Offline, RateLimited, SyncReport, Update
from echolia._answers import Answer
from echolia._calls import Call
from echolia._errors import Refused
from echolia._follow import POLLING_SECONDS, Follower
from echolia._frames import MAX_EVENT_BYTES, EventReader
from echolia._pace import MOST_SECONDS, Pace

CHANGE = b'event: change\ndata: {"cursor":"%s"}\n\n'


def bye(reason: str) -> bytes:
    return b'event: bye\ndata: {"reason":"%s"}\n\n' % reason.encode()


class Server:
    """Answers as a test says, one thing after another: bytes of a stream, a refusal, silence."""

    def __init__(self) -> None:
        self.time, self.cursor, self.queued = 0.0, "c0", 0
        self.streams: list[list[bytes] | Exception] = []
        self.polls: list[list[Any] | Exception] = []
        self.calls: list[str] = []
        self.waits: list[tuple[float, str]] = []

    @contextmanager
    def stream(self, call: Call, **_: object) -> Iterator[Iterator[bytes]]:
        self.calls.append("stream")
        script = self.streams.pop(0)
        if isinstance(script, Exception):
            raise script
        yield self._parts(script)

    def _parts(self, script: list[bytes]) -> Iterator[bytes]:
        for part in script:
            self.time += 20
            yield part
        if not script or not script[-1].startswith(b"event: bye"):
            raise Offline("the connection to the server broke")

    def send(self, call: Call) -> Answer:
        self.calls.append("poll")
        self.time += float((call.params or {})["wait"])
        script = self.polls.pop(0)
        if isinstance(script, Exception):
            raise script
        return Answer({"changes": script})

    def sync(self) -> SyncReport:
        self.calls.append("sync")
        self.queued = 0
        return SyncReport()

    def sleep(self, seconds: float) -> None:
        self.time += seconds

    def follower(self) -> Follower:
        store: Any = SimpleNamespace(
            meta=lambda _: self.cursor.encode(), count_queued=lambda: self.queued
        )
        driver: Any = self
        return Follower(
            store,
            lambda: driver,
            self.sync,
            on_wait=lambda seconds, why: self.waits.append((seconds, why)),
            pace=Pace(lambda _, most: most),
            clock=lambda: self.time,
            sleep=self.sleep,
        )

    def follow(self) -> list[str]:
        """What it did until nothing more was scripted."""
        with pytest.raises(IndexError):
            self._note_all(self.follower().updates())
        return self.calls

    def _note_all(self, updates: Iterator[Update]) -> None:
        for update in updates:
            self.calls.append(f"told {update.kind}")


@pytest.fixture
def server() -> Server:
    return Server()


BEGIN = ["sync", "told items", "stream"]


def test_it_syncs_first_and_again_when_there_is_something_new(server: Server) -> None:
    server.streams = [[CHANGE % b"c0", CHANGE % b"c1", CHANGE % b"c2", bye("shutdown")]]
    assert server.follow() == BEGIN + ["sync", "told items"] * 2 + ["stream"]


def test_changes_that_come_together_are_one_sync_and_its_own_push_is_none(server: Server) -> None:
    server.streams = [[CHANGE % b"c0", CHANGE % b"c1" + CHANGE % b"c2", bye("shutdown")]]
    assert server.follow() == [*BEGIN, "sync", "told items", "stream"]


def test_what_was_written_meanwhile_goes_out_at_the_next_sign_of_life(server: Server) -> None:
    server.streams = [[CHANGE % b"c0", b":\n\n", bye("shutdown")]]
    follower = server.follower().updates()
    next(follower)
    server.queued = 1
    assert next(follower).report is not None


def test_other_news_is_told_and_unknown_news_is_not(server: Server) -> None:
    news = b"event: devices\ndata: {}\n\nevent: weather\ndata: {}\n\n: x\n\n"
    server.streams = [[news, bye("shutdown")]]
    assert server.follow() == [*BEGIN, "told devices", "stream"]


@pytest.mark.parametrize(
    ("reason", "most"), [("expired", 1), ("revoked", 1), ("shutdown", 5), ("slow", 1), ("?", 1)]
)
def test_after_a_goodbye_it_comes_back_and_not_at_once(
    server: Server, reason: str, most: float
) -> None:
    server.streams = [[bye(reason)]]
    assert server.follow() == [*BEGIN, "stream"]
    assert server.waits == [(most, "reconnecting")]


def test_who_is_not_let_in_any_more_is_told_so(server: Server) -> None:
    server.streams = [[bye("revoked")], NotAuthenticated(401, "login_failed")]
    with pytest.raises(NotAuthenticated):
        list(server.follower().updates())


def test_it_waits_longer_each_time_and_as_long_as_it_is_asked_to(server: Server) -> None:
    away = Offline("the server cannot be reached")
    server.streams = [away, away, away, RateLimited(503, "overloaded", extras={"retry_after": 60})]
    server.follow()
    assert server.waits == [(1, "offline"), (2, "offline"), (4, "offline"), (68, "overloaded")]


def test_a_connection_that_held_makes_it_forget_what_failed_before(server: Server) -> None:
    away = Offline("the server cannot be reached")
    server.streams = [away, away, [b":\n\n"] * 3, away]
    server.follow()
    assert [seconds for seconds, _ in server.waits] == [1, 2, 1, 2]


@pytest.mark.parametrize(
    "obstacle",
    [Refused(404, "not_found"), AnswerInvalid("another type"), []],
    ids=["an older server", "a page of a proxy", "a proxy that keeps everything back"],
)
def test_where_nothing_streams_it_polls_and_tries_again_later(
    server: Server, obstacle: list[bytes] | Exception
) -> None:
    server.streams = [obstacle, [bye("shutdown")]]
    polls = int(POLLING_SECONDS / 25)
    server.polls = [[{}], Refused(409, "reset_required"), *([[]] * (polls - 2))]
    did = server.follow()
    assert did[:8] == [*BEGIN, "poll", "sync", "told items", "poll", "sync"]
    assert did.count("poll") == polls
    assert did[-2:] == ["stream", "stream"]


def test_streams_that_break_off_at_once_are_given_up(server: Server) -> None:
    server.streams = [[b":\n\n"]] * 3
    server._parts = lambda script: iter(script)  # type: ignore[method-assign]
    assert server.follow()[-1] == "poll"


def test_a_server_that_is_busy_while_it_polls_is_waited_for(server: Server) -> None:
    server.streams = [Refused(404, "not_found"), [bye("shutdown")]]
    server.polls = [RateLimited(429, "rate_limited", extras={"retry_after": 7})]
    server.follow()
    assert (8, "rate_limited") in server.waits


@given(failures=st.integers(0, 50), asked=st.floats(0, 1e4))
def test_a_wait_is_never_shorter_than_asked_for_and_never_a_minute_longer(
    failures: int, asked: float
) -> None:
    pace = Pace()
    for _ in range(failures):
        pace.after_failure()
    assert asked <= pace.after_failure(asked) <= asked + MOST_SECONDS


@given(st.data())
def test_events_are_the_same_however_they_are_cut(data: st.DataObject) -> None:
    text = CHANGE % b"c1" + b": comment\r\n\r\n" + b"event: devices\r\ndata: {}\r\n\r\n" + bye("x")
    cuts = sorted(data.draw(st.sets(st.integers(0, len(text)))))
    reader = EventReader()
    bounds = itertools.pairwise([0, *cuts, len(text)])
    events = [event for start, end in bounds for event in reader.feed(text[start:end])]
    assert [event.name for event in events] == ["change", "devices", "bye"]


@given(st.lists(st.binary(max_size=40)))
def test_whatever_comes_is_events_or_one_error(parts: list[bytes]) -> None:
    reader = EventReader()
    try:
        for part in parts:
            assert all(isinstance(event.data, Answer) for event in reader.feed(part))
    except AnswerInvalid:
        pass


def _endless_line() -> Iterator[bytes]:
    return itertools.repeat(b"x" * 1000)


def _endless_event() -> Iterator[bytes]:
    return itertools.repeat(b"data: " + b"x" * 1000 + b"\n")


@pytest.mark.parametrize("endless", [_endless_line, _endless_event])
def test_an_event_without_end_fills_no_memory(endless: Callable[[], Iterator[bytes]]) -> None:
    reader = EventReader()
    parts = itertools.islice(endless(), 2 * MAX_EVENT_BYTES // 1000)
    with pytest.raises(AnswerInvalid):
        list(itertools.chain.from_iterable(map(reader.feed, parts)))
