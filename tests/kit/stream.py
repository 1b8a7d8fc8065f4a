"""Streams of events as a client reads them."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from tests.kit.device import Device

SOON_SECONDS = 10
News = tuple[str, dict[str, str]]


def events_in(text: str) -> list[News]:
    """Names and data of the whole events in it; comments are none."""
    found = []
    for block in text.split("\n\n")[:-1]:
        fields = dict(line.split(": ", 1) for line in block.split("\n") if line[0] != ":")
        if fields:
            found.append((fields["event"], json.loads(fields["data"])))
    return found


class Reading:
    """A stream that is being read; what came and was not asked for yet is kept."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self.text = ""
        self._parts = response.aiter_text()
        self._taken = 0

    async def next(self) -> News:
        """The next event."""
        async with asyncio.timeout(SOON_SECONDS):
            while len(events_in(self.text)) <= self._taken:
                self.text += await anext(self._parts)
        self._taken += 1
        return events_in(self.text)[self._taken - 1]

    async def until(self, name: str) -> dict[str, str]:
        """The data of the next event of this name."""
        while True:
            found, data = await self.next()
            if found == name:
                return data

    async def end(self) -> list[News]:
        """What comes until the stream ends."""
        async with asyncio.timeout(SOON_SECONDS):
            async for part in self._parts:
                self.text += part
        return events_in(self.text)[self._taken :]


@asynccontextmanager
async def streaming(device: Device, *, proof: bool = False) -> AsyncIterator[Reading]:
    """The device's stream, open."""
    token = device.session["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    if proof:
        headers["DPoP"] = device.proof("GET", "/sync/events", token)
    async with device.http.stream("GET", "/sync/events", headers=headers) as response:
        yield Reading(response)
