"""What one address, key, device or account may ask for, over HTTP, with a clock that is moved."""

import base64
import hashlib
import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.auth.proof_of_work import zero_bits
from app.config import Settings
from app.main import create_app
from tests.conftest import settings_for
from tests.kit.clock import SetClock
from tests.kit.device import Device
from tests.kit.identity import records, said, tables
from tests.kit.keys import b64, p256_key
from tests.kit.pair import join_body, opened

LIMITED = (429, "rate_limited")
PROXY = "10.0.0.1"
NUMBERS = itertools.count()
"""Of keys: no device of this file has another's."""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_for(tmp_path, rate_limits="on", trusted_proxies=("10.0.0.0/8",))


class Town:
    """A server behind a proxy, and devices that come to it from any address."""

    def __init__(self, app: Any, clock: SetClock, http: httpx.AsyncClient) -> None:
        self.app, self.clock, self.http = app, clock, http

    def device(self, address: str = "192.0.2.1") -> Device:
        """With a key of its own, behind that address."""
        http = httpx.AsyncClient(
            transport=httpx.ASGITransport(self.app, client=(PROXY, 1)),
            base_url="http://localhost:8000",
            headers={"X-Forwarded-For": address},
        )
        return Device(http, p256_key(next(NUMBERS)), clock=self.clock)

    async def registered(self, address: str = "192.0.2.1") -> Device:
        device = self.device(address)
        assert said(await device.register()) == (201, None)
        return device


@asynccontextmanager
async def town_of(settings: Settings, clock: SetClock) -> AsyncIterator[Town]:
    app = create_app(settings, clock=clock)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost:8000") as http:
            yield Town(app, clock, http)


@pytest.fixture
async def town(settings: Settings, clock: SetClock) -> AsyncIterator[Town]:
    clock.now = clock.now // 86400 * 86400 + 3600  # a day does not end within a test
    async with town_of(settings, clock) as made:
        yield made


async def test_an_address_makes_five_accounts_an_hour_and_others_as_many(town: Town) -> None:
    for _ in range(5):
        await town.registered()
    refused = await town.device().register()
    assert said(refused) == LIMITED
    assert refused.headers["Retry-After"] == "720"
    await town.registered("192.0.2.2")
    town.clock.advance(seconds=720)
    await town.registered()


async def test_a_key_that_is_known_comes_back_for_nothing(town: Town) -> None:
    devices = [await town.registered() for _ in range(5)]
    for _ in range(3):
        town.clock.advance(seconds=30)
        for device in devices:
            assert said(await device.register()) == (200, None)
    assert said(await town.device().register()) == LIMITED


async def test_what_was_refused_before_it_was_an_account_does_not_count(town: Town) -> None:
    for _ in range(10):
        town.clock.advance(seconds=10)
        answer = await town.device().register(signature=b64(b"wrong" * 8))
        assert said(answer) == (401, "signature_invalid")
    for _ in range(5):
        await town.registered()


async def test_an_address_makes_twenty_accounts_a_day(town: Town) -> None:
    for _ in range(20):
        await town.registered()
        town.clock.advance(seconds=720)
    refused = await town.device().register()
    assert said(refused) == LIMITED
    wait = int(refused.headers["Retry-After"])
    assert (town.clock.now + wait) % 86400 < 1
    town.clock.advance(seconds=wait)
    await town.registered()


async def test_a_day_of_accounts_outlives_a_restart_and_is_forgotten_with_the_day(
    settings: Settings, clock: SetClock
) -> None:
    clock.now = clock.now // 86400 * 86400 + 3600
    for _ in range(5):
        async with town_of(settings, clock) as town:
            for _ in range(4):
                await town.registered()
    async with town_of(settings, clock) as town:
        assert said(await town.device().register()) == LIMITED
    kept = records(settings.data_dir / "master.db", "accounts_made")
    assert [each["accounts"] for each in kept] == [20]
    assert all(len(each["stranger"]) == 16 for each in kept)
    clock.advance(days=1)
    async with town_of(settings, clock) as town:
        await town.app.state.auth.accounts.forget_yesterday()
        assert tables(settings.data_dir / "master.db")["accounts_made"] == []


async def test_an_ipv6_site_makes_eight_times_as_many_as_one_of_its_networks(town: Town) -> None:
    for network in range(8):
        for _ in range(5):
            await town.registered(f"2001:db8:1:{network:x}::1")
    assert said(await town.device("2001:db8:1:0::2").register()) == LIMITED
    assert said(await town.device("2001:db8:1:ff::1").register()) == LIMITED
    await town.registered("2001:db8:2::1")


