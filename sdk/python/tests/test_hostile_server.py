"""What a server may try, and what comes of it: nothing read, nothing lost, no hang."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from echolia import AnswerInvalid, CannotOpen, MassDelete, Refused, Session
from echolia import _bounds as bounds
from echolia._answers import Answer
from echolia._auth import DeviceAuth
from echolia._calls import Call
from echolia._canonical import new_id
from echolia._clocks import VectorClock
from echolia._driver import Driver
from echolia._keyring import Keyring
from echolia._keys import RsaKey
from echolia._limits import Limits
from echolia._payload import decode
from echolia._report import SyncReport
from echolia._sealing import ItemContext, seal
from echolia._versions import ItemKey

from .conftest import ORIGIN, Desk, Desks
from .fake_server import FakeServer, Row

PATIENCE = 60


class Impatient(FakeServer):
    """Ends a test that would never end."""

    calls = 0

    def handle(self, device_id: str, call: Call) -> Answer:
        self.calls += 1
        assert self.calls < PATIENCE, "the client asks for ever"
        return super().handle(device_id, call)


@pytest.mark.parametrize("code", ["reset_not_needed", "mass_delete", "unheard_of"])
@pytest.mark.parametrize("status", [409, 413, 422])
def test_a_refusal_that_fits_nothing_ends_the_sync_and_keeps_the_edit(
    desks: Desks, code: str, status: int
) -> None:
    class Refusing(Impatient):
        def push(self, device_id: str, body: Row) -> Row:
            kind = MassDelete if code == "mass_delete" else Refused
            raise kind(status, code, extras={"deletes": 0, "live": 0})

    desks.server = Refusing()
    ana = desks.add()
    ana.entries.add("kept")
    with suppress(Refused):
        assert ana.sync().held_back
    assert (ana.texts(), ana.store.count_queued()) == (["kept"], 1)


def test_a_server_that_always_wants_to_begin_anew_is_left(desks: Desks) -> None:
    class Forgetful(Impatient):
        def pull(self, params: Row) -> Row:
            if "cursor" in params:
                raise Refused(409, "reset_required", extras={"reason": "epoch_changed"})
            return {**super().pull(params), "has_more": True}

    desks.server = Forgetful()
    ana = desks.add()
    ana.entries.add("kept")
    with pytest.raises(Refused):
        ana.sync()
    assert ana.texts() == ["kept"]


@pytest.mark.parametrize("number", [-1, 0, 2**31, 10**30])
def test_limits_of_any_size_can_be_worked_with(number: int) -> None:
    names = ("max_push_changes", "max_push_bytes", "max_item_bytes", "max_pull_limit")
    limits = Limits.read(Answer(dict.fromkeys(names, number)))
    assert 1 <= limits.max_push_changes < 2**31


def test_a_server_that_takes_less_than_before_is_asked_for_less(desks: Desks) -> None:
    class Modest(Impatient):
        def handle(self, device_id: str, call: Call) -> Answer:
            if call.path == "/sync/status":
                return Answer({"limits": {"max_pull_limit": self.page}})
            return super().handle(device_id, call)

        def pull(self, params: Row) -> Row:
            if params["limit"] > self.page:
                raise Refused(422, "invalid")
            return super().pull(params)

    desks.server = Modest(page=200)
    ana, ben = desks.add(), desks.add()
    ana.entries.add("one")
    desks.settle()
    desks.server.page = 100
    ana.entries.add("two")
    desks.settle()
    assert ben.texts() == ["one", "two"]


@pytest.mark.parametrize("count", [2**53 - 1, 2**52])
def test_a_counter_that_was_made_up_leaves_room_for_the_next_edit(desks: Desks, count: int) -> None:
    ana = desks.add()
    entry = ana.entries.add("mine")
    ana.sync()
    row = forged_row(ana.device_id, {ana.device_id: count}, os.urandom(400))
    desks.server.items[("entries", entry.id)].append(row)
    desks.server.log.append(("entries", entry.id))
    assert ana.sync().unopenable == 1
    ana.entries.edit(entry.id, "mine, still")
    assert ana.texts() == ["mine, still"]


def test_a_version_set_aside_goes_when_a_later_one_opens(desks: Desks) -> None:
    ana, ben = desks.add(), desks.add()
    entry = ana.entries.add("one")
    desks.settle()
    ana.entries.edit(entry.id, "two")
    ana.sync()
    (row,) = desks.server.items[("entries", entry.id)]
    honest = row["encrypted_data"]
    row["encrypted_data"] = os.urandom(400)
    assert ben.sync().unopenable == 1
    row["encrypted_data"] = honest
    ana.entries.edit(entry.id, "three")
    ana.sync()
    assert ben.sync().complete
    assert ben.texts() == ["three"]


def test_an_expiry_right_after_a_visit_takes_nothing_away(desks: Desks) -> None:
    """A server keeps deletions for 90 days; a device here yesterday cannot have missed any."""
    ana = desks.add()
    ana.entries.add("kept")
    ana.sync()
    report = sync_after_expiry(ana, desks.server)
    assert (report.dropped, ana.texts()) == (0, ["kept"])
    assert len(desks.server.items) == 1


def sync_after_expiry(desk: Desk, server: FakeServer) -> SyncReport:
    """The server has nothing, and calls every older cursor expired."""
    server.items.clear()
    server.log.clear()
    position = server._position

    def expired(cursor: str | None) -> int:
        if cursor == "1.1":
            raise Refused(409, "reset_required", extras={"reason": "cursor_expired"})
        return position(cursor)

    server._position = expired  # type: ignore[method-assign]
    return desk.sync()


def forged_row(device_id: str, clock: dict[str, int], envelope: bytes) -> Row:
    return {
        "device_id": device_id,
        "vector_clock": clock,
        "key_epoch": 1,
        "is_deleted": False,
        "encrypted_data": envelope,
    }


# -- plaintexts of another device, which may be broken or worse


@pytest.mark.parametrize(
    "member",
    ['"x":NaN', '"x":-Infinity', '"x":1e999', '"text":"\\ud800"', '"x":' + "[" * 5000 + "]" * 5000],
)
def test_a_payload_that_could_not_be_written_again_does_not_open(member: str) -> None:
    with pytest.raises(CannotOpen):
        decode("entries", f'{{"v":1,"kind":"entry",{member}}}'.encode())


def test_an_escaped_pair_of_surrogates_is_one_character() -> None:
    data = b'{"v":1,"kind":"entry","text":"\\ud83d\\ude00"}'
    assert decode("entries", data)["text"] == "\U0001f600"


@pytest.mark.parametrize("moment", [10**400, -(10**15), 2**63, 1e9, True, "1"])
def test_a_time_beyond_every_calendar_counts_as_none(desks: Desks, moment: Any) -> None:
    ana = desks.add()
    key = ItemKey("entries", new_id())
    payload = {"v": 1, "kind": "entry", "text": "x", "created_at": moment, "edited_at": moment}
    ana.vault.put(key, payload, seen=())
    assert ana.entries.get(key.item_id).created_at == 0


# -- the wire


def session(**changes: str) -> dict[str, str]:
    ids = {"user_id": new_id(), "device_id": new_id()}
    return {**ids, "access_token": "a.b-c_d", "refresh_token": "r", **changes}


@pytest.mark.parametrize("token", ["", "a b", "a\r\nX: y", "ä", "a" * 9000])
def test_a_token_that_fits_no_header_is_not_kept(token: str) -> None:
    with pytest.raises(AnswerInvalid):
        Session.read(Answer(session(access_token=token)))


def test_a_session_of_another_account_is_not_used_afterwards(rsa_keys: list[RsaKey]) -> None:
    def refuse(_: Session) -> None:
        raise AnswerInvalid("another account")

    auth = DeviceAuth(rsa_keys[0], ORIGIN, on_session=refuse)
    with pytest.raises(AnswerInvalid):
        auth.adopt(Session.read(Answer(session())))
    first = next(auth.auth_flow(httpx.Request("GET", f"{ORIGIN}/sync/status")))
    assert first.url.path == "/auth/challenge"


class Endless(httpx.SyncByteStream):
    def __init__(self) -> None:
        self.sent = 0

    def __iter__(self) -> Iterator[bytes]:
        while True:
            self.sent += 1
            yield b"[" * 65536


def driven(rsa_keys: list[RsaKey], respond: Callable[[httpx.Request], httpx.Response]) -> Driver:
    kept = Session.read(Answer(session()))
    return Driver(rsa_keys[0], ORIGIN, httpx.MockTransport(respond), session=kept)


@pytest.mark.parametrize("status", [200, 401, 500])
def test_an_answer_without_end_is_cut_off(
    rsa_keys: list[RsaKey], monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    monkeypatch.setattr(bounds, "MAX_ANSWER_BYTES", 2**20)
    endless = Endless()
    driver = driven(rsa_keys, lambda request: httpx.Response(status, stream=endless))
    with pytest.raises(AnswerInvalid, match="too long"):
        driver.send(Call("GET", "/sync/pull"))
    assert endless.sent < 20


def test_a_packed_answer_is_not_unpacked(rsa_keys: list[RsaKey]) -> None:
    headers = {"Content-Encoding": "gzip"}
    driver = driven(
        rsa_keys, lambda request: httpx.Response(200, headers=headers, stream=Endless())
    )
    with pytest.raises(AnswerInvalid, match="packed"):
        driver.send(Call("GET", "/sync/pull"))


def test_tokens_do_not_follow_a_redirect(rsa_keys: list[RsaKey]) -> None:
    hosts: list[str] = []

    def elsewhere(request: httpx.Request) -> httpx.Response:
        hosts.append(request.url.host)
        return httpx.Response(307, headers={"Location": "https://elsewhere.example/"})

    with pytest.raises(Refused):
        driven(rsa_keys, elsewhere).send(Call("GET", "/sync/pull"))
    assert hosts == ["localhost"]


# -- what a log or a crash report could show


def test_no_secret_is_part_of_how_a_value_prints(keyring: Keyring, tmp_path: Path) -> None:
    shown = repr(keyring) + repr(Session.read(Answer(session(access_token="TOKEN"))))
    for secret in (keyring.store_key, *keyring.key_epochs.values()):
        assert repr(secret) not in shown
    assert "TOKEN" not in shown


def test_an_envelope_of_another_item_opens_nowhere_else(desks: Desks) -> None:
    ana = desks.add()
    key = ana.keyring.key_epochs[1]
    context = ItemContext(
        ana.vault.user_id, "tags", new_id(), new_id(), VectorClock(), False, key_epoch=1
    )
    with pytest.raises(CannotOpen):
        ana.vault.open_name(ana.device_id, seal(key, context, b"name"))
