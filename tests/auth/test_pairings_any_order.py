"""Pairing as a state machine: any call, by anybody, in any order."""

from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.auth.pairing import LIFE_SECONDS
from app.config import Settings
from tests.kit.clock import SetClock
from tests.kit.device import Device
from tests.kit.identity import Pairing, records
from tests.kit.keys import b64
from tests.kit.pair import paired

EDGES = {
    "open": {"joined", "cancelled"},
    "joined": {"revealed", "cancelled", "conflict"},
    "revealed": {"approved", "cancelled", "conflict"},
    "approved": {"completed", "cancelled"},
    "completed": set(),
    "cancelled": set(),
    "conflict": set(),
}
PAYLOAD = ("wrapped_cek", "ciphertext")
STEPS = ("join", "reveal", "approve", "collect", "complete", "see", "watch", "cancel", "leave")
MAY_MOVE = {
    "join": {"new", "intruder", "existing", "sibling", "stranger"},
    "reveal": {"existing"},
    "approve": {"existing"},
    "complete": {"new"},
    "cancel": {"existing"},
    "leave": {"new"},
}

# The way to the end is likely enough that most runs get some way along it.
ONWARD = st.sampled_from(
    [("join", "new"), ("reveal", "existing"), ("approve", "existing"), ("complete", "new")]
)
ANY = st.tuples(
    st.sampled_from(STEPS), st.sampled_from(["existing", "new", "sibling", "stranger", "intruder"])
)
OTHER = st.sampled_from(
    [("wait", "100"), ("wait", "1"), ("revoke", "existing"), ("other nonce", "existing")]
)
RUNS = st.lists(st.one_of(ONWARD, ONWARD, ANY, ANY, OTHER), min_size=2, max_size=18)


@dataclass
class Cast:
    """Everybody who may call."""

    existing: Device
    new: Device
    sibling: Device
    stranger: Device
    intruder: Device

    @classmethod
    async def of(cls, http: httpx.AsyncClient, clock: SetClock) -> "Cast":
        existing, new, sibling, stranger, intruder = (Device(http, clock=clock) for _ in range(5))
        for each in (existing, stranger):
            (await each.register()).raise_for_status()
        await paired(existing, sibling)
        return cls(existing, new, sibling, stranger, intruder)


async def take(pairing: Pairing, people: Cast, step: str, who: str) -> httpx.Response:
    caller: Device = getattr(people, who)
    if step == "revoke":
        path = f"/auth/devices/{people.existing.id}"
        return await people.sibling.call("DELETE", path, proof=True)
    if step == "other nonce":
        return await pairing.reveal(nonce=b64(bytes(32)))
    if step == "join" and who == "new":
        return await pairing.join()
    answer: httpx.Response = await getattr(pairing, step)(by=caller)
    return answer


def row_of(config: Settings, pairing: Pairing) -> dict[str, Any]:
    rows = records(config.data_dir / "master.db", "pairing")
    return next(row for row in rows if row["pairing_id"] == pairing.id)


async def run(
    http: httpx.AsyncClient, clock: SetClock, config: Settings, steps: list[tuple[str, str]]
) -> None:
    """Play the steps; after each, what is stored must follow from what was stored before."""
    people = await Cast.of(http, clock)
    pairing = await Pairing.open(people.existing, people.new)
    opened_at = clock()
    before = row_of(config, pairing)
    for step, who in steps:
        if step == "wait":
            clock.advance(seconds=float(who))
            for each in vars(people).values():
                each.nonce = None
                await each.call("GET", "/auth/devices", token=None)
            continue
        answer = await take(pairing, people, step, who)
        assert answer.status_code < 500, (step, who, answer.text)
        after = row_of(config, pairing)
        expired = clock() >= opened_at + LIFE_SECONDS
        check(before, after, step, who, expired=expired, succeeded=answer.is_success)
        before = after


def check(
    before: dict[str, Any],
    after: dict[str, Any],
    step: str,
    who: str,
    *,
    expired: bool,
    succeeded: bool,
) -> None:
    moved = before["state"] != after["state"]
    if moved:
        assert after["state"] in EDGES[before["state"]]
        assert who in MAY_MOVE.get(step, {who}), (step, who)
        assert succeeded or after["state"] == "conflict"
        assert not expired or step == "revoke"
    if after["state"] in ("completed", "cancelled", "conflict"):
        assert all(after[name] is None for name in PAYLOAD)
    if not moved and not expired:
        assert after == before
    if before["public_key"] is not None:  # who joined first is never replaced
        assert after["public_key"] == before["public_key"]
    if before["new_device_id"] is not None:
        assert after["new_device_id"] == before["new_device_id"]
    if expired and step not in ("revoke", "cancel", "leave"):
        assert not succeeded


quietly = settings(
    deadline=None,
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture
def config(settings: Settings) -> Settings:
    return settings


@quietly
@given(steps=RUNS)
async def test_a_pairing_moves_along_its_edges_only(
    http: httpx.AsyncClient, clock: SetClock, config: Settings, steps: list[tuple[str, str]]
) -> None:
    await run(http, clock, config, steps)


@pytest.mark.soak
@settings(quietly, max_examples=5000)
@given(steps=RUNS)
async def test_five_thousand_pairings_move_along_their_edges_only(
    http: httpx.AsyncClient, clock: SetClock, config: Settings, steps: list[tuple[str, str]]
) -> None:
    await run(http, clock, config, steps)
