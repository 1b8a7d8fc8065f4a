"""Pairing over HTTP: every step by everybody, in every state, again, late, and at once."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from hashlib import sha256
from pathlib import Path

import httpx
import pytest

from app.auth.pairing import LIFE_SECONDS, MAX_CIPHERTEXT_BYTES
from app.config import Settings
from tests.conftest import NewDevice, Running, settings_for
from tests.kit.clock import SetClock
from tests.kit.device import Device
from tests.kit.identity import Pairing, records, said, tables
from tests.kit.keys import DeviceKey, b64, new_key, rsa_key
from tests.kit.pair import as_joiner, join_body, paired

OK = (200, None)
NOT_FOUND = (404, "not_found")
NOBODY = (401, "not_authenticated")
OUT_OF_TURN = (409, "pairing_state")
CONFLICT = (409, "pairing_conflict")
CANCELLED = (410, "pairing_cancelled")
EXPIRED = (410, "pairing_expired")
STATES = ("open", "joined", "revealed", "approved", "completed")

Said = tuple[int, str | None]


@pytest.fixture
async def pairing(device: Device, new_device: NewDevice) -> Pairing:
    return await Pairing.open(device, new_device())


@pytest.fixture
async def second(device: Device, new_device: NewDevice) -> Device:
    """Another live device of the account."""
    return await paired(device, new_device())


def stored(settings: Settings, pairing: Pairing) -> dict[str, object]:
    """The pairing's row."""
    rows = records(settings.data_dir / "master.db", "pairing")
    return next(row for row in rows if row["pairing_id"] == pairing.id)


def has_payload(settings: Settings, pairing: Pairing) -> bool:
    row = stored(settings, pairing)
    return any(row[name] is not None for name in ("wrapped_cek", "ciphertext"))


# --- the happy path -----------------------------------------------------------------------------


@pytest.mark.parametrize("key", [rsa_key(1), new_key()], ids=["RSA-3072", "P-256"])
async def test_each_side_gets_what_the_other_sent(
    key: DeviceKey, device: Device, new_device: NewDevice, clock: SetClock
) -> None:
    nonce = os.urandom(32)
    answer = await device.call(
        "POST", "/auth/pairings", {"commitment": b64(sha256(nonce).digest())}, proof=True
    )
    assert answer.status_code == 201
    made = answer.json()
    assert (made["state"], made["expires_in"], made["conflict"]) == ("open", 300, False)
    new = new_device(key)
    fields = join_body(new, device, made["pairing_id"], device_name="sealed")
    pairing = Pairing(device, new, made["pairing_id"], fields, b64(nonce))
    clock.advance(seconds=10)

    assert said(await pairing.join()) == OK
    shown = (await pairing.see()).json()
    for name in fields:
        assert shown[name] == fields[name], name
    assert shown["key_thumbprint"] == new.key.thumbprint_text
    assert (shown["state"], shown["expires_in"], shown["existing_nonce"]) == ("joined", 290, None)
    assert (await pairing.watch()).json() == shown

    assert said(await pairing.reveal()) == OK
    watched = (await pairing.watch()).json()
    assert (watched["state"], watched["existing_nonce"]) == ("revealed", b64(nonce))

    payload = {
        "wrapped_cek": b64(os.urandom(384)),
        "ciphertext": b64(os.urandom(1000)),
        "signature": b64(os.urandom(64)),
    }
    pairing.approval = payload | {"key_thumbprint": new.key.thumbprint_text}
    assert said(await pairing.approve()) == OK
    assert (await pairing.collect()).json() == payload | {
        "user_id": device.user_id,
        "public_key": device.key.pem,
    }
    session = await pairing.complete()
    new.session = session.json()
    assert new.user_id == device.user_id
    assert new.id == (await pairing.see()).json()["device_id"]
    assert (await new.push(new.change())).status_code == 200
    assert len((await device.pull_all()).items) == 1


