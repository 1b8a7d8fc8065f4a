"""Who gets in by registering and by logging in, and who does not."""

import asyncio
import base64
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.auth.challenge import LIFE_SECONDS
from app.config import Settings
from app.database.embedded import EmbeddedDatabases
from app.database.port import Unavailable
from tests.conftest import SECRET, NewDevice, Running, settings_for
from tests.kit.clock import SetClock
from tests.kit.device import Device
from tests.kit.identity import execute, said, served, tables, user_file, vouched
from tests.kit.keys import DeviceKey, b64, new_key, p256_key, rsa_key
from tests.kit.pair import paired

IDS = ("user_id", "device_id")


def ids(answer: httpx.Response) -> tuple[str, ...]:
    return tuple(answer.json()[name] for name in IDS)


def master(settings: Settings) -> Path:
    return settings.data_dir / "master.db"


async def register_challenge(device: Device) -> str:
    answer = await device.call("POST", "/auth/register/challenge", {}, token=None)
    return str(answer.json()["challenge"])


async def login_body(device: Device, **fields: Any) -> dict[str, Any]:
    asked = {"key_thumbprint": device.key.thumbprint_text}
    answer = (await device.call("POST", "/auth/challenge", asked, token=None)).json()
    signature = device.answer_to("echolia/login/v1", answer["challenge"])
    return asked | {"challenge": answer["challenge"], "signature": signature} | fields


async def log_in(device: Device, body: dict[str, Any]) -> httpx.Response:
    return await device.call("POST", "/auth/login", body, token=None)


# --- register -----------------------------------------------------------------------------------


@pytest.mark.parametrize("key", [p256_key(), rsa_key()], ids=["P-256", "RSA-3072"])
async def test_a_key_opens_an_account_and_comes_back_to_it(
    key: DeviceKey, new_device: NewDevice
) -> None:
    device = new_device(key)
    first = await device.register()
    again = await device.register()
    assert (first.status_code, again.status_code) == (201, 200)
    assert ids(first) == ids(again)
    assert first.json()["refresh_token"] != again.json()["refresh_token"]
    assert set(first.json()) == {
        *IDS,
        "access_token",
        "refresh_token",
        "token_type",
        "expires_in",
        "refresh_expires_in",
        "server_time",
    }


async def test_the_same_bytes_sent_twice_change_nothing_the_second_time(
    new_device: NewDevice, settings: Settings
) -> None:
    device = new_device()
    body = await device.registration()
    first = await device.call("POST", "/auth/register", body, token=None)
    assert first.status_code == 201
    user = user_file(settings.data_dir, first.json()["user_id"])
    before = tables(master(settings)), tables(user)
    again = await device.call("POST", "/auth/register", body, token=None)
    assert said(again) == (401, "challenge_invalid")
    assert (tables(master(settings)), tables(user)) == before


async def test_thirty_registrations_of_one_key_at_once_make_one_account(
    new_device: NewDevice, settings: Settings
) -> None:
    device = new_device()
    bodies = [await device.registration() for _ in range(30)]
    answers = await asyncio.gather(
        *(device.call("POST", "/auth/register", body, token=None) for body in bodies)
    )
    assert sorted(answer.status_code for answer in answers) == [200] * 29 + [201]
    assert len({ids(answer) for answer in answers}) == 1
    stored = tables(master(settings))
    assert (len(stored["account"]), len(stored["device"])) == (1, 1)
    assert len(list(settings.data_dir.rglob("user_*.db"))) == 1


async def test_of_twenty_that_race_with_one_challenge_one_gets_in(
    new_device: NewDevice, settings: Settings
) -> None:
    devices = [new_device() for _ in range(20)]
    challenge = await register_challenge(devices[0])
    answers = await asyncio.gather(
        *(
            each.register(
                challenge=challenge, signature=each.answer_to("echolia/register/v1", challenge)
            )
            for each in devices
        )
    )
    refused = [answer for answer in answers if answer.status_code != 201]
    assert len(refused) == 19
    assert {said(answer) for answer in refused} == {(401, "challenge_invalid")}
    assert len(tables(master(settings))["device"]) == 1


