"""Devices that use the SDK's own session code over a link that loses three messages in ten each
way: nobody honest is ever made to log in, and a copied device is always found out."""

import random

import httpx
import pytest

from app.config import Settings
from app.main import create_app
from tests.kit.clock import SetClock
from tests.kit.device import Device
from tests.kit.keys import new_key, rsa_key
from tests.kit.link import Link
from tests.kit.sdk import SdkDevice

HOUR = 3600.0
REFRESHES_A_LIFE = 200
"""Some three weeks of waiting: less than what ends a session by design."""
SKEWS = (0, 0, 0, -1, 1, -250, 250, -(10**8), 10**8)
MOST_TURNS = 40


class Sky:
    """One server on real files, and a link to it with a clock of its own."""

    def __init__(
        self, settings: Settings, chance: random.Random, patch: pytest.MonkeyPatch
    ) -> None:
        self.chance = chance
        self.clock = SetClock()
        self.app = create_app(settings, clock=self.clock)
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        self.good_http = httpx.AsyncClient(transport=transport, base_url="http://localhost:8000")
        self.link = Link(transport, self.clock, chance)
        self.skew = 0
        patch.setattr("echolia._proofs.time.time", lambda: self.clock() + self.skew)

    async def new_device(self, *, with_rsa: bool = False) -> SdkDevice:
        """A registered device; its clock is right, or wrong by seconds, minutes or years."""
        self.skew = self.chance.choice(SKEWS)
        key = rsa_key(self.chance.randrange(2**32), 2048) if with_rsa else new_key()
        registering = Device(self.good_http, key, clock=self.clock)
        (await registering.register()).raise_for_status()
        return SdkDevice(key, self.link, registering.session)

    def count(self, path: str, code: str | None = None) -> int:
        return sum((path, code) == (said[0], said[2]) for said in self.link.said)


async def refresh_until(sky: Sky, refreshes: int) -> None:
    """So many refreshes were taken up, in lives of a few hundred each."""
    done = 0
    while done < refreshes:
        device = await sky.new_device(with_rsa=sky.chance.random() < 0.2)
        wanted = min(REFRESHES_A_LIFE, refreshes - done)
        while len(device.saved) - 1 < wanted:
            await sky.link.rest(sky.chance.choice((1, 60, HOUR, HOUR + 31, 2 * HOUR)))
            if sky.chance.random() < 0.1:
                device.restart()
            await device.calls()
        done += wanted
        assert sky.count("/auth/challenge") == 0, "an honest device was made to log in"
        assert sky.count("/auth/refresh", "refresh_reused") == 0
        assert {said[1] for said in sky.link.said} <= {200, 401}
    stale = sky.count("/auth/refresh", "stale_request")
    print(f"{done} refreshes, {len(sky.link.said)} messages, {stale} late copies of a refresh")
    assert stale, "the link never did what this test is about"


async def detect_clones(sky: Sky, rounds: int) -> None:
    """In each round somebody copies a device whole, and both go on as if nothing had happened."""
    turns: list[int] = []
    for round_ in range(rounds):
        honest = await sky.new_device()
        clone = honest.copied()
        before = sky.count("/auth/refresh", "refresh_reused")

        def caught(before: int = before) -> bool:
            return sky.count("/auth/refresh", "refresh_reused") > before

        for turn in range(MOST_TURNS):
            await sky.link.rest(sky.chance.uniform(HOUR + 31, 2 * HOUR))
            mover = clone if turn % 2 else honest
            await mover.calls(until=caught, tries=sky.chance.randint(1, 8))
            if caught():
                turns.append(turn)
                break
        assert caught(), f"round {round_}: the copy was never found out"
    print(f"{rounds} copies found out after {sum(turns) / len(turns):.1f} turns, most {max(turns)}")


@pytest.fixture
def sky(settings: Settings, chance: random.Random, monkeypatch: pytest.MonkeyPatch) -> Sky:
    return Sky(settings, chance, monkeypatch)


async def test_hundreds_of_refreshes_over_a_bad_link_force_no_login(sky: Sky) -> None:
    async with sky.app.router.lifespan_context(sky.app):
        await refresh_until(sky, 150)


async def test_a_copied_device_that_takes_turns_is_found_out(sky: Sky) -> None:
    async with sky.app.router.lifespan_context(sky.app):
        await detect_clones(sky, 10)


@pytest.mark.soak
async def test_ten_thousand_refreshes_over_a_bad_link_force_no_login(sky: Sky) -> None:
    async with sky.app.router.lifespan_context(sky.app):
        await refresh_until(sky, 10_000)


@pytest.mark.soak
async def test_a_hundred_copied_devices_are_found_out(sky: Sky) -> None:
    async with sky.app.router.lifespan_context(sky.app):
        await detect_clones(sky, 100)
