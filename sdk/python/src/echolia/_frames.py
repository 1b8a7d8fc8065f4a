"""Reading a stream of events (WHATWG HTML, section 9.2 "Server-sent events") from a server that is
not trusted to end its lines."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from ._answers import Answer
from ._errors import AnswerInvalid

MAX_EVENT_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Event:
    """What the server says, and its particulars."""

    name: str
    data: Answer


class EventReader:
    """Takes bytes as they come and gives events as they are whole. Comments are none."""

    def __init__(self) -> None:
        self._line = bytearray()
        self._name = ""
        self._data: list[bytes] = []
        self._size = 0

    def feed(self, part: bytes) -> Iterator[Event]:
        """The events that end in this part. AnswerInvalid for one that is too long, or whose data
        is no JSON object."""
        *whole, rest = (bytes(self._line) + part).split(b"\n")
        for line in whole:
            event = self._take(line.removesuffix(b"\r"))
            if event is not None:
                yield event
        self._line = bytearray(rest)
        self._check(len(rest))

    def _take(self, line: bytes) -> Event | None:
        if not line:
            return self._dispatch()
        self._check(len(line))
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"event":
            self._name = value.decode("utf-8", "replace")
        elif field == b"data":
            self._data.append(value)
            self._size += len(value)
        return None

    def _dispatch(self) -> Event | None:
        name, data = self._name, b"\n".join(self._data)
        self._name, self._data, self._size = "", [], 0
        if not data:
            return None
        try:
            return Event(name or "message", Answer.of(json.loads(data)))
        except (ValueError, RecursionError):
            raise AnswerInvalid("the server's event is not JSON") from None

    def _check(self, more: int) -> None:
        if self._size + more > MAX_EVENT_BYTES:
            raise AnswerInvalid("the server's event is too long")