async def test_every_step_again_gives_the_same_answer(pairing: Pairing, settings: Settings) -> None:
    assert said(await pairing.join()) == OK
    for step in (pairing.reveal, pairing.approve):
        answers = [(await step()).json() for _ in range(3)]
        assert answers[0] == answers[1] == answers[2]
        assert (await pairing.join()).json() == answers[0]
    assert (await pairing.collect()).json() == (await pairing.collect()).json()
    sessions = [(await pairing.complete()).json() for _ in range(3)]
    assert len({each["device_id"] for each in sessions}) == 1
    assert len({each["refresh_token"] for each in sessions}) == 3
    for session in sessions:
        pairing.new.session = session
        assert (await pairing.new.call("GET", "/auth/devices")).is_success
    assert len(tables(settings.data_dir / "master.db")["device"]) == 2


async def test_a_join_sent_again_with_another_signature_is_the_same_join(
    pairing: Pairing, device: Device
) -> None:
    (await pairing.join()).raise_for_status()
    first = (await pairing.see()).json()
    assert said(await pairing.join(mac=b64(bytes(32)), device_name="other")) == OK
    assert (await pairing.see()).json() == first


EARLY: dict[str, dict[str, Said]] = {
    "open": {
        "reveal": OUT_OF_TURN,
        "approve": OUT_OF_TURN,
        "collect": NOT_FOUND,
        "complete": NOT_FOUND,
        "watch": NOT_FOUND,
        "leave": NOT_FOUND,
        "see": OK,
    },
    "joined": {
        "join": OK,
        "approve": OUT_OF_TURN,
        "collect": OUT_OF_TURN,
        "complete": OUT_OF_TURN,
        "watch": OK,
        "see": OK,
    },
    "revealed": {
        "join": OK,
        "reveal": OK,
        "collect": OUT_OF_TURN,
        "complete": OUT_OF_TURN,
        "watch": OK,
        "see": OK,
    },
    "approved": {
        "join": OK,
        "reveal": OK,
        "approve": OK,
        "collect": OK,
        "watch": OK,
        "see": OK,
    },
    "completed": {
        "join": OK,
        "reveal": OK,
        "approve": OK,
        "collect": OUT_OF_TURN,
        "complete": OK,
        "watch": OK,
        "see": OK,
        "cancel": (204, None),
        "leave": (204, None),
    },
}


@pytest.mark.parametrize("state", STATES)
async def test_a_step_out_of_turn_is_refused_with_the_state_it_is_in(
    state: str, pairing: Pairing, settings: Settings
) -> None:
    await pairing.until(state)
    before = stored(settings, pairing)
    for step, expected in EARLY[state].items():
        answer = await getattr(pairing, step)()
        assert said(answer) == expected, step
        if expected == OUT_OF_TURN:
            assert answer.json()["state"] == state
        assert stored(settings, pairing) == before, step


async def test_another_nonce_key_or_payload_is_refused(pairing: Pairing) -> None:
    await pairing.until("revealed")
    assert said(await pairing.reveal(nonce=b64(os.urandom(32)))) == OUT_OF_TURN
    other = new_key().thumbprint_text
    assert said(await pairing.approve(key_thumbprint=other)) == OUT_OF_TURN
    (await pairing.approve()).raise_for_status()
    assert said(await pairing.approve(ciphertext=b64(b"other"))) == OUT_OF_TURN
    assert said(await pairing.approve(key_thumbprint=other)) == OUT_OF_TURN
    assert (await pairing.collect()).json()["ciphertext"] == pairing.approval["ciphertext"]


async def test_a_nonce_that_was_not_committed_to_is_refused(
    device: Device, new_device: NewDevice
) -> None:
    commitment = {"commitment": b64(sha256(b"x" * 32).digest())}
    made = await device.call("POST", "/auth/pairings", commitment, proof=True)
    new = new_device()
    pairing_id = made.json()["pairing_id"]
    pairing = Pairing(device, new, pairing_id, join_body(new, device, pairing_id))
    (await pairing.join()).raise_for_status()
    assert said(await pairing.reveal()) == (422, "pairing_commitment")
    assert said(await pairing.reveal(nonce=b64(b"x" * 32))) == OK