async def test_an_address_gets_thirty_challenges_and_answers_a_minute(town: Town) -> None:
    device = town.device()
    asked = {"key_thumbprint": device.key.thumbprint_text}
    for call in range(30):
        path, body = [
            ("/auth/challenge", asked),
            ("/auth/register/challenge", {}),
            ("/auth/login", asked | {"challenge": b64(b""), "signature": b64(b"")}),
        ][call % 3]
        assert said(await device.call("POST", path, body, token=None)) != LIMITED
    for path in ("/auth/challenge", "/auth/register/challenge", "/auth/login", "/auth/register"):
        refused = await device.call("POST", path, {}, token=None)
        assert said(refused) == LIMITED
        assert refused.headers["Retry-After"] == "2"
    answer = await town.device("192.0.2.2").call("POST", "/auth/challenge", asked, token=None)
    assert answer.status_code == 200


async def test_who_does_not_hold_a_key_cannot_use_its_logins_up(town: Town) -> None:
    device = await town.registered()
    for number in range(40):
        stranger = town.device(f"198.51.100.{number}")
        asked = {"key_thumbprint": device.key.thumbprint_text}
        challenge = (await stranger.call("POST", "/auth/challenge", asked, token=None)).json()
        body = asked | {"challenge": challenge["challenge"], "signature": b64(b"x" * 64)}
        answer = await stranger.call("POST", "/auth/login", body, token=None)
        assert said(answer) == (401, "login_failed")
    assert said(await device.log_in()) == (200, None)


async def test_who_has_overheard_a_log_in_cannot_use_its_logins_up(town: Town) -> None:
    device = await town.registered()
    asked = {"key_thumbprint": device.key.thumbprint_text}
    challenge = (await device.call("POST", "/auth/challenge", asked, token=None)).json()
    signature = device.answer_to("echolia/login/v1", challenge["challenge"])
    body = asked | {"challenge": challenge["challenge"], "signature": signature}
    assert said(await device.call("POST", "/auth/login", body, token=None)) == (200, None)
    stranger = town.device("198.51.100.1")
    for _ in range(20):
        answer = await stranger.call("POST", "/auth/login", body, token=None)
        assert said(answer) == (401, "login_failed")
    assert said(await device.log_in()) == (200, None)


async def test_who_holds_a_key_logs_in_ten_times_a_minute(town: Town) -> None:
    device = await town.registered()
    for number in range(10):
        device.http = town.device(f"198.51.100.{number}").http
        assert said(await device.log_in()) == (200, None)
    device.http = town.device("198.51.100.99").http
    refused = await device.log_in()
    assert said(refused) == LIMITED
    town.clock.advance(seconds=int(refused.headers["Retry-After"]))
    assert said(await device.log_in()) == (200, None)


async def test_a_device_refreshes_thirty_times_an_hour_whatever_others_try(town: Town) -> None:
    device, thief = await town.registered(), await town.registered("192.0.2.9")
    for _ in range(40):
        stolen = str(device.session["refresh_token"])
        proof = thief.proof("POST", "/auth/refresh", stolen)
        body = {"refresh_token": stolen}
        answer = await thief.call(
            "POST", "/auth/refresh", body, token=None, headers={"DPoP": proof}
        )
        assert said(answer) == (401, "proof_invalid")
    for _ in range(30):
        assert said(await device.refresh()) == (200, None)
    refused = await device.refresh()
    assert said(refused) == LIMITED
    town.clock.advance(seconds=int(refused.headers["Retry-After"]))
    assert said(await device.refresh()) == (200, None)


async def test_an_account_opens_five_pairings_an_hour(town: Town) -> None:
    device = await town.registered()
    for _ in range(5):
        pairing_id = await opened(device)
        await device.call("DELETE", f"/auth/pairings/{pairing_id}")
    refused = await device.call("POST", "/auth/pairings", {}, proof=True)
    assert said(refused) == LIMITED
    town.clock.advance(seconds=int(refused.headers["Retry-After"]))
    device.nonce = None
    assert await opened(device)


async def test_an_address_joins_ten_times_a_minute(town: Town) -> None:
    device = await town.registered()
    joiner = town.device("192.0.2.8")
    pairing_id = await opened(device)
    body = join_body(joiner, device, pairing_id)
    path = f"/auth/pairings/{pairing_id}/join"
    for _ in range(10):
        assert said(await joiner.call("POST", path, body, token=None)) == (200, None)
    assert said(await joiner.call("POST", path, body, token=None)) == LIMITED
    town.clock.advance(seconds=6)
    assert said(await joiner.call("POST", path, body, token=None)) == (200, None)


