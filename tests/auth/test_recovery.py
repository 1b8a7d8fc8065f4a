"""Coming back by a phrase: who gets in, who has to wait, and what the others are told."""

import base64
import os
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.auth.recovery import IDLE_SECONDS, Recovery, has_to_wait, opens
from app.config import Settings
from tests.conftest import NewDevice, Running, settings_for
from tests.kit.clock import SetClock
from tests.kit.device import Device
from tests.kit.identity import said, served, tables, user_file, vouched
from tests.kit.keys import b64, p256_key, rsa_key
from tests.kit.pair import paired
from tests.kit.recovery import Phrase, shown, told
from tests.kit.server import ServerProcess

OK, DONE = (200, None), (204, None)
DAY = 86400


@pytest.fixture
async def phrase(device: Device) -> Phrase:
    """The phrase of `device`'s account, without a delay."""
    made = Phrase()
    assert said(await made.put(device)) == DONE
    return made


def master(settings: Settings) -> Path:
    return settings.data_dir / "master.db"


# --- setting one --------------------------------------------------------------------------------


async def test_an_account_shows_its_phrase_and_who_set_it_to_every_device(
    device: Device, new_device: NewDevice, clock: SetClock
) -> None:
    assert await shown(device) is None
    phrase = Phrase()
    assert said(await phrase.put(device, delay_seconds=DAY)) == DONE
    second = await paired(device, new_device())
    expected = {
        "created_at": int(clock()),
        "device_id": device.id,
        "delay_seconds": DAY,
        "available_at": None,
    }
    assert await shown(device) == await shown(second) == expected


async def test_the_same_phrase_again_brings_a_newer_bundle_and_nothing_else(
    device: Device, phrase: Phrase, new_device: NewDevice, clock: SetClock
) -> None:
    before, events = await shown(device), await told(device)
    clock.advance(seconds=60)
    phrase.bundle = os.urandom(500)
    for _ in range(2):
        assert said(await phrase.put(device)) == DONE
    assert (await shown(device), await told(device)) == (before, events)
    assert base64.b64decode((await phrase.recover(new_device())).json()["bundle"]) == phrase.bundle


async def test_a_new_phrase_replaces_the_old_one_of_which_nothing_is_left(
    device: Device, phrase: Phrase, new_device: NewDevice, settings: Settings
) -> None:
    newer = Phrase()
    assert said(await newer.put(device)) == DONE
    assert said(await phrase.recover(new_device())) == (401, "recovery_failed")
    assert said(await newer.recover(new_device())) == OK
    kept = tables(master(settings))["recovery"]
    assert len(kept) == 1
    assert not {phrase.locator, phrase.bundle} & set(kept[0])


async def test_a_bundle_that_comes_late_brings_no_phrase_back(
    device: Device, phrase: Phrase, new_device: NewDevice
) -> None:
    assert said(await phrase.put(device, only_renew=True)) == DONE
    newer, replaced = Phrase(), (409, "recovery_replaced")
    assert said(await newer.put(device, only_renew=True)) == replaced
    await newer.put(device)
    assert said(await phrase.put(device, only_renew=True)) == replaced
    assert said(await newer.recover(new_device())) == OK
    await device.call("DELETE", "/auth/recovery", proof=True)
    assert said(await newer.put(device, only_renew=True)) == replaced


async def test_a_removed_phrase_opens_nothing_and_may_be_removed_again(
    device: Device, phrase: Phrase, new_device: NewDevice, settings: Settings
) -> None:
    for _ in range(2):
        assert said(await device.call("DELETE", "/auth/recovery", proof=True)) == DONE
    assert await shown(device) is None
    assert said(await phrase.recover(new_device())) == (401, "recovery_failed")
    assert not {phrase.locator, phrase.bundle} & set(tables(master(settings))["recovery"][0])
    assert said(await phrase.put(device)) == DONE, "and it may be set again"


async def test_what_was_replaced_is_not_in_the_files_of_a_server_that_ended(
    tmp_path: Path, clock: SetClock
) -> None:
    settings = settings_for(tmp_path)
    old, new = Phrase(), Phrase()
    async with served(settings, clock) as http:
        device = Device(http, clock=clock)
        await device.register()
        for each in (old, new):
            assert said(await each.put(device)) == DONE
    found = b"".join(path.read_bytes() for path in settings.data_dir.rglob("*.db*"))
    for gone in (old.locator, old.bundle, old.authenticator, new.authenticator):
        assert gone not in found
    assert new.bundle in found