# --- by whom ------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", STATES)
async def test_nobody_learns_or_does_anything_without_a_credential(
    state: str, pairing: Pairing, settings: Settings
) -> None:
    await pairing.until(state)
    before = stored(settings, pairing)
    http, path = pairing.existing.http, pairing.path
    required = (401, "proof_required")
    unknown = "/auth/pairings/00000000-0000-4000-8000-000000000000"
    for target in (path, unknown):
        assert said(await http.get(target)) == NOBODY
        assert said(await http.delete(target)) == NOBODY
        body = {"nonce": pairing.nonce}
        assert said(await http.post(f"{target}/reveal", json=body)) == NOBODY
        assert said(await http.post(f"{target}/approve", json=pairing.approval)) == NOBODY
        assert said(await http.post(f"{target}/collect", json={})) == required
        assert said(await http.post(f"{target}/complete", json={})) == required
    assert stored(settings, pairing) == before


@pytest.mark.parametrize("state", [*STATES, "cancelled", "conflict", "expired"])
async def test_to_strangers_a_pairing_is_not_there_whatever_became_of_it(
    state: str,
    pairing: Pairing,
    second: Device,
    new_device: NewDevice,
    clock: SetClock,
) -> None:
    stranger = new_device()
    (await stranger.register()).raise_for_status()
    await pairing.until(state if state in STATES else "approved")
    if state == "cancelled":
        assert (await pairing.cancel()).status_code == 204
    if state == "conflict":
        assert said(await pairing.join(by=new_device())) == CONFLICT
    if state == "expired":
        clock.advance(seconds=LIFE_SECONDS)
        for each in (stranger, second):
            await each.call("GET", "/auth/devices")  # a nonce of now
    unknown = Pairing(
        pairing.existing,
        pairing.new,
        "00000000-0000-4000-8000-000000000000",
        pairing.join_fields,
        approval=pairing.approval,
    )
    for who in (stranger, second):
        for step in ("see", "reveal", "approve", "cancel"):
            answers = {
                (answer.status_code, answer.content)
                for answer in [await getattr(each, step)(by=who) for each in (pairing, unknown)]
            }
            assert len(answers) == 1, step
            assert answers.pop()[0] == 404, step
    for key_holder in (stranger, new_device()):
        for step in ("watch", "collect", "complete", "leave"):
            assert said(await getattr(pairing, step)(by=key_holder)) == NOT_FOUND, step


async def test_the_existing_device_approves_with_a_proof_only(pairing: Pairing) -> None:
    await pairing.until("revealed")
    assert said(await pairing.approve(proof=False)) == (401, "proof_required")
    assert (await pairing.see()).json()["state"] == "revealed"


async def test_the_existing_device_is_not_the_new_one(pairing: Pairing) -> None:
    await pairing.until("approved")
    for step in (pairing.collect, pairing.complete, pairing.watch, pairing.leave):
        assert said(await step(by=pairing.existing)) == NOT_FOUND


async def test_the_new_device_repeats_no_proof(pairing: Pairing) -> None:
    await pairing.until("approved")
    path = f"{pairing.path}/collect"
    headers = {"DPoP": pairing.new.proof("POST", path, None)}
    http = pairing.new.http
    assert said(await http.post(path, json={}, headers=headers)) == OK
    assert said(await http.post(path, json={}, headers=headers)) == (401, "proof_replayed")
    old = {"DPoP": pairing.new.proof("POST", path, None, nonce="x")}
    assert said(await http.post(path, json={}, headers=old)) == (401, "use_dpop_nonce")


# --- joining ------------------------------------------------------------------------------------