async def test_a_device_syncs_fifty_times_at_once_and_ten_times_a_second(town: Town) -> None:
    device, other = await town.registered(), await town.registered()
    for number in range(50):
        answer = await (device.push(device.change()) if number % 2 else device.pull())
        assert said(answer) == (200, None)
    for refused in (await device.push(device.change()), await device.pull()):
        assert said(refused) == LIMITED
        assert refused.headers["Retry-After"] == "1"
    assert said(await other.pull()) == (200, None)
    town.clock.advance(seconds=1)
    for _ in range(10):
        assert said(await device.pull()) == (200, None)
    assert said(await device.pull()) == LIMITED


async def test_a_header_from_a_stranger_makes_nobody_somebody_else(
    settings: Settings, clock: SetClock
) -> None:
    app = create_app(settings, clock=clock)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app, client=("203.0.113.5", 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost:8000") as http:
            answers = [
                await http.post(
                    "/auth/register/challenge",
                    json={},
                    headers={"X-Forwarded-For": f"192.0.2.{number}"},
                )
                for number in range(31)
            ]
    assert [answer.status_code for answer in answers] == [200] * 30 + [429]


# --- work ---------------------------------------------------------------------------------------


def solved(challenge: bytes, bits: int) -> bytes:
    for number in itertools.count():
        solution = number.to_bytes(8, "big")
        if zero_bits(hashlib.sha256(challenge + solution).digest()) >= bits:
            return solution
    raise AssertionError


def unsolved(challenge: bytes, bits: int) -> bytes:
    for number in itertools.count():
        solution = number.to_bytes(8, "big")
        if zero_bits(hashlib.sha256(challenge + solution).digest()) < bits:
            return solution
    raise AssertionError


def decoded(body: dict[str, Any]) -> bytes:
    return base64.b64decode(body["challenge"])


@pytest.fixture
async def busy_town(tmp_path: Path, clock: SetClock) -> AsyncIterator[Town]:
    settings = settings_for(tmp_path, registration_pow_bits=10, trusted_proxies=("10.0.0.0/8",))
    async with town_of(settings, clock) as made:
        yield made


async def test_a_new_account_takes_the_work_that_its_challenge_asks_for(busy_town: Town) -> None:
    device = busy_town.device()
    asked = await device.call("POST", "/auth/register/challenge", {}, token=None)
    assert asked.json()["proof_of_work"] == {"algorithm": "sha256", "difficulty": 10}
    body = await device.registration()
    without = await device.call("POST", "/auth/register", body, token=None)
    assert said(without) == (422, "proof_of_work_required")
    assert without.json()["difficulty"] == 10
    wrong = body | {"proof_of_work": b64(unsolved(decoded(body), 10))}
    answer = await device.call("POST", "/auth/register", wrong, token=None)
    assert said(answer) == (422, "proof_of_work_invalid")
    right = body | {"proof_of_work": b64(solved(decoded(body), 10))}
    assert said(await device.call("POST", "/auth/register", right, token=None)) == (201, None)


async def test_a_key_that_is_known_needs_no_work(busy_town: Town) -> None:
    device = busy_town.device()
    body = await device.registration()
    done = body | {"proof_of_work": b64(solved(decoded(body), 10))}
    assert said(await device.call("POST", "/auth/register", done, token=None)) == (201, None)
    assert said(await device.register()) == (200, None)


async def test_nobody_chooses_how_much_work_there_is(busy_town: Town) -> None:
    device = busy_town.device()
    body = await device.registration()
    challenge = bytearray(decoded(body))
    challenge[40] = 0
    forged = bytes(challenge)
    signature = device.answer_to("echolia/register/v1", b64(forged))
    changed = body | {"challenge": b64(forged), "signature": signature}
    answer = await device.call("POST", "/auth/register", changed, token=None)
    assert said(answer) == (401, "challenge_invalid")


async def test_a_solution_may_have_32_bytes_and_no_more(busy_town: Town) -> None:
    device = busy_town.device()
    body = await device.registration(proof_of_work=b64(bytes(33)))
    answer = await device.call("POST", "/auth/register", body, token=None)
    assert said(answer) == (422, "invalid")
    assert json.loads(answer.content)["errors"][0]["path"] == "proof_of_work"


async def test_work_begins_when_many_come_and_ends_when_they_stop(
    tmp_path: Path, clock: SetClock
) -> None:
    settings = settings_for(tmp_path, registration_pow_bits="auto", trusted_proxies=("10.0.0.0/8",))
    async with town_of(settings, clock) as town:

        async def asked() -> Any:
            answer = await town.device().call("POST", "/auth/register/challenge", {}, token=None)
            return answer.json()["proof_of_work"]

        for _ in range(20):
            assert await asked() is None
            await town.registered()
        assert await asked() == {"algorithm": "sha256", "difficulty": 17}
        clock.advance(seconds=1800)
        assert await asked() is None