async def test_a_refused_registration_does_not_spend_its_challenge(new_device: NewDevice) -> None:
    device = new_device()
    body = await device.registration()
    wrong = body | {"signature": b64(bytes(64))}
    refused = await device.call("POST", "/auth/register", wrong, token=None)
    assert said(refused) == (401, "signature_invalid")
    assert (await device.call("POST", "/auth/register", body, token=None)).status_code == 201


async def test_a_challenge_of_another_purpose_is_refused(
    device: Device, new_device: NewDevice
) -> None:
    new = new_device()
    for purpose in ("login", "delete_account"):
        asked = {"key_thumbprint": new.key.thumbprint_text, "purpose": purpose}
        challenge = (await new.call("POST", "/auth/challenge", asked, token=None)).json()
        signature = new.answer_to("echolia/register/v1", challenge["challenge"])
        answer = await new.register(challenge=challenge["challenge"], signature=signature)
        assert said(answer) == (401, "challenge_invalid")
    challenge = await register_challenge(device)
    signature = device.answer_to("echolia/login/v1", challenge)
    body = await login_body(device, challenge=challenge, signature=signature)
    assert said(await log_in(device, body)) == (401, "login_failed")


async def test_a_signature_of_another_purpose_is_refused(device: Device) -> None:
    body = await login_body(device)
    for label in ("echolia/register/v1", "echolia/recover/v1", "echolia/delete-account/v1"):
        wrong = body | {"signature": device.answer_to(label, body["challenge"])}
        assert said(await log_in(device, wrong)) == (401, "login_failed")
    challenge = await register_challenge(device)
    signature = device.answer_to("echolia/login/v1", challenge)
    answer = await device.register(challenge=challenge, signature=signature)
    assert said(answer) == (401, "signature_invalid")


async def test_a_challenge_lives_120_seconds(new_device: NewDevice, clock: SetClock) -> None:
    early, late = new_device(), new_device()
    clock.now = int(clock.now)
    in_time, too_late = await early.registration(), await late.registration()
    clock.advance(seconds=LIFE_SECONDS - 1)
    assert (await early.call("POST", "/auth/register", in_time, token=None)).status_code == 201
    clock.advance(seconds=1)
    answer = await late.call("POST", "/auth/register", too_late, token=None)
    assert said(answer) == (401, "challenge_invalid")


async def test_a_spent_challenge_stays_spent_until_it_has_expired(
    device: Device, new_device: NewDevice, clock: SetClock
) -> None:
    body = await login_body(device)
    assert (await log_in(device, body)).status_code == 200
    for _ in range(6):
        clock.advance(seconds=25)
        (await new_device().register()).raise_for_status()  # forgets those that have expired
        assert said(await log_in(device, body)) == (401, "login_failed")


async def test_a_challenge_with_any_byte_changed_is_refused(new_device: NewDevice) -> None:
    device = new_device()
    challenge = base64.b64decode(await register_challenge(device))
    forged = [
        challenge[:at] + bytes([challenge[at] ^ 1]) + challenge[at + 1 :]
        for at in range(len(challenge))
    ]
    for wrong in (*forged, b"", challenge[:-1], challenge + b"\0", bytes(len(challenge))):
        signature = device.answer_to("echolia/register/v1", b64(wrong))
        answer = await device.register(challenge=b64(wrong), signature=signature)
        assert said(answer) == (401, "challenge_invalid")


async def test_a_challenge_of_another_secret_is_refused_and_of_an_earlier_one_taken(
    tmp_path: Path, clock: SetClock
) -> None:
    async with served(settings_for(tmp_path), clock) as http:
        device = Device(http, clock=clock)
        body = await device.registration()
    other = "quite another secret, of forty-two characters"
    async with served(settings_for(tmp_path, jwt_secret=other), clock) as http:
        answer = await http.post("/auth/register", json=body)
        assert said(answer) == (401, "challenge_invalid")
    rotated = settings_for(tmp_path, jwt_secret=other, jwt_secret_previous=SECRET)
    async with served(rotated, clock) as http:
        assert (await http.post("/auth/register", json=body)).status_code == 201