async def test_a_join_must_be_signed_over_this_very_pairing(
    pairing: Pairing, device: Device, new_device: NewDevice, settings: Settings
) -> None:
    elsewhere = await Pairing.open(device, pairing.new)
    others_origin = new_device(pairing.new.key)
    others_origin.origin = "https://evil.example"
    foreign = join_body(others_origin, device, pairing.id)
    vouching = {k: pairing.join_fields[k] for k in ("wrapping_key", "wrapping_key_signature")}
    wrong = [
        {"signature": b64(bytes(64))},
        {"signature": ""},
        {"nonce": b64(os.urandom(16))},
        {k: elsewhere.join_fields[k] for k in ("signature", "nonce")},
        {k: foreign[k] for k in ("signature", "nonce")},
        join_body(pairing.new, pairing.new, pairing.id),
        {k: v for k, v in join_body(new_device(), device, pairing.id).items() if k == "signature"},
    ]
    for fields in wrong:
        assert said(await pairing.join(**(fields | vouching))) == (401, "signature_invalid")
    assert stored(settings, pairing)["state"] == "open"
    assert said(await pairing.join()) == OK


async def test_a_key_that_cannot_wrap_needs_one_that_can(
    pairing: Pairing, device: Device, new_device: NewDevice
) -> None:
    without = {"wrapping_key": None, "wrapping_key_signature": None}
    assert said(await pairing.join(**without)) == (422, "wrapping_key_required")
    with_rsa = await Pairing.open(device, new_device(rsa_key(2)))
    assert said(await with_rsa.join(**without)) == OK


async def test_a_key_that_is_in_use_cannot_join(
    pairing: Pairing, second: Device, new_device: NewDevice, device: Device
) -> None:
    stranger = new_device()
    (await stranger.register()).raise_for_status()
    for known in (device, second, stranger):
        assert said(await pairing.join(by=known)) == (409, "public_key_in_use")
    await device.call("DELETE", f"/auth/devices/{second.id}", proof=True)
    assert said(await pairing.join(by=second)) == (403, "device_revoked")
    assert said(await pairing.join()) == OK


async def test_a_key_registered_after_it_joined_is_not_taken_over(
    pairing: Pairing, settings: Settings
) -> None:
    await pairing.until("revealed")
    own = (await pairing.new.register()).json()
    assert said(await pairing.approve()) == (409, "public_key_in_use")
    devices = tables(settings.data_dir / "master.db")["device"]
    assert [row[1] for row in devices if row[0] == own["device_id"]] == [own["user_id"]]


@pytest.mark.parametrize("state", ["joined", "revealed"])
async def test_a_second_device_that_joins_ends_the_pairing_for_both(
    state: str, pairing: Pairing, new_device: NewDevice, settings: Settings
) -> None:
    await pairing.until(state)
    intruder = new_device()
    assert said(await pairing.join(by=intruder)) == CONFLICT
    for step in ("join", "reveal", "approve", "collect", "complete"):
        assert said(await getattr(pairing, step)()) == CONFLICT, step
    for sight in (pairing.see, pairing.watch):
        shown = (await sight()).json()
        assert (shown["state"], shown["conflict"]) == ("conflict", True)
        assert shown["key_thumbprint"] == pairing.new.key.thumbprint_text
    assert said(await pairing.watch(by=intruder)) == NOT_FOUND
    assert not has_payload(settings, pairing)


async def test_nobody_can_hide_that_there_was_a_conflict(
    pairing: Pairing, new_device: NewDevice
) -> None:
    await pairing.until("joined")
    assert said(await pairing.join(by=new_device())) == CONFLICT
    assert (await pairing.leave()).status_code == 204
    assert (await pairing.cancel()).status_code == 204
    assert (await pairing.see()).json()["conflict"] is True


async def test_the_same_key_with_another_nonce_is_a_second_join(
    pairing: Pairing, device: Device
) -> None:
    await pairing.until("joined")
    again = join_body(pairing.new, device, pairing.id)
    assert said(await pairing.join(**again)) == CONFLICT


async def test_an_approval_whose_answer_was_lost_may_come_again_after_completion(
    pairing: Pairing, settings: Settings, clock: SetClock
) -> None:
    await pairing.until("completed")
    again = await pairing.approve()
    assert said(again) == OK
    assert again.json()["state"] == "completed"
    assert said(await pairing.approve(signature=b64(b"another"))) == OUT_OF_TURN
    assert not has_payload(settings, pairing)
    clock.advance(seconds=301)
    await pairing.existing.call("GET", "/auth/devices")
    assert said(await pairing.approve()) == EXPIRED
    assert stored(settings, pairing)["approval"] is None


