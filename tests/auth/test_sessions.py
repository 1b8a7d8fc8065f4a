"""Sessions over a network that loses, repeats and delays: honest devices stay, thieves do not."""

import asyncio
import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.config import Settings
from tests.conftest import SECRET, Running, settings_for
from tests.kit.clock import SetClock
from tests.kit.device import Device
from tests.kit.identity import said, served, tables, user_file
from tests.kit.keys import new_key

REUSED = (401, "refresh_reused")
STALE = (401, "stale_request")
INVALID = (401, "refresh_invalid")
ASKED = (401, "use_dpop_nonce")
DAY = 86400


async def works(device: Device, session: dict[str, Any] | None = None) -> bool:
    token = (session or device.session)["access_token"]
    return (await device.call("GET", "/auth/devices", token=token)).is_success


async def send_refresh(device: Device, token: str, proof: str | None) -> httpx.Response:
    """One request with exactly this proof; the device learns nothing of the answer."""
    headers = {} if proof is None else {"DPoP": proof}
    return await device.http.post("/auth/refresh", json={"refresh_token": token}, headers=headers)


def refresh_proof(device: Device, token: str, **claims: Any) -> str:
    return device.proof("POST", "/auth/refresh", token, **claims)


async def new_nonce(device: Device) -> None:
    """The device holds a nonce of now."""
    device.nonce = None
    await device.call("GET", "/auth/devices", token=None)
    assert device.nonce is not None


async def test_a_lost_answer_is_given_again_however_late(device: Device, clock: SetClock) -> None:
    first = device.session
    lost = (await device.refresh()).raise_for_status().json()
    assert lost["refresh_expires_in"] == 30 * DAY
    answer: httpx.Response | None = None
    for days in (0, 1, 28):
        clock.advance(days=days)
        await new_nonce(device)
        device.session = first
        answer = await device.refresh()
        assert answer.status_code == 200
        assert answer.json()["refresh_token"] == lost["refresh_token"]
    assert answer is not None
    assert answer.json()["refresh_expires_in"] == 1 * DAY  # it grows no younger by being repeated
    assert await works(device)
    assert (await device.refresh()).status_code == 200


async def test_the_same_request_twice_is_stale_and_changes_nothing(
    device: Device, settings: Settings
) -> None:
    token = device.session["refresh_token"]
    proof = refresh_proof(device, token)
    answer = await send_refresh(device, token, proof)
    assert answer.status_code == 200
    file = user_file(settings.data_dir, device.user_id)
    before = tables(file)
    assert said(await send_refresh(device, token, proof)) == STALE
    assert tables(file) == before


async def test_an_old_token_after_its_successor_was_used_ends_the_session_for_both(
    device: Device, clock: SetClock
) -> None:
    thief = copy.copy(device)
    (await device.refresh()).raise_for_status()
    assert await works(device)
    clock.advance(seconds=2)
    await new_nonce(thief)
    assert said(await thief.refresh()) == REUSED
    assert not await works(device)
    assert said(await device.refresh()) == INVALID
    assert (await device.log_in()).status_code == 200


async def test_a_late_copy_of_an_old_request_changes_nothing(
    device: Device, clock: SetClock, settings: Settings
) -> None:
    token = device.session["refresh_token"]
    await new_nonce(device)
    late = [refresh_proof(device, token), refresh_proof(device, token, nonce=None)]
    clock.advance(seconds=2)
    (await device.refresh()).raise_for_status()
    assert await works(device)
    clock.advance(seconds=2)
    before = tables(user_file(settings.data_dir, device.user_id))
    assert said(await send_refresh(device, token, late[0])) == STALE
    assert said(await send_refresh(device, token, late[1])) in (STALE, ASKED)
    assert tables(user_file(settings.data_dir, device.user_id)) == before
    assert (await device.refresh()).status_code == 200


async def test_only_a_nonce_dates_a_reuse(
    device: Device, clock: SetClock, settings: Settings
) -> None:
    clock.advance(seconds=1000)  # past the time in which every proof needs a nonce anyway
    token = device.session["refresh_token"]
    await new_nonce(device)
    (await device.refresh()).raise_for_status()
    assert await works(device)
    clock.advance(seconds=10)
    ahead = refresh_proof(device, token, nonce=None, iat=int(clock()) + 290)
    before = tables(user_file(settings.data_dir, device.user_id))
    assert said(await send_refresh(device, token, ahead)) == ASKED
    assert tables(user_file(settings.data_dir, device.user_id)) == before
    await new_nonce(device)
    assert said(await send_refresh(device, token, refresh_proof(device, token))) == REUSED


