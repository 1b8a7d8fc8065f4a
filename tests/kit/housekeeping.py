"""Time passes for an account: days, devices that come back, and the chore."""

from typing import Any, cast

import httpx

from app.sync.housekeeping import Housekeeping
from tests.kit.clock import SetClock
from tests.kit.device import Device, Pulled


def housekeeping_of(device: Device) -> Housekeeping:
    """That of the application in this process that serves the device."""
    transport = cast("httpx.ASGITransport", device.http._transport)
    app = cast("Any", transport.app)
    return cast("Housekeeping", app.state.housekeeping)


async def come_back(device: Device, cursor: str | None = None) -> Pulled:
    """The device logs in and pulls to the end, and the chore comes round."""
    (await device.log_in()).raise_for_status()
    pulled = await device.pull_all(cursor)
    await housekeeping_of(device).tend_due()
    return pulled


class Follower:
    """A device that keeps its cursor as a client does, and what it was shown."""

    def __init__(self, device: Device) -> None:
        self.device = device
        self.cursor: str | None = None

    async def come(self) -> Pulled:
        pulled = await come_back(self.device, self.cursor)
        self.cursor = pulled.cursor
        return pulled


async def pass_days(clock: SetClock, days: int, *followers: Follower) -> None:
    """So many days pass. The followers come on the last two: what they got on the first of these
    they say on the second."""
    for step in (days - 1, 1):
        clock.advance(days=step)
        for each in followers:
            await each.come()