async def test_a_completed_pairing_stays_completed(pairing: Pairing, new_device: NewDevice) -> None:
    await pairing.until("completed")
    assert said(await pairing.join(by=new_device())) == CONFLICT
    assert (await pairing.cancel()).status_code == 204
    assert (await pairing.leave()).status_code == 204
    assert (await pairing.see()).json()["state"] == "completed"
    assert said(await pairing.complete()) == OK


async def test_of_ten_devices_that_join_at_once_none_is_let_in(
    pairing: Pairing, new_device: NewDevice
) -> None:
    joiners = [new_device() for _ in range(10)]
    answers = await asyncio.gather(*(pairing.join(by=each) for each in joiners))
    assert sorted(said(answer)[0] for answer in answers) == [200] + [409] * 9
    assert (await pairing.see()).json()["conflict"] is True
    assert said(await pairing.reveal()) == CONFLICT


async def test_ten_copies_of_each_step_at_once_are_one_step(
    pairing: Pairing, settings: Settings
) -> None:
    for step in (pairing.join, pairing.reveal, pairing.approve, pairing.collect, pairing.complete):
        answers = await asyncio.gather(*(step() for _ in range(10)))
        assert {answer.status_code for answer in answers} == {200}
    assert len(tables(settings.data_dir / "master.db")["device"]) == 2
    assert not has_payload(settings, pairing)


# --- the end ------------------------------------------------------------------------------------

Step = Callable[[], Awaitable[httpx.Response]]


@pytest.mark.parametrize("state", STATES)
async def test_after_five_minutes_every_call_finds_it_gone_and_the_payload_is_erased(
    state: str, pairing: Pairing, settings: Settings, clock: SetClock
) -> None:
    await pairing.until(state)
    clock.advance(seconds=LIFE_SECONDS - 1)
    assert (await pairing.see()).json()["expires_in"] in (0, 1)
    clock.advance(seconds=1)
    await pairing.new.call("GET", "/auth/devices", token=None)  # a nonce of now
    of_new = ["watch", "collect", "complete", "leave"]
    for step in ("see", "join", "reveal", "approve", "cancel", *of_new):
        expected = NOT_FOUND if state == "open" and step in of_new else EXPIRED
        assert said(await getattr(pairing, step)()) == expected, step
    assert not has_payload(settings, pairing)


@pytest.mark.parametrize("step", ["see", "join", "reveal", "approve", "watch", "collect"])
async def test_the_first_call_that_finds_it_expired_erases_the_payload(
    step: str, pairing: Pairing, settings: Settings, clock: SetClock
) -> None:
    await pairing.until("approved")
    assert has_payload(settings, pairing)
    clock.advance(seconds=LIFE_SECONDS + 1)
    await pairing.existing.call("GET", "/auth/devices")
    pairing.new.nonce = pairing.existing.nonce
    assert said(await getattr(pairing, step)()) == EXPIRED
    assert not has_payload(settings, pairing)


async def test_an_expired_pairing_is_forgotten_after_an_hour(
    pairing: Pairing, settings: Settings, clock: SetClock
) -> None:
    clock.advance(seconds=LIFE_SECONDS + 3601)
    await pairing.existing.log_in()
    fresh = await Pairing.open(pairing.existing, pairing.new)
    assert said(await pairing.see()) == NOT_FOUND
    assert [row[0] for row in tables(settings.data_dir / "master.db")["pairing"]] == [fresh.id]


@pytest.mark.parametrize("by", ["cancel", "leave"])
@pytest.mark.parametrize("state", ["joined", "revealed", "approved"])
async def test_either_side_ends_a_pairing_and_its_payload(
    state: str, by: str, pairing: Pairing, settings: Settings
) -> None:
    await pairing.until(state)
    assert said(await getattr(pairing, by)()) == (204, None)
    for step in ("join", "reveal", "approve", "collect", "complete", "see", "watch"):
        assert said(await getattr(pairing, step)()) == CANCELLED, step
    assert said(await pairing.cancel()) == (204, None)
    assert said(await pairing.leave()) == (204, None)
    assert not has_payload(settings, pairing)