async def test_a_stolen_token_without_the_key_changes_nothing(
    device: Device, settings: Settings, clock: SetClock
) -> None:
    token = device.session["refresh_token"]
    thief = Device(device.http, new_key(), clock=clock, nonce=device.nonce)
    file = user_file(settings.data_dir, device.user_id)
    before = tables(file)
    seen = refresh_proof(device, "some other token")
    elsewhere = device.proof("POST", "/auth/pairings", token)
    stolen = {
        "no proof": (None, "proof_required"),
        "own key": (refresh_proof(thief, token), "proof_invalid"),
        "no proof at all": ("x.y.z", "proof_invalid"),
        "a proof for another token": (seen, "proof_invalid"),
        "a proof for another call": (elsewhere, "proof_invalid"),
        "a proof without ath": (refresh_proof(device, ""), "proof_invalid"),
    }
    for what, (proof, code) in stolen.items():
        answer = await send_refresh(device, token, proof)
        assert said(answer) == (401, code), what
        assert answer.headers["WWW-Authenticate"].startswith("DPoP")
        assert answer.headers["DPoP-Nonce"]
    assert tables(file) == before
    assert (await device.refresh()).status_code == 200


async def test_a_token_used_as_another_kind_of_token_is_refused(device: Device) -> None:
    access, refresh = device.session["access_token"], device.session["refresh_token"]
    for token in (access[:512], refresh[:-1], refresh + "A", "A" * 92, ""):
        proof = refresh_proof(device, token or "x")
        assert said(await send_refresh(device, token, proof)) == INVALID
    assert not await works(device, {"access_token": refresh})
    assert await works(device)


async def test_a_secret_changed_between_loss_and_retry_gives_the_same_token(
    tmp_path: Path, clock: SetClock
) -> None:
    async with served(settings_for(tmp_path), clock) as http:
        device = Device(http, clock=clock)
        (await device.register()).raise_for_status()
        first = device.session
        lost = (await device.refresh()).raise_for_status().json()["refresh_token"]
    newest = "the newest secret of thirty-two bytes or more"
    rotated = settings_for(tmp_path, jwt_secret=newest, jwt_secret_previous=SECRET)
    async with served(rotated, clock) as http:
        device = Device(http, device.key, clock=clock, session=first)
        await new_nonce(device)
        answer = await device.refresh()
        assert (answer.status_code, answer.json()["refresh_token"]) == (200, lost)
        assert await works(device)
        assert (await device.refresh()).status_code == 200
    async with served(settings_for(tmp_path, jwt_secret=newest), clock) as http:
        device = Device(http, device.key, clock=clock, session=device.session)
        assert await works(device)
        assert (await device.refresh()).status_code == 200


async def test_fifty_refreshes_of_one_token_at_once_agree_on_its_successor(
    device: Device, settings: Settings
) -> None:
    token = device.session["refresh_token"]
    proofs = [refresh_proof(device, token) for _ in range(50)]
    answers = await asyncio.gather(*(send_refresh(device, token, proof) for proof in proofs))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["refresh_token"] for answer in answers}) == 1
    families = tables(user_file(settings.data_dir, device.user_id))["token_family"]
    assert [(row[2], row[-1]) for row in families] == [(2, "active")]
    device.session = answers[7].json()
    assert await works(device)
    assert (await device.refresh()).status_code == 200


async def test_of_fifty_copies_of_one_refresh_one_is_answered(
    device: Device, settings: Settings
) -> None:
    token = device.session["refresh_token"]
    proof = refresh_proof(device, token)
    answers = await asyncio.gather(*(send_refresh(device, token, proof) for _ in range(50)))
    good = [answer for answer in answers if answer.is_success]
    assert len(good) == 1
    assert {said(answer) for answer in answers if not answer.is_success} == {STALE}
    device.session = good[0].json()
    assert await works(device)


async def test_refreshes_and_uses_at_once_keep_the_session(device: Device) -> None:
    for _ in range(5):
        await new_nonce(device)
        session = device.session
        token = session["refresh_token"]
        answers = await asyncio.gather(
            *(send_refresh(device, token, refresh_proof(device, token)) for _ in range(5)),
            *(device.call("GET", "/auth/devices", token=session["access_token"]) for _ in range(5)),
        )
        assert {answer.status_code for answer in answers} == {200}
        device.session = answers[0].json()
        assert await works(device)


# --- a link that loses, repeats and delays -------------------------------------------------------


