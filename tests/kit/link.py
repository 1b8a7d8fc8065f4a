"""A link that loses messages each way and delivers others twice, late, on a clock that is set."""

import heapq
import itertools
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field

import httpx

from tests.kit.clock import SetClock

DAY = 86400.0


@dataclass
class Weather:
    """How bad the link is: chances for each single message, and the longest delay."""

    loses: float = 0.3
    repeats: float = 0.15
    most_seconds: float = DAY


@dataclass
class Link(httpx.AsyncBaseTransport):
    """Between clients and a server. A request that is lost may still arrive later; one that
    arrived may arrive again. Time passes only in `rest` and by a moment for each message."""

    server: httpx.AsyncBaseTransport
    clock: SetClock
    chance: random.Random
    weather: Weather = field(default_factory=Weather)
    said: list[tuple[str, int, str | None]] = field(default_factory=list)
    """Path, status and code of all that the server answered, whether or not it arrived."""
    _late: list[tuple[float, int, httpx.Request]] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        is_lost = self._draws(self.weather.loses)
        if self._draws(0.5 if is_lost else self.weather.repeats):
            due = self.clock() + self._delay()
            heapq.heappush(self._late, (due, next(self._numbers), _copy(request)))
        await self.rest(self.chance.uniform(0.01, 2))
        if is_lost:
            raise httpx.ReadTimeout("the request was lost", request=request)
        response = await self._delivered(request)
        if self._draws(self.weather.loses):
            raise httpx.ReadTimeout("the answer was lost", request=request)
        return response

    async def rest(self, seconds: float) -> None:
        """Time passes, and what was late arrives at its time."""
        end = self.clock() + seconds
        while self._late and self._late[0][0] <= end:
            due, _, request = heapq.heappop(self._late)
            self.clock.now = max(self.clock.now, due)
            await self._delivered(request)
        self.clock.now = max(self.clock.now, end)

    async def _delivered(self, request: httpx.Request) -> httpx.Response:
        response = await self.server.handle_async_request(request)
        body = await response.aread()
        code = None if response.is_success else json.loads(body)["code"]
        self.said.append((request.url.path, response.status_code, code))
        return response

    def _draws(self, probability: float) -> bool:
        return self.chance.random() < probability

    def _delay(self) -> float:
        """Seconds are as likely as hours: what is dangerous arrives soon."""
        return float(0.01 * (self.weather.most_seconds / 0.01) ** self.chance.random())


def _copy(request: httpx.Request) -> httpx.Request:
    return httpx.Request(
        request.method, request.url, headers=request.headers, content=request.content
    )
