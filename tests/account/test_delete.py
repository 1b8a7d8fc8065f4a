"""A device has its account deleted: who gets in no more, and what is left."""

import asyncio
import random
from pathlib import Path
from typing import Any

import apsw
import pytest

from app import events
from app.account import service
from app.auth.deletion import account_hash
from app.auth.server_keys import ServerKeys
from app.config import Settings
from app.database import embedded
from app.database.port import Statement
from tests.conftest import SECRET, NewDevice, settings_for
from tests.kit.account import delete_account, deletion, master_rows, traces_in, traces_of
from tests.kit.clock import SetClock
from tests.kit.device import Device
from tests.kit.identity import Pairing, execute, said, served, user_file
from tests.kit.keys import b64
from tests.kit.pair import paired
from tests.kit.storage import side_file, storage

REFUSED = (401, "not_authenticated")


async def test_every_way_in_is_shut_and_nothing_names_the_account(
    device: Device, new_device: NewDevice, settings: Settings
) -> None:
    other = new_device()
    (await other.register()).raise_for_status()
    second = await paired(device, new_device())
    pairing = await (await Pairing.open(second, new_device())).until("joined")
    await device.push(*(device.change() for _ in range(20)))
    await other.push(other.change(data=b"stays"))
    traces = traces_of(device, second)
    assert traces_in(settings.data_dir, traces), "the sweep finds what is there"

    assert said(await delete_account(device)) == (204, None)

    for each in (device, second):
        assert said(await each.pull()) == REFUSED
        assert said(await each.push(each.change())) == REFUSED
        assert said(await each.call("GET", "/account")) == REFUSED
        assert said(await each.call("GET", "/auth/devices")) == REFUSED
        assert said(await each.refresh()) == (401, "refresh_invalid")
        assert said(await each.log_in()) == (401, "login_failed")
    assert said(await pairing.watch()) == (404, "not_found")
    assert traces_in(settings.data_dir, traces) == set()
    assert len((await other.pull_all()).items) == 1


async def test_of_a_deleted_account_a_keyed_hash_is_left(
    device: Device, settings: Settings
) -> None:
    user_id = device.user_id
    await delete_account(device)
    expected = account_hash(ServerKeys.of(SECRET.encode()).current, user_id)
    found = master_rows(settings.data_dir, "SELECT account_hash, user_id FROM deletion")
    assert found == [(expected, None)]
    unfinished = "SELECT COUNT(*) FROM deletion WHERE erased_at IS NULL"
    assert master_rows(settings.data_dir, unfinished) == [(0,)]


async def test_sent_again_it_is_an_unknown_token(device: Device) -> None:
    body = await deletion(device)
    assert said(await device.call("DELETE", "/account", body, proof=True)) == (204, None)
    assert said(await device.call("DELETE", "/account", body, proof=True)) == REFUSED
    assert said(await delete_account(device)) == REFUSED


async def test_the_same_key_opens_a_new_account_afterwards(device: Device) -> None:
    await device.push(device.change())
    before = device.user_id, device.id
    await delete_account(device)
    assert (await device.register()).status_code == 201
    assert device.user_id != before[0]
    assert device.id != before[1]
    assert (await device.pull_all()).items == {}


async def test_without_a_proof_or_with_the_wrong_signature_nothing_happens(
    device: Device, new_device: NewDevice
) -> None:
    stranger = new_device()
    (await stranger.register()).raise_for_status()
    login = {"key_thumbprint": device.key.thumbprint_text}
    challenge = (await device.call("POST", "/auth/challenge", login, token=None)).json()
    for_login = {
        "challenge": challenge["challenge"],
        "signature": device.answer_to("echolia/delete-account/v1", challenge["challenge"]),
    }
    body = await deletion(device)
    as_login = body | {"signature": device.answer_to("echolia/login/v1", body["challenge"])}
    by_stranger = body | {
        "signature": stranger.answer_to("echolia/delete-account/v1", body["challenge"])
    }

    async def send(body: dict[str, Any], *, proof: bool = True) -> tuple[int, str | None]:
        return said(await device.call("DELETE", "/account", body, proof=proof))

    assert await send(body, proof=False) == (401, "proof_required")
    assert await send(for_login) == (401, "challenge_invalid")
    assert await send(as_login) == (401, "signature_invalid")
    assert await send(by_stranger) == (401, "signature_invalid")
    assert await send(body | {"user_id": device.user_id}) == (422, "invalid")
    assert said(await device.pull()) == (200, None)
    assert await send(body) == (204, None)


