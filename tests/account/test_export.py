"""All that is stored about an account, as lines that say whether they are all there."""

import asyncio
from typing import Any

import httpx
import pytest

from app import events
from app.account.export_store import LEFT_OUT, SECTIONS
from app.auth.deletion_store import CENTRAL_TABLES
from app.config import Settings
from app.sync import export_service
from tests.conftest import NewDevice
from tests.kit.account import Export, export
from tests.kit.clock import SetClock
from tests.kit.device import Device
from tests.kit.identity import execute, said, tables, user_file
from tests.kit.keys import b64
from tests.kit.pair import paired
from tests.kit.storage import rows
from tests.kit.sync import COLLECTIONS

COLUMNS = "SELECT m.name, c.name FROM sqlite_schema m, pragma_table_info(m.name) c"


async def test_an_account_says_what_is_held_of_it(
    device: Device, new_device: NewDevice, settings: Settings
) -> None:
    await paired(device, new_device())
    await device.push(device.change(data=b"x" * 100))
    answer = await device.call("GET", "/account")
    assert answer.json() == {
        "user_id": device.user_id,
        "created_at": int(device.clock()),
        "devices": 2,
        "storage": {"used": 100, "limit": settings.storage_limit_bytes},
        "entitlements": [],
    }
    status = (await device.call("GET", "/sync/status")).json()
    assert {name: status[name] for name in ("devices", "storage")} == {
        name: answer.json()[name] for name in ("devices", "storage")
    }
    assert said(await device.call("GET", "/account", token="x")) == (401, "not_authenticated")


async def test_an_export_needs_a_proof_and_comes_as_lines(device: Device) -> None:
    refused = await device.call("POST", "/account/export")
    assert said(refused) == (401, "proof_required")
    answer = await device.call("POST", "/account/export", proof=True)
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert answer.headers["cache-control"] == "no-store"


async def test_every_version_of_every_item_is_in_it_as_a_pull_shows_it(
    device: Device, new_device: NewDevice
) -> None:
    second = await paired(device, new_device())
    base = [device.change(collection=name) for name in COLLECTIONS for _ in range(100)]
    await device.push(*base)
    for sibling in base[:40]:
        await second.push(
            second.change(sibling["id"], {second.id: 1}, collection=sibling["collection"])
        )
    gone = base[-1]
    clock = {device.id: 2}
    await device.push(
        device.change(gone["id"], clock, collection=gone["collection"], is_deleted=True)
    )
    found = Export.read(await export(device))
    pulled = await device.pull_all()
    assert found.items == pulled.items
    assert sum(len(held) == 2 for held in found.items.values()) == 40
    assert found.lines[-1]["counts"]["item"] == 300
    # The cursor goes on where the export stops.
    (position,) = found.of("position")
    assert (await device.pull(position["cursor"])).json()["changes"] == []
    await device.push(device.change())
    assert len((await device.pull(position["cursor"])).json()["changes"]) == 1