async def test_completion_erases_the_payload(pairing: Pairing, settings: Settings) -> None:
    await pairing.until("approved")
    assert has_payload(settings, pairing)
    (await pairing.complete()).raise_for_status()
    assert not has_payload(settings, pairing)


# --- limits -------------------------------------------------------------------------------------


async def test_a_payload_holds_16_kib_and_not_a_byte_more(pairing: Pairing) -> None:
    await pairing.until("revealed")
    for size in (MAX_CIPHERTEXT_BYTES + 1, MAX_CIPHERTEXT_BYTES * 2):
        answer = await pairing.approve(ciphertext=b64(bytes(size)))
        assert said(answer) == (413, "pairing_payload_too_large")
        assert answer.json()["limit"] == MAX_CIPHERTEXT_BYTES
    assert said(await pairing.approve(ciphertext=b64(bytes(80_000)))) == (413, "body_too_large")
    full = b64(os.urandom(MAX_CIPHERTEXT_BYTES))
    assert said(await pairing.approve(ciphertext=full)) == OK
    assert (await pairing.collect()).json()["ciphertext"] == full


async def test_pairings_from_before_the_clock_was_set_back_do_not_count(
    device: Device, new_device: NewDevice, clock: SetClock
) -> None:
    clock.advance(days=300)
    await device.log_in()
    for _ in range(3):
        await Pairing.open(device, new_device())
    clock.advance(days=-300)
    await device.log_in()
    answer = await device.call("POST", "/auth/pairings", {}, proof=True)
    assert answer.status_code == 201


async def test_an_account_has_three_open_pairings(
    device: Device, second: Device, new_device: NewDevice, clock: SetClock
) -> None:
    pairings = [await Pairing.open(each, new_device()) for each in (device, second, device)]
    answer = await device.call("POST", "/auth/pairings", {}, proof=True)
    assert said(answer) == (409, "too_many_pairings")
    assert answer.json()["limit"] == 3
    answer = await second.call("POST", "/auth/pairings", {}, proof=True)
    assert said(answer) == (409, "too_many_pairings")
    stranger = new_device()
    (await stranger.register()).raise_for_status()
    await Pairing.open(stranger, new_device())
    (await pairings[0].cancel()).raise_for_status()
    pairings[0] = await Pairing.open(device, new_device())
    assert (await device.call("POST", "/auth/pairings", {}, proof=True)).status_code == 409
    clock.advance(seconds=LIFE_SECONDS)
    await device.call("GET", "/auth/devices")
    await Pairing.open(device, new_device())


async def test_twenty_openings_at_once_make_three(device: Device) -> None:
    answers = await asyncio.gather(
        *(device.call("POST", "/auth/pairings", {}, proof=True) for _ in range(20))
    )
    assert sorted(answer.status_code for answer in answers) == [201] * 3 + [409] * 17


async def test_an_account_has_no_more_than_its_devices(
    running: Running, tmp_path: Path, clock: SetClock
) -> None:
    http = await running(settings_for(tmp_path, max_devices=3))
    device = Device(http, clock=clock)
    (await device.register()).raise_for_status()
    both = [await Pairing.open(device, Device(http, clock=clock)) for _ in range(3)]
    for each in both:
        await each.until("revealed")
    answers = await asyncio.gather(*(each.approve() for each in both))
    assert sorted(answer.status_code for answer in answers) == [200, 200, 409]
    refused = next(answer for answer in answers if not answer.is_success)
    assert said(refused) == (409, "too_many_devices")
    assert refused.json()["limit"] == 3
    answer = await device.call("POST", "/auth/pairings", {}, proof=True)
    assert said(answer) == (409, "too_many_devices")
    listed = (await device.call("GET", "/auth/devices")).json()["devices"]
    assert len(listed) == 3
    other = next(each["device_id"] for each in listed if not each["current"])
    await device.call("DELETE", f"/auth/devices/{other}", proof=True)
    waiting = next(e for e, a in zip(both, answers, strict=True) if not a.is_success)
    assert said(await waiting.approve()) == OK  # revoked devices do not count


