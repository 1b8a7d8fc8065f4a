"""A refresh token in the hands of somebody without the key opens nothing and ends nothing,
whatever the honest device does before, between and meanwhile."""

import asyncio
import itertools
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from app.config import Settings
from tests.conftest import NewDevice
from tests.kit.clock import SetClock
from tests.kit.device import Device
from tests.kit.identity import said, tables, user_file
from tests.kit.keys import new_key

HONEST = ("refresh", "refresh_lost", "use", "wait")
REFUSED = {"proof_required", "proof_invalid", "stale_request", "use_dpop_nonce", "refresh_invalid"}


@dataclass
class Thief:
    """Has read everything that the device ever sent and received, and made a key of its own."""

    victim: Device
    own: Device
    tokens: list[str] = field(default_factory=list)
    proofs: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, victim: Device) -> "Thief":
        own = Device(victim.http, new_key(), clock=victim.clock)
        return cls(victim, own, [victim.session["refresh_token"]])

    def attempts(self, token: str) -> list[Callable[[], Awaitable[httpx.Response]]]:
        """Every way to bring this token: no proof, proofs of a key of its own, every proof seen."""
        self.own.nonce = self.victim.nonce
        forged = self.own.proof("POST", "/auth/refresh", token).rsplit(".", 1)
        honest = [proof.rsplit(".", 1) for proof in self.proofs]
        proofs = [
            None,
            self.own.proof("POST", "/auth/refresh", token),
            self.own.proof("POST", "/auth/refresh", token, nonce=None),
            *self.proofs,
            *(f"{head}.{forged[1]}" for head, _ in honest[-1:]),
        ]
        return [lambda proof=proof: self._send(token, proof) for proof in proofs]  # type: ignore[misc]

    async def _send(self, token: str, proof: str | None) -> httpx.Response:
        headers = {} if proof is None else {"DPoP": proof}
        body = {"refresh_token": token}
        return await self.own.http.post("/auth/refresh", json=body, headers=headers)

    async def try_everything(self) -> int:
        """How often it tried; each time in vain."""
        ways = [way for token in self.tokens for way in self.attempts(token)]
        for way in ways:
            self.check(await way())
        return len(ways)

    def check(self, answer: httpx.Response) -> None:
        status, code = said(answer)
        assert status == 401
        assert code in REFUSED


async def take(step: str, device: Device, thief: Thief, clock: SetClock) -> None:
    """One step of the honest device, which works; the thief sees all of it."""
    if step == "wait":
        clock.advance(seconds=2)
        return
    if step == "use":
        answer = await device.call("GET", "/auth/devices", proof=True)
        assert answer.is_success
        thief.proofs.append(answer.request.headers["DPoP"])
        return
    kept = device.session
    answer = await device.refresh()
    assert said(answer) == (200, None)
    thief.proofs.append(answer.request.headers["DPoP"])
    thief.tokens.append(device.session["refresh_token"])
    if step == "refresh_lost":
        device.session = kept


async def every_interleaving(
    new_device: NewDevice, clock: SetClock, data: Path, length: int
) -> int:
    """Each sequence of honest steps, with every attempt at every gap. The number of attempts."""
    attempts = 0
    for steps in itertools.product(HONEST, repeat=length):
        device = new_device()
        (await device.register()).raise_for_status()
        thief = Thief.of(device)
        file = user_file(data, device.user_id)
        for step in (*steps, "refresh"):
            before = tables(file)["token_family"]
            attempts += await thief.try_everything()
            assert tables(file)["token_family"] == before
            await take(step, device, thief, clock)
        assert (await device.call("GET", "/auth/devices")).is_success
    return attempts


async def at_once(
    new_device: NewDevice, clock: SetClock, chance: random.Random, rounds: int
) -> None:
    """The honest refresh in the midst of attempts that do not wait for it."""
    device = new_device()
    (await device.register()).raise_for_status()
    thief = Thief.of(device)
    for _ in range(rounds):
        token = device.session["refresh_token"]
        ways = [way for each in {token, thief.tokens[-1]} for way in thief.attempts(each)]
        chance.shuffle(ways)
        place = chance.randint(0, len(ways))
        honest: list[Awaitable[httpx.Response]] = [device.refresh()]
        stolen = [way() for way in ways]
        answers = await asyncio.gather(*stolen[:place], *honest, *stolen[place:])
        assert said(answers[place]) == (200, None)
        for answer in answers[:place] + answers[place + 1 :]:
            thief.check(answer)
        thief.tokens.append(device.session["refresh_token"])
        thief.proofs = [*thief.proofs[-3:], answers[place].request.headers["DPoP"]]
        clock.advance(seconds=chance.choice((0, 1, 300)))
    assert (await device.call("GET", "/auth/devices")).is_success


async def test_a_stolen_token_without_the_key_does_nothing_in_any_interleaving(
    new_device: NewDevice, clock: SetClock, settings: Settings
) -> None:
    assert await every_interleaving(new_device, clock, settings.data_dir, 2) > 300


async def test_a_stolen_token_does_nothing_to_a_refresh_at_the_same_time(
    new_device: NewDevice, clock: SetClock, chance: random.Random
) -> None:
    await at_once(new_device, clock, chance, 15)


@pytest.mark.soak
async def test_a_stolen_token_does_nothing_in_any_long_interleaving(
    new_device: NewDevice, clock: SetClock, settings: Settings
) -> None:
    tried = await every_interleaving(new_device, clock, settings.data_dir, 5)
    print(f"{tried} attempts with a stolen refresh token, all in vain")


@pytest.mark.soak
async def test_a_stolen_token_does_nothing_to_a_thousand_refreshes_at_the_same_time(
    new_device: NewDevice, clock: SetClock, chance: random.Random
) -> None:
    await at_once(new_device, clock, chance, 1000)