async def test_items_that_change_meanwhile_leave_a_whole_state_behind(
    device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between any two pages everything may change: the last line of each item is what the account
    held when the export ended."""
    monkeypatch.setattr(export_service, "PAGE_VERSIONS", 7)
    changes = [device.change() for _ in range(40)]
    await device.push(*changes)
    real = export_service.ItemExport.page
    pages = 0

    async def page(self: Any, db: Any, after: int) -> Any:
        nonlocal pages
        pages += 1
        if pages in (2, 4):
            again = [
                device.change(each["id"], {device.id: pages})
                for each in (*changes[:5], *changes[20:25])
            ]
            await device.push(*again, device.change())
        return await real(self, db, after)

    monkeypatch.setattr(export_service.ItemExport, "page", page)
    found = Export.read(await export(device))
    assert found.items == (await device.pull_all()).items
    assert found.lines[-1]["counts"]["item"] > len(found.items) == 42


async def test_every_row_of_the_account_is_in_it(
    device: Device, new_device: NewDevice, settings: Settings
) -> None:
    second = await paired(device, new_device())
    stranger = new_device()
    (await stranger.register()).raise_for_status()
    await device.call("POST", "/auth/pairings", {}, proof=True)
    file = user_file(settings.data_dir, device.user_id)
    usage = "INSERT INTO llm_usage VALUES (?, ?, 1, 'p', 'm', 'settled', 5, 4, 1)"
    for rid in ("one", "two"):
        execute(file, usage, rid, device.id)
    execute(
        file,
        "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 450)"
        " INSERT INTO entry_embeddings SELECT 'e' || (x / 2), 'm' || (x % 2), x, ?, 1, 1, 3,"
        " x'010203'"
        " FROM n",
        device.id,
    )
    found = Export.read(await export(device))
    kinds = {kind: found.of(kind) for kind in found.lines[-1]["counts"]}
    ids = {device.id, second.id}
    assert {line["device_id"] for line in kinds["device"]} == ids
    assert {line["device_id"] for line in kinds["registration"]} == ids
    assert {line["device_id"] for line in kinds["session"]} == ids
    assert len(kinds["account"]) == 1
    assert len(kinds["pairing"]) == 2
    assert [line["rid"] for line in kinds["usage"]] == ["one", "two"]
    assert len({(line["entry_id"], line["model"]) for line in kinds["embedding"]}) == 450
    assert kinds["embedding"][0]["encrypted_vector"] == "AQID"


async def test_nothing_in_it_lets_anybody_in(device: Device, settings: Settings) -> None:
    (await device.refresh()).raise_for_status()
    data = await export(device)
    for name in ("access_token", "refresh_token"):
        assert device.session[name].encode() not in data
    stored = tables(user_file(settings.data_dir, device.user_id))["token_family"]
    for value in (value for row in stored for value in row if isinstance(value, bytes)):
        assert b64(value).encode() not in data
        assert value.hex().encode() not in data


async def test_every_column_that_is_stored_is_exported_or_left_out_for_a_reason(
    device: Device, settings: Settings
) -> None:
    """A table or column that comes later must be given a place here."""
    central = settings.data_dir / "master.db"
    own = user_file(settings.data_dir, device.user_id)
    for file, is_central in ((central, True), (own, False)):
        for table, column in rows(file, f"{COLUMNS} WHERE m.type = 'table'"):
            shown = any(
                section.table == table and column in section.columns + section.key
                for section in SECTIONS
                if section.is_central is is_central
            )
            assert shown or table in LEFT_OUT or f"{table}.{column}" in LEFT_OUT, (table, column)


async def test_every_central_table_of_users_is_erased_with_an_account(
    device: Device, settings: Settings
) -> None:
    found = rows(settings.data_dir / "master.db", f"{COLUMNS} WHERE c.name = 'user_id'")
    assert {table for table, _ in found} - {"deletion"} == set(CENTRAL_TABLES)


async def test_a_device_revoked_meanwhile_gets_no_end(
    device: Device, new_device: NewDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export_service, "PAGE_VERSIONS", 5)
    reasons: list[str] = []
    monkeypatch.setattr(events, "export_cut", lambda *, reason: reasons.append(reason))
    second = await paired(device, new_device())
    await device.push(*(device.change() for _ in range(20)))
    real = export_service.ItemExport.page

    async def page(self: Any, db: Any, after: int) -> Any:
        if after:
            await device.call("DELETE", f"/auth/devices/{second.id}", proof=True)
        return await real(self, db, after)

    monkeypatch.setattr(export_service.ItemExport, "page", page)
    data = await export(second)
    assert b'"type":"end"' not in data
    assert reasons == ["not_authenticated"]


async def test_a_client_that_hangs_up_ends_the_work(
    device: Device, monkeypatch: pytest.MonkeyPatch, clock: SetClock
) -> None:
    """No page is read before the one before it has left, and none after the client has."""
    monkeypatch.setattr(export_service, "PAGE_VERSIONS", 5)
    await device.push(*(device.change() for _ in range(100)))
    pages: list[int] = []
    real = export_service.ItemExport.page

    async def page(self: Any, db: Any, after: int) -> Any:
        pages.append(after)
        return await real(self, db, after)

    monkeypatch.setattr(export_service.ItemExport, "page", page)
    reasons: list[str] = []
    monkeypatch.setattr(events, "export_cut", lambda *, reason: reasons.append(reason))
    transport = device.http._transport
    assert isinstance(transport, httpx.ASGITransport)
    token = str(device.session["access_token"])
    headers = {
        "authorization": f"Bearer {token}",
        "dpop": device.proof("POST", "/account/export", token),
    }
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/account/export",
        "raw_path": b"/account/export",
        "query_string": b"",
        "root_path": "",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "server": ("localhost", 8000),
        "client": ("127.0.0.1", 1),
    }
    left = asyncio.Event()
    stalled = asyncio.Event()
    asked = 0

    async def receive() -> dict[str, Any]:
        nonlocal asked
        asked += 1
        if asked == 1:
            return {"type": "http.request", "body": b"", "more_body": False}
        await left.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        if pages:
            stalled.set()
            await asyncio.Event().wait()  # a client that reads no further

    async def answer() -> None:
        await transport.app(scope, receive, send)

    call = asyncio.create_task(answer())
    await asyncio.wait_for(stalled.wait(), 5)
    assert pages == [0]
    left.set()
    await asyncio.wait_for(call, 5)
    assert pages == [0]
    assert reasons == ["client_left"]