async def test_a_challenge_deletes_once_and_only_in_time(device: Device, clock: SetClock) -> None:
    body = await deletion(device)
    clock.advance(seconds=121)
    answer = await device.call("DELETE", "/account", body, proof=True)
    assert said(answer) == (401, "challenge_invalid")


async def test_a_revoked_device_deletes_nothing(
    device: Device, new_device: NewDevice, settings: Settings
) -> None:
    second = await paired(device, new_device())
    # The moment between the two commits of a revocation: the master database has it already.
    execute(
        settings.data_dir / "master.db",
        "UPDATE device SET status = 'revoked' WHERE device_id = ?",
        second.id,
    )
    assert said(await delete_account(second)) == REFUSED
    assert said(await device.pull()) == (200, None)


async def test_who_waits_for_news_hears_at_once_that_it_is_over(
    device: Device, new_device: NewDevice
) -> None:
    second = await paired(device, new_device())
    cursor = (await second.pull()).json()["cursor"]
    waiting = asyncio.create_task(second.pull(cursor, wait=25))
    for _ in range(5):
        await device.call("GET", "/sync/status")
    assert not waiting.done()
    assert said(await delete_account(device)) == (204, None)
    assert said(await asyncio.wait_for(waiting, 5)) == REFUSED


async def test_ten_deletions_at_once_leave_the_others_alone(
    new_device: NewDevice, settings: Settings
) -> None:
    devices = [new_device() for _ in range(13)]
    for each in devices:
        (await each.register()).raise_for_status()
        await each.push(each.change())
    ending, staying = devices[:10], devices[10:]
    traces = traces_of(*ending)
    answers = await asyncio.gather(*(delete_account(each) for each in ending))
    assert {said(answer) for answer in answers} == {(204, None)}
    assert traces_in(settings.data_dir, traces) == set()
    for each in staying:
        assert len((await each.pull_all()).items) == 1


async def test_nobody_gets_in_while_another_deletion_holds_up_this_one(
    device: Device, new_device: NewDevice
) -> None:
    app: Any = device.http._transport.app  # type: ignore[attr-defined]
    other = new_device()
    (await other.register()).raise_for_status()
    second = await paired(device, new_device())
    reached, may_go_on = asyncio.Event(), asyncio.Event()
    real = app.state.account._forget_erased

    async def slowly() -> None:
        reached.set()
        await may_go_on.wait()
        await real()

    app.state.account._forget_erased = slowly
    first = asyncio.create_task(delete_account(other))
    await reached.wait()
    waiting = asyncio.create_task(delete_account(device))
    while said(await second.log_in()) != (401, "login_failed"):
        pass
    assert said(await second.push(second.change())) == REFUSED
    assert said(await second.pull()) == REFUSED
    assert not waiting.done()
    may_go_on.set()
    assert {said(await each) for each in (first, waiting)} == {(204, None)}


async def test_pushes_that_a_deletion_crosses_do_not_bring_the_file_back(
    device: Device, settings: Settings
) -> None:
    pushes = [asyncio.create_task(device.push(device.change())) for _ in range(20)]
    deleted = asyncio.create_task(delete_account(device))
    answers = [said(answer) for answer in await asyncio.gather(*pushes)]
    assert said(await deleted) == (204, None)
    assert set(answers) <= {(200, None), REFUSED, (503, "storage_blocked")}
    assert list(settings.data_dir.glob("users/*/*")) == []


async def test_a_file_that_somebody_puts_back_opens_for_nobody(
    tmp_path: Path, clock: SetClock
) -> None:
    settings = settings_for(tmp_path)
    async with served(settings, clock) as http:
        device = Device(http, clock=clock)
        (await device.register()).raise_for_status()
        await device.push(device.change())
    file = user_file(settings.data_dir, device.user_id)
    backup = file.read_bytes()
    async with served(settings, clock) as http:
        device.http = http
        await delete_account(device)
    file.write_bytes(backup)
    for secrets in ({}, {"jwt_secret": "another" * 7, "jwt_secret_previous": (SECRET,)}):
        async with served(settings_for(tmp_path, **secrets), clock) as http:
            device.http = http
            assert said(await device.pull()) == REFUSED
            assert said(await device.refresh()) == (401, "refresh_invalid")
            assert said(await device.log_in()) == (401, "login_failed")
    assert master_rows(settings.data_dir, "SELECT * FROM account") == []