async def test_a_signature_for_another_origin_is_refused_saying_so(new_device: NewDevice) -> None:
    for origin in (
        "https://localhost:8000",
        "http://localhost:8001",
        "http://localhost:8000/",
        "http://LOCALHOST:8000",
        "http://localhost",
        "https://evil.example",
        "",
    ):
        device = new_device()
        device.origin = origin
        answer = await device.register()
        assert said(answer) == (401, "signature_invalid"), origin
        assert "PUBLIC_ORIGIN" in answer.json()["detail"]


LOOPBACK = ("http://localhost:8123", "http://127.0.0.1:8123", "http://[::1]:8123")


async def test_development_takes_the_loopback_spellings_with_the_port_listened_on(
    tmp_path: Path, clock: SetClock
) -> None:
    settings = settings_for(tmp_path, public_origin="https://sync.example")
    async with served(settings, clock, url="http://localhost:8123") as http:
        for origin in ("https://sync.example", *LOOPBACK):
            device = Device(http, origin=origin, clock=clock)
            assert (await device.register()).status_code == 201, origin
            assert (await device.log_in()).status_code == 200, origin
            opened = await device.call("POST", "/auth/pairings", {}, proof=True)
            assert opened.status_code == 201, origin
        for origin in ("http://localhost:8000", "https://localhost:8123", "http://127.0.0.2:8123"):
            answer = await Device(http, origin=origin, clock=clock).register()
            assert said(answer) == (401, "signature_invalid"), origin


async def test_production_takes_its_public_origin_alone(tmp_path: Path, clock: SetClock) -> None:
    settings = settings_for(
        tmp_path, public_origin="https://sync.example", environment="production", rate_limits="on"
    )
    async with served(settings, clock, url="http://localhost:8123") as http:
        for origin in LOOPBACK:
            answer = await Device(http, origin=origin, clock=clock).register()
            assert said(answer) == (401, "signature_invalid"), origin
        device = Device(http, origin="https://sync.example", clock=clock)
        assert (await device.register()).status_code == 201
        token = device.session["access_token"]
        for origin in LOOPBACK:
            proof = device.proof("POST", "/auth/pairings", token, htu=f"{origin}/auth/pairings")
            headers = {"Authorization": f"Bearer {token}", "DPoP": proof}
            answer = await http.post("/auth/pairings", json={}, headers=headers)
            assert said(answer) == (401, "proof_invalid"), origin


async def test_the_key_of_a_revoked_device_is_refused_as_such(
    device: Device, new_device: NewDevice
) -> None:
    second = await paired(device, new_device())
    path = f"/auth/devices/{second.id}"
    assert (await device.call("DELETE", path, proof=True)).status_code == 204
    assert said(await second.register()) == (403, "device_revoked")
    body = await second.registration(signature=b64(bytes(64)))
    answer = await second.call("POST", "/auth/register", body, token=None)
    assert said(answer) == (401, "signature_invalid")  # only its holder hears that it is revoked


async def test_a_paired_key_registers_into_its_account(
    device: Device, new_device: NewDevice
) -> None:
    second = await paired(device, new_device())
    known = (second.user_id, second.id)
    answer = await second.register()
    assert answer.status_code == 200
    assert ids(answer) == known
    assert known[0] == device.user_id


async def test_a_wrapping_key_must_be_vouched_for_by_the_signing_key(
    new_device: NewDevice, settings: Settings
) -> None:
    device = new_device()
    wrapping = new_key()
    good = vouched(device.key, wrapping, device.origin)
    for wrong in (
        vouched(new_key(), wrapping, device.origin),
        vouched(device.key, wrapping, "https://evil.example"),
        good | {"wrapping_key": new_key().pem},
        good | {"wrapping_key_signature": b64(bytes(64))},
        {"wrapping_key": good["wrapping_key"]},
        {"wrapping_key_signature": good["wrapping_key_signature"]},
    ):
        answer = await device.register(**wrong)
        assert said(answer) == (422, "wrapping_key_signature_invalid")
    assert tables(master(settings))["device"] == []
    assert (await device.register(**good)).status_code == 201


