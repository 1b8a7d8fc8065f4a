"""An account's end, as a client asks for it, and what must not be found afterwards."""

import base64
import sqlite3
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import orjson

from tests.kit.device import Device


async def deletion(device: Device, **fields: Any) -> dict[str, Any]:
    """A body for `DELETE /account` with a fresh challenge; `fields` override."""
    asked = {"key_thumbprint": device.key.thumbprint_text, "purpose": "delete_account"}
    challenge = (await device.call("POST", "/auth/challenge", asked, token=None)).json()
    signature = device.answer_to("echolia/delete-account/v1", challenge["challenge"])
    return {"challenge": challenge["challenge"], "signature": signature} | fields


async def delete_account(device: Device, *, proof: bool = True, **fields: Any) -> httpx.Response:
    body = await deletion(device, **fields)
    return await device.call("DELETE", "/account", body, proof=proof)


async def export(device: Device) -> bytes:
    answer = await device.call("POST", "/account/export", proof=True)
    return answer.raise_for_status().content


@dataclass(frozen=True)
class Export:
    """An export, read and checked against its own sums."""

    lines: list[dict[str, Any]]

    @classmethod
    def read(cls, data: bytes) -> "Export":
        raw = data.splitlines(keepends=True)
        assert all(each.endswith(b"\n") and not each.endswith(b"\r\n") for each in raw)
        lines = [orjson.loads(each) for each in raw]
        end = lines[-1]
        assert (lines[0]["type"], end["type"]) == ("header", "end")
        assert [line["type"] for line in lines].count("header") == 1
        assert lines[0]["format"] == "echolia-export/1"
        assert end["lines"] == len(raw) - 1
        assert end["sha256"] == sha256(b"".join(raw[:-1])).hexdigest()
        begun = 1
        counts = {}
        for at, line in enumerate(lines):
            if line["type"] == "section":
                held = raw[begun:at]
                assert line["count"] == len(held)
                assert line["sha256"] == sha256(b"".join(held)).hexdigest()
                assert all(each["type"] == line["name"] for each in lines[begun:at])
                counts[line["name"]] = len(held)
                begun = at + 1
        assert counts == end["counts"]
        return cls(lines)

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if line["type"] == kind]

    @property
    def items(self) -> dict[tuple[str, str], list[dict[str, Any]]]:
        """As the last line of each says."""
        return {(line["collection"], line["id"]): line["versions"] for line in self.of("item")}


def traces_of(*devices: Device) -> dict[bytes, str]:
    """Everything that names these devices or their account, in every spelling that could lie in a
    file; by what it is."""
    found: dict[bytes, str] = {}
    for device in devices:
        for name, value in (("user id", device.user_id), ("device id", device.id)):
            raw = uuid.UUID(value).bytes
            for spelled in (value.encode(), value.upper().encode(), raw, *_spellings(raw)):
                found[spelled] = name
        thumbprint = device.key.thumbprint
        for spelled in (thumbprint, *_spellings(thumbprint)):
            found[spelled] = "thumbprint"
        # In pieces, since a row that was overwritten in part is a trace as well.
        point = device.key.der[-64:]
        for at in range(0, 48, 16):
            found[point[at : at + 16]] = "public key"
        found[base64.b64encode(device.key.der)[-40:-4]] = "public key"
    return found


def _spellings(raw: bytes) -> Iterator[bytes]:
    yield raw.hex().encode()
    yield raw.hex().upper().encode()
    for behind in range(3):
        encoded = base64.b64encode(bytes(behind) + raw)
        whole = encoded[(0, 2, 3)[behind] : (behind + len(raw)) * 8 // 6]
        yield whole
        yield whole.translate(bytes.maketrans(b"+/", b"-_"))


def traces_in(folder: Path, traces: dict[bytes, str]) -> set[str]:
    """What of it is in a file below the folder, or in a file's name."""
    found = set()
    for path in folder.rglob("*"):
        name = str(path.relative_to(folder)).encode()
        data = path.read_bytes() if path.is_file() else b""
        for trace, what in traces.items():
            if trace in data or trace in name:
                found.add(f"{what} in {name.decode()}")
    return found


def master_rows(data: Path, sql: str) -> list[Any]:
    """Read while the server may run."""
    connection = sqlite3.connect(f"{(data / 'master.db').as_uri()}?mode=ro", uri=True)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()