@dataclass
class Journey:
    """An honest device and everything it ever sent: the link may deliver any of it again."""

    device: Device
    clock: SetClock
    sent: list[Callable[[], Any]] = field(default_factory=list)
    forced_logins: int = 0

    async def refresh(self, request_arrives: bool, answer_arrives: bool) -> None:
        token = self.device.session["refresh_token"]
        for _ in range(2):
            proof = refresh_proof(self.device, token)
            self.sent.append(lambda: send_refresh(self.device, token, proof))  # noqa: B023
            if not request_arrives:
                return
            answer = await self.sent[-1]()
            if not answer_arrives:
                return
            self.device.nonce = answer.headers["DPoP-Nonce"]
            if answer.is_success:
                self.device.session = answer.json()
                return
            if said(answer) in (REUSED, INVALID):
                self.forced_logins += 1
                return
            assert said(answer) in (ASKED, STALE)

    async def use(self, request_arrives: bool, answer_arrives: bool) -> None:
        token = self.device.session["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        self.sent.append(lambda: self.device.http.get("/auth/devices", headers=headers))
        if not request_arrives:
            return
        answer = await self.sent[-1]()
        if answer_arrives and not answer.is_success:
            assert said(answer) == (401, "not_authenticated")
            self.device.nonce = answer.headers["DPoP-Nonce"]
            await self.refresh(request_arrives=True, answer_arrives=True)

    async def forget_nonce(self) -> None:
        """The device was started anew: its next proof is dated by its own clock alone."""
        self.device.nonce = None

    async def again(self, age: int) -> None:
        """Something sent earlier arrives once more, or for the first time."""
        if self.sent:
            answer = await self.sent[-1 - age % len(self.sent)]()
            assert answer.status_code in (200, 401)


ARRIVES = st.integers(0, 9).map(lambda drawn: drawn < 7)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("refresh"), ARRIVES, ARRIVES),
        st.tuples(st.just("use"), ARRIVES, ARRIVES),
        st.tuples(st.just("again"), st.integers(0, 40)),
        st.tuples(st.just("forget_nonce")),
        st.tuples(
            st.just("wait"), st.sampled_from([0.3, 1, 1, 5, 60, 290, 310, 600, 3599, 3631, DAY])
        ),
    ),
    min_size=3,
    max_size=40,
)
SKEWS = st.sampled_from([0, -1, 1, -299, 200, 299, 301, -(10**8), 10**8])
LONG_LIVED = {"refresh_token_seconds": 300 * DAY, "session_max_seconds": 300 * DAY}


async def assert_stays(
    http: httpx.AsyncClient, clock: SetClock, skew: int, steps: list[tuple[Any, ...]]
) -> None:
    """The device is never made to log in, and its session goes on when the link is good again."""
    device = Device(http, clock=lambda: clock() + skew)
    (await device.register()).raise_for_status()
    journey = Journey(device, clock)
    for kind, *drawn in steps:
        if kind == "wait":
            clock.advance(seconds=drawn[0])
        else:
            await getattr(journey, kind)(*drawn)
    assert journey.forced_logins == 0
    await new_nonce(device)
    assert (await device.refresh()).status_code == 200
    assert await works(device)


unhurried = settings(
    deadline=None,
    max_examples=120,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture
async def long_lived(
    running: Running, tmp_path: Path, clock: SetClock
) -> tuple[httpx.AsyncClient, SetClock]:
    return await running(settings_for(tmp_path, **LONG_LIVED)), clock


@unhurried
@given(skew=SKEWS, steps=STEPS)
async def test_no_loss_delay_or_repetition_logs_an_honest_device_out(
    long_lived: tuple[httpx.AsyncClient, SetClock], skew: int, steps: list[tuple[Any, ...]]
) -> None:
    await assert_stays(*long_lived, skew, steps)


@pytest.mark.soak
@settings(unhurried, max_examples=10_000)
@given(skew=SKEWS, steps=STEPS)
async def test_ten_thousand_journeys_without_a_forced_login(
    long_lived: tuple[httpx.AsyncClient, SetClock], skew: int, steps: list[tuple[Any, ...]]
) -> None:
    await assert_stays(*long_lived, skew, steps)


async def test_restarts_on_the_way_log_nobody_out(tmp_path: Path, clock: SetClock) -> None:
    settings = settings_for(tmp_path, **LONG_LIVED)
    key = new_key()
    async with served(settings, clock) as http:
        device = Device(http, key, clock=clock)
        (await device.register()).raise_for_status()
    journey = Journey(device, clock)
    for round_ in range(8):
        async with served(settings, clock) as http:
            device.http = http
            for age in range(4):
                await journey.again(age)  # what was sent to the process before
            await journey.refresh(request_arrives=True, answer_arrives=round_ % 3 == 0)
            await journey.use(request_arrives=True, answer_arrives=True)
        clock.advance(seconds=(1, 200, 400)[round_ % 3])
    assert journey.forced_logins == 0


@settings(unhurried, max_examples=30)
@given(turns=st.lists(st.booleans(), min_size=4, max_size=12))
async def test_a_cloned_device_that_takes_turns_is_caught(
    long_lived: tuple[httpx.AsyncClient, SetClock], turns: list[bool]
) -> None:
    http, clock = long_lived
    honest = Device(http, clock=clock)
    (await honest.register()).raise_for_status()
    clone = copy.copy(honest)
    changes = 0
    before: Device | None = None
    for turn in turns:
        mover = clone if turn else honest
        changes += before is not None and before is not mover
        before = mover
        clock.advance(seconds=5)
        await new_nonce(mover)
        answer = await mover.refresh()
        if said(answer) == REUSED:
            assert changes == 1  # the very first time the other one moved
            assert not await works(honest)
            assert not await works(clone)
            return
        assert answer.status_code == 200
        assert await works(mover)
    assert changes == 0