async def test_a_locator_of_another_account_is_taken(
    device: Device, phrase: Phrase, new_device: NewDevice
) -> None:
    other = new_device()
    await other.register()
    taken = (409, "recovery_locator_taken")
    assert said(await Phrase(locator=phrase.locator).put(other)) == taken
    assert said(await phrase.recover(new_device())) == OK


@pytest.mark.parametrize(("method", "path"), [("PUT", ""), ("DELETE", ""), ("DELETE", "/pending")])
async def test_a_phrase_is_changed_with_a_proof_only(
    device: Device, phrase: Phrase, method: str, path: str
) -> None:
    body = phrase.kept() if method == "PUT" else None
    answer = await device.call(method, f"/auth/recovery{path}", body)
    assert said(answer) == (401, "proof_required")


@pytest.mark.parametrize(
    "wrong",
    [
        {"locator": b64(bytes(15))},
        {"authenticator_hash": b64(bytes(31))},
        {"bundle": ""},
        {"delay_seconds": -1},
        {"delay_seconds": 7 * DAY + 1},
        {"delay_seconds": True},
        {"phrase": "abandon"},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
async def test_what_does_not_fit_is_refused(device: Device, wrong: dict[str, Any]) -> None:
    assert said(await Phrase().put(device, **wrong)) == (422, "invalid")
    assert await shown(device) is None


async def test_a_bundle_holds_at_most_16_kib(device: Device) -> None:
    phrase = Phrase(bundle=os.urandom(16 * 1024))
    assert said(await phrase.put(device)) == DONE
    phrase.bundle += b"x"
    refused = await phrase.put(device)
    assert said(refused) == (413, "recovery_bundle_too_large")
    assert refused.json()["limit"] == 16 * 1024


# --- coming in ----------------------------------------------------------------------------------


@pytest.mark.parametrize("key", [p256_key(7), rsa_key(2)], ids=["P-256", "RSA-3072"])
async def test_whoever_has_the_phrase_is_a_device_of_the_account(
    device: Device, phrase: Phrase, new_device: NewDevice, key: Any
) -> None:
    await device.push(device.change())
    back = new_device(key)
    answer = await phrase.recover(back, **vouched(key, p256_key(8), back.origin))
    assert said(answer) == OK
    assert base64.b64decode(answer.json()["bundle"]) == phrase.bundle
    assert back.user_id == device.user_id
    assert back.id != device.id
    assert len((await back.pull_all()).items) == 1
    assert said(await back.push(back.change())) == OK
    assert said(await back.log_in()) == OK


async def test_a_lost_answer_is_given_again_with_the_same_ids(
    device: Device, phrase: Phrase, new_device: NewDevice
) -> None:
    back = new_device()
    first, again = [(await phrase.recover(back)).json() for _ in range(2)]
    assert (first["user_id"], first["device_id"]) == (again["user_id"], again["device_id"])
    assert first["bundle"] == again["bundle"]
    kinds = [kind for kind, *_ in await told(device)]
    assert kinds.count("recovery_used") == 1


async def test_the_same_bytes_again_are_refused(
    device: Device, phrase: Phrase, new_device: NewDevice
) -> None:
    back = new_device()
    body = await phrase.attempt(back)
    assert said(await back.call("POST", "/auth/recover", body, token=None)) == OK
    again = await back.call("POST", "/auth/recover", body, token=None)
    assert said(again) == (401, "challenge_invalid")


async def test_an_unknown_locator_and_a_wrong_authenticator_are_one_answer(
    device: Device, phrase: Phrase, new_device: NewDevice
) -> None:
    answers = [
        await phrase.recover(new_device(), **wrong)
        for wrong in ({"locator": b64(os.urandom(16))}, {"authenticator": b64(os.urandom(32))})
    ]
    assert [said(answer) for answer in answers] == [(401, "recovery_failed")] * 2
    one, other = ({**answer.json()} for answer in answers)
    assert one == other
    varies = {"x-request-id", "dpop-nonce", "date"}
    heads = [{k: v for k, v in each.headers.items() if k not in varies} for each in answers]
    assert heads[0] == heads[1]


async def test_nothing_opens_where_nobody_has_a_phrase(new_device: NewDevice) -> None:
    assert said(await Phrase().recover(new_device())) == (401, "recovery_failed")


async def test_a_signature_for_another_purpose_opens_nothing(
    device: Device, phrase: Phrase, new_device: NewDevice
) -> None:
    back = new_device()
    body = await phrase.attempt(back)
    body["signature"] = back.answer_to("echolia/register/v1", body["challenge"])
    answer = await back.call("POST", "/auth/recover", body, token=None)
    assert said(answer) == (401, "signature_invalid")


async def test_a_full_account_lets_its_owner_back_in(
    running: Running, tmp_path: Path, clock: SetClock
) -> None:
    http = await running(settings_for(tmp_path, max_devices=2))
    first, second, back = (Device(http, clock=clock) for _ in range(3))
    await first.register()
    await paired(first, second)
    phrase = Phrase()
    await phrase.put(first)
    assert said(await phrase.recover(back)) == OK
    refused = await first.call("POST", "/auth/pairings", {}, proof=True)
    assert said(refused) == (409, "too_many_devices"), "the cap holds for everybody else"


async def test_a_known_key_comes_back_with_the_wrapping_key_it_had(
    device: Device, phrase: Phrase, new_device: NewDevice
) -> None:
    def other_than_known(one: Device) -> dict[str, Any]:
        return vouched(one.key, rsa_key(9), one.origin)

    for each, code in ((device, "wrapping_key_differs"), (new_device(), "public_key_in_use")):
        await each.register(**vouched(each.key, rsa_key(8), each.origin))
        assert said(await phrase.recover(each)) == ((200, None) if each is device else (409, code))
        assert said(await phrase.recover(each, **other_than_known(each))) == (409, code)
    app: Any = device.http._transport.app  # type: ignore[attr-defined]
    told = app.openapi()["paths"]["/auth/recover"]["post"]["responses"]["409"]
    codes = told["content"]["application/problem+json"]["schema"]["allOf"][1]["properties"]["code"]
    assert {"wrapping_key_differs", "public_key_in_use"} == set(codes["enum"])


async def test_a_key_of_a_device_cannot_change_sides(
    device: Device, phrase: Phrase, new_device: NewDevice
) -> None:
    stranger, lost = new_device(), await paired(device, new_device())
    await stranger.register()
    assert said(await phrase.recover(stranger)) == (409, "public_key_in_use")
    await device.call("DELETE", f"/auth/devices/{lost.id}", proof=True)
    assert said(await phrase.recover(lost)) == (403, "device_revoked")


async def test_all_devices_revoked_but_one_that_is_lost_the_phrase_still_opens(
    device: Device, phrase: Phrase, new_device: NewDevice, clock: SetClock
) -> None:
    clock.advance(days=400)
    back = new_device()
    assert said(await phrase.recover(back)) == OK
    assert said(await back.call("DELETE", f"/auth/devices/{device.id}", proof=True)) == DONE
    assert said(await device.log_in()) == (401, "login_failed")


# --- waiting ------------------------------------------------------------------------------------


async def test_with_a_delay_the_others_are_told_before_anybody_gets_in(
    device: Device, new_device: NewDevice, clock: SetClock
) -> None:
    phrase, back = Phrase(), new_device()
    await phrase.put(device, delay_seconds=DAY)
    begun = int(clock())
    first = await phrase.recover(back)
    assert said(first) == (403, "recovery_delayed")
    assert first.json()["available_at"] == begun + DAY
    assert first.headers["Retry-After"] == str(DAY)
    assert ("recovery_started", begun, None) in await told(device)
    assert (await shown(device) or {})["available_at"] == begun + DAY

    clock.advance(seconds=DAY - 1)
    later = await phrase.recover(back)
    assert later.headers["Retry-After"] == "1"
    assert later.json()["available_at"] == begun + DAY, "asking again begins nothing anew"
    clock.advance(seconds=1)
    assert said(await phrase.recover(back)) == OK
    assert (await shown(device) or {})["available_at"] is None


async def test_the_others_can_stop_a_recovery_that_waits(
    device: Device, new_device: NewDevice, clock: SetClock
) -> None:
    phrase, thief = Phrase(), new_device()
    await phrase.put(device, delay_seconds=DAY)
    await phrase.recover(thief)
    clock.advance(seconds=DAY - 1)
    await device.log_in()
    for _ in range(2):
        assert said(await device.call("DELETE", "/auth/recovery/pending", proof=True)) == DONE
    clock.advance(seconds=1)
    assert said(await phrase.recover(thief)) == (403, "recovery_delayed"), "it begins anew"
    await device.log_in()
    await Phrase().put(device, delay_seconds=DAY)
    clock.advance(days=8)
    assert said(await phrase.recover(thief)) == (401, "recovery_failed")


async def test_a_newer_bundle_does_not_make_anybody_wait_longer(
    device: Device, new_device: NewDevice, clock: SetClock
) -> None:
    phrase, back = Phrase(), new_device()
    await phrase.put(device, delay_seconds=DAY)
    await phrase.recover(back)
    clock.advance(seconds=DAY)
    await device.log_in()
    assert said(await phrase.put(device)) == DONE
    assert said(await phrase.recover(back)) == OK


async def test_nobody_waits_for_devices_that_were_not_seen_for_180_days(
    device: Device, new_device: NewDevice, clock: SetClock
) -> None:
    phrase = Phrase()
    await phrase.put(device, delay_seconds=7 * DAY)
    clock.now += IDLE_SECONDS - DAY
    assert said(await phrase.recover(new_device())) == (403, "recovery_delayed")
    clock.now += DAY
    assert said(await phrase.recover(new_device())) == OK


def phrase_with(**fields: Any) -> Recovery:
    values: dict[str, Any] = {
        "user_id": "u",
        "locator": bytes(16),
        "authenticator_hash": bytes(32),
        "delay_seconds": DAY,
        "set_at": 0,
        "set_by": "d",
        "pending_since": None,
    }
    return Recovery(**values | fields)


@given(
    delay=st.integers(0, 7 * DAY),
    since=st.none() | st.integers(0, 10**9),
    seen=st.none() | st.integers(0, 10**9),
    now=st.integers(0, 10**9),
)
def test_a_wait_ends_when_it_was_said_to_and_never_outlasts_idleness(
    delay: int, since: int | None, seen: int | None, now: int
) -> None:
    recovery = phrase_with(delay_seconds=delay, pending_since=since)
    if not has_to_wait(recovery, seen, now):
        is_over = recovery.available_at is not None and now >= recovery.available_at
        assert delay == 0 or seen is None or now - seen >= IDLE_SECONDS or is_over
    assert not has_to_wait(recovery, None, now)
    if since is not None:
        assert not has_to_wait(recovery, seen, since + delay)


def test_nobodys_phrase_is_opened_by_nothing() -> None:
    assert not opens(None, b"", bytes(32))
    assert not opens(phrase_with(), bytes(16), bytes(32))


# --- after a crash ------------------------------------------------------------------------------


async def test_a_recovery_that_reached_only_the_master_database_is_told_after_opening(
    tmp_path: Path, clock: SetClock
) -> None:
    settings = settings_for(tmp_path)
    phrase = Phrase()
    async with served(settings, clock) as http:
        device = Device(http, clock=clock)
        await device.register()
        yesterday = user_file(settings.data_dir, device.user_id)
    before = yesterday.read_bytes()
    async with served(settings, clock) as http:
        device.http = http
        await device.log_in()
        assert said(await phrase.put(device)) == DONE
        clock.advance(seconds=5)
        assert said(await phrase.recover(Device(http, clock=clock))) == OK
        expected = await told(device)
    yesterday.write_bytes(before)
    async with served(settings, clock) as http:
        device.http = http
        await device.log_in()
        assert await told(device) == expected
        assert [kind for kind, *_ in expected] == [
            "device_added",
            "recovery_set",
            "device_added",
            "recovery_used",
        ]


async def test_a_phrase_and_a_recovery_outlive_the_kill_of_the_process(
    server: ServerProcess,
) -> None:
    phrase = Phrase()
    async with httpx.AsyncClient(base_url=server.url) as http:
        device, back = (Device(http, origin=server.url) for _ in range(2))
        await device.register()
        (await phrase.put(device)).raise_for_status()
        server.kill()
        server.start()
        (await phrase.recover(back)).raise_for_status()
        server.kill()
        server.start()
        assert said(await back.push(back.change())) == OK
        assert [kind for kind, *_ in await told(back)][-1] == "recovery_used"
