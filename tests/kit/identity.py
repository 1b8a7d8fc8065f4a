"""What identity tests look at and send: databases past the application, pairings step by step."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apsw
import httpx

from app.config import Settings
from app.main import create_app
from tests.kit.clock import SetClock
from tests.kit.device import Device
from tests.kit.keys import DeviceKey, b64, lp
from tests.kit.pair import as_joiner, join_body, opened

Tables = dict[str, list[tuple[Any, ...]]]


def said(answer: httpx.Response) -> tuple[int, str | None]:
    """Status and code of an answer; success has no code."""
    if answer.is_success:
        return answer.status_code, None
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == answer.status_code
    return answer.status_code, problem["code"]


def tables(file: Path) -> Tables:
    """Every row of a database, read past the application."""
    connection = apsw.Connection(str(file), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        names = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
        found: Tables = {}
        for name in (str(row[0]) for row in names):
            rows = connection.execute(f'SELECT * FROM "{name}"').fetchall()
            found[name] = sorted(rows, key=repr)
        return found
    finally:
        connection.close()


def records(file: Path, table: str) -> list[dict[str, Any]]:
    """The rows of one table by the names of its columns."""
    connection = apsw.Connection(str(file), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        found = connection.execute(f'SELECT * FROM "{table}"')
        names = [name for name, _ in found.get_description()]
        return [dict(zip(names, row, strict=True)) for row in found]
    finally:
        connection.close()


def user_file(data: Path, user_id: str) -> Path:
    """A user's own database in a data folder."""
    return data / "users" / user_id[:2] / f"user_{user_id}.db"


def vouched(key: DeviceKey, wrapping: DeviceKey, origin: str) -> dict[str, Any]:
    """The fields by which a signing key vouches for a wrapping key."""
    message = lp(b"echolia/wrapping-key/v1", origin.encode(), key.thumbprint, wrapping.der)
    return {"wrapping_key": wrapping.pem, "wrapping_key_signature": b64(key.sign(message))}


@dataclass
class Pairing:
    """One pairing and what each side sends, kept so that it can be sent again."""

    existing: Device
    new: Device
    id: str
    join_fields: dict[str, Any]
    nonce: str = field(default_factory=lambda: b64(os.urandom(32)))
    approval: dict[str, Any] = field(default_factory=dict)

    @classmethod
    async def open(cls, existing: Device, new: Device) -> "Pairing":
        pairing_id = await opened(existing)
        made = cls(existing, new, pairing_id, join_body(new, existing, pairing_id))
        made.approval = {
            "key_thumbprint": new.key.thumbprint_text,
            "wrapped_cek": b64(os.urandom(384)),
            "ciphertext": b64(os.urandom(300)),
            "signature": b64(os.urandom(64)),
        }
        return made

    @property
    def path(self) -> str:
        return f"/auth/pairings/{self.id}"

    async def join(self, by: Device | None = None, **fields: Any) -> httpx.Response:
        sender = by or self.new
        body = self.join_fields if by is None else join_body(by, self.existing, self.id)
        return await sender.call("POST", f"{self.path}/join", body | fields, token=None)

    async def reveal(self, by: Device | None = None, **fields: Any) -> httpx.Response:
        body = {"nonce": self.nonce} | fields
        return await (by or self.existing).call("POST", f"{self.path}/reveal", body)

    async def approve(
        self, by: Device | None = None, *, proof: bool = True, **fields: Any
    ) -> httpx.Response:
        body = self.approval | fields
        return await (by or self.existing).call("POST", f"{self.path}/approve", body, proof=proof)

    async def collect(self, by: Device | None = None) -> httpx.Response:
        return await as_joiner(by or self.new, "POST", f"{self.path}/collect", {})

    async def complete(self, by: Device | None = None) -> httpx.Response:
        return await as_joiner(by or self.new, "POST", f"{self.path}/complete", {})

    async def see(self, by: Device | None = None, wait: int = 0) -> httpx.Response:
        """As the existing device."""
        return await (by or self.existing).call("GET", self.path, params={"wait": wait})

    async def watch(self, by: Device | None = None, wait: int = 0) -> httpx.Response:
        """As the new device."""
        asker = by or self.new
        headers = {"DPoP": asker.proof("GET", self.path, None)}
        return await asker.call(
            "GET", self.path, token=None, headers=headers, params={"wait": wait}
        )

    async def cancel(self, by: Device | None = None) -> httpx.Response:
        """As the existing device."""
        return await (by or self.existing).call("DELETE", self.path)

    async def leave(self, by: Device | None = None) -> httpx.Response:
        """As the new device."""
        return await as_joiner(by or self.new, "DELETE", self.path)

    async def until(self, state: str) -> "Pairing":
        """Every step up to this state is taken."""
        for name, step in (
            ("joined", self.join),
            ("revealed", self.reveal),
            ("approved", self.approve),
            ("completed", self.complete),
        ):
            if state == "open":
                break
            answer = (await step()).raise_for_status()
            if name == state:
                if name == "completed":
                    self.new.session = answer.json()
                break
        return self


@asynccontextmanager
async def served(
    settings: Settings, clock: SetClock, url: str = "http://localhost:8000"
) -> AsyncIterator[httpx.AsyncClient]:
    """An application that is stopped when the block ends, so that another can take its folder."""
    app = create_app(settings, clock=clock)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url=url) as client:
            yield client


def execute(file: Path, sql: str, *params: Any) -> None:
    """Change a database behind the application's back."""
    connection = apsw.Connection(str(file))
    connection.execute(sql, params)
    connection.close()
