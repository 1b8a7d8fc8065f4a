"""Nobody learns from the clock whether a device or a phrase exists.

A classifier is trained on one half of the times and tried on the other: whoever can measure the
time of every answer guesses hardly better than by chance.
"""

import base64
import os
import random
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from app.auth.accounts import Accounts
from app.auth.errors import LoginFailed
from app.config import Settings
from app.main import create_app
from tests.conftest import settings_for
from tests.kit.clock import SetClock
from tests.kit.device import Device
from tests.kit.identity import said
from tests.kit.keys import DeviceKey, new_key, p256_key, rsa_key
from tests.kit.recovery import Phrase

ROUNDS = 1000
"""Times of each of the two, taken in turns."""
CHANCE = 0.55
ORIGIN = "http://localhost:8000"
KEYS = {
    "P-256": p256_key(40),
    "RSA-2048": rsa_key(40, 2048),
    "RSA-3072": rsa_key(40, 3072),
    "RSA-4096": rsa_key(40, 4096),
}
SIGNATURE_BYTES = {"P-256": 64, "RSA-2048": 256, "RSA-3072": 384, "RSA-4096": 512}


@dataclass(frozen=True)
class Times:
    """Seconds that answers took: to a known device, to strangers."""

    known: list[float]
    strangers: list[float]

    def accuracy(self) -> float:
        """Of the best threshold on one half of the times, tried on the other half; over both ways
        round. 0.5 is chance."""
        found = []
        for learn, judge in ((0, 1), (1, 0)):
            known, strangers = self.known[learn::2], self.strangers[learn::2]
            threshold, is_known_slower = _best_threshold(known, strangers)
            other = self.known[judge::2], self.strangers[judge::2]
            found.append(_share_right(*other, threshold, is_known_slower))
        return sum(found) / 2


def _best_threshold(known: Sequence[float], strangers: Sequence[float]) -> tuple[float, bool]:
    candidates = sorted((*known, *strangers))[:: max(1, len(known) // 100)]
    choices = [(each, slower) for each in candidates for slower in (True, False)]
    return max(choices, key=lambda choice: _share_right(known, strangers, *choice))


def _share_right(
    known: Sequence[float], strangers: Sequence[float], threshold: float, is_known_slower: bool
) -> float:
    slow_known = sum(1 for each in known if each > threshold) / len(known)
    fast_strangers = sum(1 for each in strangers if each <= threshold) / len(strangers)
    right = (slow_known + fast_strangers) / 2
    return right if is_known_slower else 1 - right


@pytest.fixture
async def accounts(tmp_path: Path, clock: SetClock) -> AsyncIterator[Accounts]:
    """Of an application that fifty devices of each kind have registered with."""
    settings: Settings = settings_for(tmp_path)
    app = create_app(settings, clock=clock)
    async with app.router.lifespan_context(app):
        made: Accounts = app.state.auth.accounts
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as http:
            for key in (*KEYS.values(), *(new_key() for _ in range(20))):
                (await Device(http, key, clock=clock).register()).raise_for_status()
        yield made


async def timed_log_in(accounts: Accounts, thumbprint: bytes, signature: bytes) -> float:
    challenge = accounts.challenge("login")
    began = time.perf_counter()
    with pytest.raises(LoginFailed):
        await accounts.log_in(thumbprint, challenge, signature, [ORIGIN])
    return time.perf_counter() - began


async def measured(
    accounts: Accounts, key: DeviceKey, signature_bytes: int, rounds: int = ROUNDS
) -> Times:
    """Log-ins that fail, in turns and in random order: a device's, and a new stranger's."""
    times = Times([], [])
    stranger = os.urandom(32)
    for number in range(-20, rounds):
        pair = [(times.known, key.thumbprint), (times.strangers, stranger)]
        random.shuffle(pair)
        for kept, thumbprint in pair:
            took = await timed_log_in(accounts, thumbprint, os.urandom(signature_bytes))
            if number >= 0:
                kept.append(took)
    return times


@pytest.mark.soak
@pytest.mark.parametrize("kind", KEYS)
@pytest.mark.parametrize("signature", SIGNATURE_BYTES)
async def test_a_device_and_a_stranger_are_not_told_apart_by_the_time_of_a_failed_log_in(
    kind: str, signature: str, accounts: Accounts
) -> None:
    """Whatever kind of key the device has, and whatever signature is sent with its thumbprint."""
    times = await measured(accounts, KEYS[kind], SIGNATURE_BYTES[signature])
    assert times.accuracy() < CHANCE


@pytest.mark.soak
async def test_a_device_and_a_stranger_are_not_told_apart_by_the_time_of_a_challenge(
    tmp_path: Path, clock: SetClock
) -> None:
    app = create_app(settings_for(tmp_path), clock=clock)
    transport = httpx.ASGITransport(app)
    times = Times([], [])
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url=ORIGIN) as http,
    ):
        known, stranger = (Device(http, key, clock=clock) for key in (KEYS["RSA-3072"], new_key()))
        (await known.register()).raise_for_status()
        for number in range(-20, ROUNDS):
            pair = [(times.known, known), (times.strangers, stranger)]
            random.shuffle(pair)
            for kept, who in pair:
                asked = {"key_thumbprint": who.key.thumbprint_text}
                began = time.perf_counter()
                answer = await who.call("POST", "/auth/challenge", asked, token=None)
                if number >= 0:
                    kept.append(time.perf_counter() - began)
                assert len(base64.b64decode(answer.json()["challenge"])) == 72
    assert times.accuracy() < CHANCE


@pytest.mark.soak
async def test_a_phrase_is_not_told_from_none_by_the_time_of_a_failed_recovery(
    tmp_path: Path, clock: SetClock
) -> None:
    app = create_app(settings_for(tmp_path), clock=clock)
    transport = httpx.ASGITransport(app)
    times = Times([], [])
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url=ORIGIN) as http,
    ):
        phrases = [Phrase(bundle=os.urandom(4000)) for _ in range(10)]
        for phrase in phrases:
            owner = Device(http, new_key(), clock=clock)
            (await owner.register()).raise_for_status()
            (await phrase.put(owner)).raise_for_status()
        known, nobody, thief = phrases[3].locator, os.urandom(16), Device(http, clock=clock)
        for number in range(-20, ROUNDS):
            pair = [(times.known, known), (times.strangers, nobody)]
            random.shuffle(pair)
            for kept, locator in pair:
                body = await Phrase(locator=locator).attempt(thief)
                began = time.perf_counter()
                answer = await thief.call("POST", "/auth/recover", body, token=None)
                if number >= 0:
                    kept.append(time.perf_counter() - began)
                assert said(answer) == (401, "recovery_failed")
    assert times.accuracy() < CHANCE


def test_the_classifier_tells_apart_what_differs_and_guesses_at_what_does_not() -> None:
    draw = random.Random(1)
    same = [[draw.gauss(1.0, 0.1) for _ in range(1000)] for _ in range(2)]
    assert Times(*same).accuracy() < CHANCE
    slower = [each + 0.1 for each in same[1]]
    assert Times(same[0], slower).accuracy() > 0.65
    assert Times(slower, same[0]).accuracy() > 0.65