async def test_a_wrapping_key_is_added_later_once_and_never_changed(new_device: NewDevice) -> None:
    device = new_device()
    (await device.register()).raise_for_status()
    first = vouched(device.key, new_key(), device.origin)
    other = vouched(device.key, new_key(), device.origin)
    assert (await device.register(**first)).status_code == 200
    assert said(await device.register(**other)) == (409, "wrapping_key_differs")
    assert (await device.register(**first)).status_code == 200
    assert (await device.register()).status_code == 200
    listed = (await device.call("GET", "/auth/devices")).json()["devices"]
    assert [each["wrapping_key"] for each in listed] == [first["wrapping_key"]]
    signatures = [each["wrapping_key_signature"] for each in listed]
    assert signatures == [first["wrapping_key_signature"]]


async def test_two_wrapping_keys_at_once_leave_one(new_device: NewDevice) -> None:
    device = new_device()
    (await device.register()).raise_for_status()
    offers = [vouched(device.key, new_key(), device.origin) for _ in range(6)]
    answers = await asyncio.gather(*(device.register(**offer) for offer in offers))
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 5
    taken = next(o for o, a in zip(offers, answers, strict=True) if a.status_code == 200)
    listed = (await device.call("GET", "/auth/devices")).json()["devices"]
    assert listed[0]["wrapping_key"] == taken["wrapping_key"]


async def test_a_closed_server_lets_known_keys_in_and_new_ones_not(
    tmp_path: Path, clock: SetClock
) -> None:
    key = new_key()
    async with served(settings_for(tmp_path), clock) as http:
        first = await Device(http, key, clock=clock).register()
    async with served(settings_for(tmp_path, registration_open=False), clock) as http:
        before = tables(tmp_path / "data" / "master.db")
        assert said(await Device(http, clock=clock).register()) == (403, "registration_closed")
        assert tables(tmp_path / "data" / "master.db") == before
        known = Device(http, key, clock=clock)
        again = await known.register()
        assert (again.status_code, ids(again)) == (200, ids(first))
        assert (await known.log_in()).status_code == 200
        second = await paired(known, Device(http, clock=clock))
        assert second.user_id == known.user_id


async def test_name_and_platform_follow_the_device_on_its_return(new_device: NewDevice) -> None:
    device = new_device()
    (await device.register(device_name="one", platform="linux")).raise_for_status()
    changed = {"device_name": "two\x00", "platform": "web", "device_type": "mobile"}
    (await device.register(**changed)).raise_for_status()
    listed = (await device.call("GET", "/auth/devices")).json()["devices"]
    assert [{name: each[name] for name in changed} for each in listed] == [changed]
    (await device.register()).raise_for_status()
    listed = (await device.call("GET", "/auth/devices")).json()["devices"]
    assert listed[0]["device_name"] is None


@pytest.mark.parametrize("letter", ["x", "é", "\N{PERSONAL COMPUTER}", "\x00"])
async def test_a_device_name_has_up_to_512_characters(letter: str, new_device: NewDevice) -> None:
    device = new_device()
    assert said(await device.register(device_name=letter * 513)) == (422, "invalid")
    assert (await device.register(device_name=letter * 512)).status_code == 201
    listed = (await device.call("GET", "/auth/devices")).json()["devices"]
    assert listed[0]["device_name"] == letter * 512


# --- cut off ------------------------------------------------------------------------------------