# --- waiting ------------------------------------------------------------------------------------


async def waits(request: Awaitable[httpx.Response]) -> "asyncio.Task[httpx.Response]":
    """The request, once it is held by the server."""
    task = asyncio.ensure_future(request)
    for _ in range(20):
        await asyncio.sleep(0.005)
    assert not task.done()
    return task


@pytest.mark.parametrize(
    ("state", "watcher", "change", "shown"),
    [
        ("open", "see", "join", "joined"),
        ("joined", "watch", "reveal", "revealed"),
        ("revealed", "watch", "approve", "approved"),
        ("approved", "see", "complete", "completed"),
        ("joined", "watch", "cancel", None),
        ("approved", "see", "leave", None),
    ],
)
async def test_whoever_waits_hears_of_a_change_at_once(
    state: str, watcher: str, change: str, shown: str | None, pairing: Pairing
) -> None:
    await pairing.until(state)
    waiting = await waits(getattr(pairing, watcher)(wait=25))
    assert (await getattr(pairing, change)()).is_success
    answer = await asyncio.wait_for(waiting, 5)
    if shown is None:
        assert said(answer) == CANCELLED
    else:
        assert answer.json()["state"] == shown


async def test_whoever_waits_hears_of_a_conflict(pairing: Pairing, new_device: NewDevice) -> None:
    await pairing.until("joined")
    waiting = await waits(pairing.watch(wait=25))
    assert said(await pairing.join(by=new_device())) == CONFLICT
    assert (await asyncio.wait_for(waiting, 5)).json()["conflict"] is True


@pytest.mark.parametrize(
    ("state", "sight"),
    [
        ("joined", "see"),
        ("revealed", "see"),
        ("approved", "watch"),
        ("completed", "see"),
        ("completed", "watch"),
    ],
)
async def test_nobody_waits_when_the_turn_is_their_own(
    state: str, sight: str, pairing: Pairing
) -> None:
    await pairing.until(state)
    answer = await asyncio.wait_for(getattr(pairing, sight)(wait=25), 5)
    assert answer.json()["state"] == state


async def test_a_second_join_after_the_approval_ends_nothing(
    pairing: Pairing, new_device: NewDevice
) -> None:
    await pairing.until("approved")
    assert said(await pairing.join(by=new_device())) == CONFLICT
    assert said(await pairing.collect()) == OK
    assert said(await pairing.complete()) == OK


async def test_a_wait_without_change_ends_with_what_there_is(pairing: Pairing) -> None:
    answer = await asyncio.wait_for(pairing.see(wait=1), 10)
    assert answer.json()["state"] == "open"


async def test_a_pairing_that_expires_during_a_wait_is_gone_after_it(
    pairing: Pairing, clock: SetClock
) -> None:
    waiting = await waits(pairing.see(wait=1))
    clock.advance(seconds=LIFE_SECONDS)
    assert said(await asyncio.wait_for(waiting, 10)) == EXPIRED


async def test_a_revoked_device_that_waits_is_shown_nothing(
    device: Device, second: Device, new_device: NewDevice
) -> None:
    pairing = await (await Pairing.open(second, new_device())).until("open")
    waiting = await waits(pairing.see(wait=1))
    await device.call("DELETE", f"/auth/devices/{second.id}", proof=True)
    assert said(await asyncio.wait_for(waiting, 10)) == CANCELLED


async def test_the_new_device_cannot_wait_before_it_joined(pairing: Pairing) -> None:
    assert said(await asyncio.wait_for(pairing.watch(wait=25), 5)) == NOT_FOUND


async def test_a_get_with_a_token_is_never_that_of_the_new_device(pairing: Pairing) -> None:
    await pairing.until("joined")
    (await pairing.new.register()).raise_for_status()
    assert said(await pairing.see(by=pairing.new)) == NOT_FOUND
    answer = await as_joiner(pairing.new, "GET", pairing.path)
    assert said(answer) == OK
