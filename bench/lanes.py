"""A lane: one connection of one client, its requests, and what answers must hold."""

import re
import threading
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import quote

from bench.account import Account, register
from bench.items import MEDIA_TYPES, Batches, Form, batches, unpacked
from bench.servers import Name, Server
from bench.wire import Answer, Connection, request

PAGE = 500
_CURSOR = re.compile(rb'(?:"cursor":"|\xa6cursor(?:[\xa0-\xbf]|\xd9.))([\w.-]*)', re.DOTALL)
"""In either form a cursor is letters, digits, `-`, `_` and `.`."""
_MORE = (b'"has_more":true', b"\xa8has_more\xc3")


class WrongAnswer(Exception):
    """A server did not do what it was timed for, so there is no number."""


@dataclass
class Lane:
    """A client of either server, whose requests differ only in path and token."""

    server: Name
    connection: Connection
    device_id: str
    headers: dict[str, str]
    form: Form = "json"
    contents: dict[str, str | bytes] = field(default_factory=dict)

    def pushes(self, count: int, size: int) -> "Pushes":
        """So many pushes of so many new items, ready to be sent."""
        made = batches(self.device_id, count, size, self.form)
        path = "/sync/push" if self.server == "echolia" else "/push"
        media_type = MEDIA_TYPES[self.form]
        asked = [request("POST", path, self.headers, body, media_type) for body in made.bodies]
        return Pushes(self, asked, made)

    def pull(self, cursor: str | None, limit: int = PAGE) -> bytes:
        """The request for the page after a cursor."""
        path = "/sync/pull" if self.server == "echolia" else "/pull"
        after = f"&cursor={quote(cursor)}" if cursor else ""
        return request("GET", f"{path}?limit={limit}{after}", self.headers)

    def pages(self) -> tuple[list[Answer], float]:
        """Everything, from the start, as a fresh device pulls it; and the seconds it took."""
        answers: list[Answer] = []
        began = time.perf_counter()
        cursor: str | None = None
        while True:
            answers.append(self.connection.exchange(self.pull(cursor)))
            body = answers[-1].body
            cursor = cursor_of(body)
            if not cursor or not _has_more(body):
                return answers, time.perf_counter() - began

    def check_pages(self, answers: Sequence[Answer]) -> int:
        """How many items came: all that this lane has pushed, to the byte, each once."""
        got: dict[str, str | bytes] = {}
        for answer in answers:
            _demand(answer.status == 200, f"a pull was answered {answer.status}")
            for change in unpacked(answer.body, self.form)["changes"]:
                _demand(change["id"] not in got, "an item came twice")
                got[change["id"]] = change["versions"][0]["encrypted_data"]
        _demand(got == self.contents, "a pull did not bring what was pushed")
        return len(got)

    def polls(self, count: int) -> list[float]:
        """Seconds that each of `count` pulls took that found nothing new."""
        answers, _ = self.pages()
        return self.polls_behind(cursor_of(answers[-1].body), count)

    def polls_behind(self, cursor: str, count: int) -> list[float]:
        """The same, behind a cursor that is present."""
        asked = self.pull(cursor)
        answer, took = self.connection.exchange(asked), []
        for _ in range(count):
            began = time.perf_counter()
            answer = self.connection.exchange(asked)
            took.append(time.perf_counter() - began)
        _demand(answer.status == 200 and b'"changes":[]' in answer.body, "a poll found something")
        return took


@dataclass
class Pushes:
    """Pushes of one lane, and the seconds each took once they were sent."""

    lane: Lane
    requests: list[bytes]
    batches: Batches
    answers: list[Answer] = field(default_factory=list)
    took: list[float] = field(default_factory=list)

    def send(self) -> float:
        """Send all, one after another; the seconds from the first byte to the last answer."""
        exchange = self.lane.connection.exchange
        began = last = time.perf_counter()
        for each in self.requests:
            self.answers.append(exchange(each))
            now = time.perf_counter()
            self.took.append(now - last)
            last = now
        return last - began

    def check(self) -> int:
        """How many items were stored: every one that was sent."""
        for answer, body in zip(self.answers, self.batches.bodies, strict=True):
            count = len(unpacked(body, self.lane.form)["changes"])
            _demand(answer.status == 200, f"a push was answered {answer.status}: {answer.body!r}")
            _demand(_stored(self.lane, answer) == count, "a push left out items")
        self.lane.contents.update(self.batches.contents)
        return len(self.batches.contents)


def open_lane(server: Server, form: Form = "json") -> Lane:
    """A new client; on our server it has an account of its own."""
    connection = Connection(server.port)
    if server.name == "floor":
        return Lane(server.name, connection, str(uuid.uuid4()), {})
    return lane_of(register(connection), connection, form)


def lane_of(account: Account, connection: Connection, form: Form = "json") -> Lane:
    """A client of our server with an account that it had before."""
    bearer = f"Bearer {account.access_token}"
    headers = {"Authorization": bearer, "Accept": MEDIA_TYPES[form]}
    return Lane("echolia", connection, account.device_id, headers, form)


def send_at_once(pushes: Sequence[Pushes]) -> float:
    """Send the pushes of several lanes at the same time; the seconds until the last is answered."""
    began: list[float] = []
    gate = threading.Barrier(len(pushes), action=lambda: began.append(time.perf_counter()))

    def run(each: Pushes) -> None:
        gate.wait()
        each.send()

    threads = [threading.Thread(target=run, args=(each,)) for each in pushes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - began[0]


def cursor_of(body: bytes) -> str:
    """The cursor of a page, found without parsing what comes before it; empty if there is none."""
    found = _CURSOR.search(body[-256:])
    return found[1].decode() if found else ""


def _has_more(body: bytes) -> bool:
    return any(more in body[-80:] for more in _MORE)


def _stored(lane: Lane, answer: Answer) -> int:
    found = unpacked(answer.body, lane.form)
    if lane.server == "floor":
        return int(found["ok"])
    return sum(result["verdict"] == "applied" for result in found["results"])


def _demand(holds: bool, otherwise: str) -> None:
    if not holds:
        raise WrongAnswer(otherwise)