async def test_a_registration_whose_database_could_not_be_made_is_finished_by_the_next(
    new_device: NewDevice, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = new_device()
    create = EmbeddedDatabases.create

    async def fail(*_: object) -> None:
        raise Unavailable

    monkeypatch.setattr(EmbeddedDatabases, "create", fail)
    assert said(await device.register()) == (503, "storage_unavailable")
    assert said(await device.log_in()) == (503, "storage_unavailable")
    monkeypatch.setattr(EmbeddedDatabases, "create", create)
    assert (await device.register()).status_code == 200
    assert [row[1] for row in tables(master(settings))["account"]] == ["active"]
    assert (await device.call("GET", "/auth/devices")).is_success


@pytest.mark.parametrize("how", ["register", "log_in"])
async def test_a_server_that_died_between_both_databases_heals_the_account(
    how: str, tmp_path: Path, clock: SetClock
) -> None:
    settings = settings_for(tmp_path)
    key = new_key()
    async with served(settings, clock) as http:
        first = await Device(http, key, clock=clock).register()
    # The disk as it is when the process is killed after the commit to the master database.
    user_file(settings.data_dir, first.json()["user_id"]).unlink()
    execute(master(settings), "UPDATE account SET state = 'creating'")
    async with served(settings, clock) as http:
        device = Device(http, key, clock=clock)
        answer = await (device.register() if how == "register" else device.log_in())
        assert (answer.status_code, ids(answer)) == (200, ids(first))
        assert (await device.call("GET", "/auth/devices")).is_success
        assert (await device.refresh()).status_code == 200
    assert [row[1] for row in tables(master(settings))["account"]] == ["active"]


# --- log in -------------------------------------------------------------------------------------


async def test_every_login_that_fails_gets_one_and_the_same_answer(
    device: Device, new_device: NewDevice, clock: SetClock
) -> None:
    revoked = await paired(device, new_device())
    await device.call("DELETE", f"/auth/devices/{revoked.id}", proof=True)
    spent = await login_body(device)
    (await log_in(device, spent)).raise_for_status()
    expired = await login_body(device)
    clock.advance(seconds=LIFE_SECONDS)
    stranger = new_device()
    answers = [
        await log_in(device, await login_body(device, signature=b64(bytes(64)))),
        await log_in(device, await login_body(device, signature="")),
        await log_in(device, await login_body(device, challenge=b64(bytes(72)))),
        await log_in(device, await login_body(device, challenge="")),
        await log_in(device, expired),
        await log_in(device, spent),
        await log_in(stranger, await login_body(stranger)),
        await log_in(revoked, await login_body(revoked)),
        await log_in(device, await login_body(device, key_thumbprint=stranger.key.thumbprint_text)),
    ]
    varying = {"x-request-id", "dpop-nonce", "date"}
    seen = {
        (
            answer.status_code,
            answer.content,
            tuple((name, value) for name, value in answer.headers.items() if name not in varying),
        )
        for answer in answers
    }
    assert len(seen) == 1
    assert said(answers[0]) == (401, "login_failed")


async def test_a_challenge_says_nothing_of_whether_the_key_is_known(
    device: Device, new_device: NewDevice
) -> None:
    shapes = set()
    for asker in (device, new_device()):
        body = {"key_thumbprint": asker.key.thumbprint_text}
        answer = await asker.call("POST", "/auth/challenge", body, token=None)
        fields = answer.json()
        shapes.add((answer.status_code, len(fields.pop("challenge")), str(fields)))
    assert len(shapes) == 1


async def test_a_spent_challenge_of_a_login_is_worth_nothing_to_anybody(
    device: Device, settings: Settings
) -> None:
    body = await login_body(device)
    answers = await asyncio.gather(*(log_in(device, body) for _ in range(20)))
    assert sorted(answer.status_code for answer in answers) == [200] + [401] * 19
    assert {said(answer)[1] for answer in answers} == {None, "login_failed"}


async def test_a_device_idle_for_400_days_logs_in(device: Device, clock: SetClock) -> None:
    clock.advance(days=400)
    assert (await device.call("GET", "/auth/devices")).status_code == 401
    assert said(await device.refresh()) == (401, "refresh_invalid")
    assert (await device.log_in()).status_code == 200
    assert (await device.call("GET", "/auth/devices")).is_success


@pytest.mark.parametrize("years", [-50, -10, 10])
async def test_the_clock_of_a_device_does_not_matter(
    years: int, http: httpx.AsyncClient, clock: SetClock
) -> None:
    device = Device(http, clock=lambda: clock() + years * 365 * 86400)
    assert (await device.register()).status_code == 201
    assert (await device.log_in()).status_code == 200
    assert (await device.refresh()).status_code == 200
    assert (await device.call("POST", "/auth/pairings", {}, proof=True)).status_code == 201
    device.nonce = None
    asked = await device.refresh()
    assert said(asked) == (401, "use_dpop_nonce")
    assert (await device.refresh()).status_code == 200


async def test_a_device_holds_five_sessions_and_the_oldest_ends_first(
    device: Device, running: Running
) -> None:
    sessions = [device.session]
    for _ in range(5):
        (await device.log_in()).raise_for_status()
        sessions.append(device.session)
    alive = [
        (await device.call("GET", "/auth/devices", token=each["access_token"])).is_success
        for each in sessions
    ]
    assert alive == [False, True, True, True, True, True]
    device.session = sessions[0]
    assert said(await device.refresh()) == (401, "refresh_invalid")