async def test_a_backup_that_reads_the_master_puts_off_the_last_step_only(
    device: Device, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[str] = []
    monkeypatch.setattr(events, "erasure_waits", lambda *, deletions, error: waits.append(error))
    reader = apsw.Connection(str(settings.data_dir / "master.db"))
    reader.execute("BEGIN")
    reader.execute("SELECT COUNT(*) FROM account").fetchall()
    try:
        assert said(await delete_account(device)) == (204, None)
    finally:
        reader.close()
    assert waits == ["Busy"]
    assert said(await device.log_in()) == (401, "login_failed")
    unfinished = "SELECT COUNT(*) FROM deletion WHERE erased_at IS NULL"
    assert master_rows(settings.data_dir, unfinished) == [(1,)]


async def test_strangers_cannot_have_a_large_master_rewritten_all_the_time(
    device: Device, new_device: NewDevice, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody logs in meanwhile, so the last step of most deletions is done by one of them."""
    app: Any = device.http._transport.app  # type: ignore[attr-defined]
    now, rewritten = SetClock(1000.0), 0
    real = app.state.account._forget_erased

    async def slowly() -> None:
        nonlocal rewritten
        rewritten += 1
        now.advance(seconds=3)
        await real()

    monkeypatch.setattr(service, "monotonic", now)
    app.state.account._forget_erased = slowly
    strangers = [new_device() for _ in range(5)]
    for each in strangers:
        (await each.register()).raise_for_status()
        assert said(await delete_account(each)) == (204, None)
        assert said(await each.log_in()) == (401, "login_failed")
    assert rewritten == 1
    now.advance(seconds=60)
    assert said(await delete_account(device)) == (204, None)
    assert rewritten == 2
    assert traces_in(settings.data_dir, traces_of(device, *strangers)) == set()


async def test_rows_that_sqlite_moved_about_leave_no_copy_either(tmp_path: Path) -> None:
    """`secure_delete` alone leaves about one in a thousand; a rewritten file leaves none."""
    draw = random.Random(3)
    gone: list[str] = []
    live: list[str] = []
    async with storage(tmp_path) as kept:
        for _ in range(40):
            statements = []
            for _ in range(60):
                if live and draw.random() < 0.4:
                    ended = live.pop(draw.randrange(len(live)))
                    gone.append(ended)
                    statements.append(Statement("DELETE FROM account WHERE user_id = ?", (ended,)))
                    continue
                live.append(b64(draw.randbytes(27)))
                statements.append(
                    Statement("INSERT INTO account VALUES (?, 'active', 1, NULL)", (live[-1],))
                )
            await kept.master.write(statements)
        await kept.databases.forget_erased()
        files = {side: side_file(tmp_path / "master.db", side) or b"" for side in ("", "-wal")}
        for data in files.values():
            assert [each for each in gone if each.encode() in data] == []
        assert all(each.encode() in files[""] for each in live)


async def test_a_file_that_will_not_go_holds_up_nobody_else_and_lets_nobody_in(
    device: Device, new_device: NewDevice, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = new_device()
    (await other.register()).raise_for_status()
    real, stuck = embedded._unlink_one, user_file(settings.data_dir, device.user_id)

    def refuse(path: Path) -> None:
        if path == stuck:
            raise PermissionError
        real(path)

    with monkeypatch.context() as patch:
        patch.setattr(embedded, "_unlink_one", refuse)
        assert said(await delete_account(device)) == (503, "storage_unavailable")
        assert said(await device.log_in()) == (401, "login_failed")
        assert (await device.pull()).status_code in (401, 503)
        assert said(await delete_account(other)) == (204, None)
        assert traces_in(settings.data_dir, traces_of(other)) == set()
    third = new_device()
    (await third.register()).raise_for_status()
    assert said(await delete_account(third)) == (204, None)
    assert list(settings.data_dir.glob("users/*/*")) == []
