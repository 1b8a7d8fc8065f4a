"""A client in a few lines, written against the protocol and not with the SDK: what it sends is
what a stranger's client would send."""

import base64
import json
import os
import secrets
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import httpx

from tests.kit.keys import DeviceKey, b64, b64url, lp, new_key

ORIGIN = "http://localhost:8000"


@dataclass
class Device:
    """A device with a key of its own, and whatever the server gave it."""

    http: httpx.AsyncClient
    key: DeviceKey = field(default_factory=new_key)
    origin: str = ORIGIN
    clock: Callable[[], float] = time.time
    session: dict[str, Any] = field(default_factory=dict)
    nonce: str | None = None

    @property
    def id(self) -> str:
        return str(self.session["device_id"])

    @property
    def user_id(self) -> str:
        return str(self.session["user_id"])

    # --- calls ----------------------------------------------------------------------------------

    async def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        token: str | None = "",
        proof: bool = False,
        params: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
    ) -> httpx.Response:
        """A request with this device's token (None: without), and with a proof if asked for."""
        sent = dict(headers or {})
        access = self.session.get("access_token") if token == "" else token
        if access is not None:
            sent["Authorization"] = f"Bearer {access}"
        if proof:
            sent["DPoP"] = self.proof(method, path, access)
        content = None if body is None else json.dumps(body).encode()
        if content is not None:
            sent.setdefault("Content-Type", "application/json")
        answer = await self.http.request(method, path, content=content, headers=sent, params=params)
        self.nonce = answer.headers.get("DPoP-Nonce", self.nonce)
        return answer

    def proof(self, method: str, path: str, token: str | None, **claims: Any) -> str:
        """A DPoP proof (RFC 9449); `claims` override, None leaves one out."""
        header = {"typ": "dpop+jwt", "alg": self.key.algorithm, "jwk": self.key.jwk}
        payload: dict[str, Any] = {
            "htm": method,
            "htu": self.origin + path,
            "iat": int(self.clock()),
            "jti": secrets.token_urlsafe(12),
            "ath": b64url(sha256(token.encode()).digest()) if token else None,
            "nonce": self.nonce,
        }
        payload = {k: v for k, v in (payload | claims).items() if v is not None}
        signed = f"{b64url(json.dumps(header).encode())}.{b64url(json.dumps(payload).encode())}"
        return f"{signed}.{b64url(self.key.sign(signed.encode()))}"

    # --- identity -------------------------------------------------------------------------------

    def answer_to(self, label: str, challenge: str) -> str:
        """The signature over a challenge, for a purpose."""
        raw = base64.b64decode(challenge)
        message = lp(label.encode(), self.origin.encode(), raw, self.key.thumbprint)
        return b64(self.key.sign(message))

    async def registration(self, **fields: Any) -> dict[str, Any]:
        """A body for `POST /auth/register` with a fresh challenge; `fields` override."""
        challenge = (await self.call("POST", "/auth/register/challenge", {}, token=None)).json()
        body = {
            "challenge": challenge["challenge"],
            "public_key": self.key.pem,
            "signature": self.answer_to("echolia/register/v1", challenge["challenge"]),
            "device_type": "desktop",
            "platform": "linux",
        }
        return body | fields

    async def register(self, **fields: Any) -> httpx.Response:
        body = await self.registration(**fields)
        answer = await self.call("POST", "/auth/register", body, token=None)
        if answer.is_success:
            self.session = answer.json()
        return answer

    async def log_in(self) -> httpx.Response:
        asked = {"key_thumbprint": self.key.thumbprint_text}
        challenge = (await self.call("POST", "/auth/challenge", asked, token=None)).json()
        signature = self.answer_to("echolia/login/v1", challenge["challenge"])
        body = asked | {"challenge": challenge["challenge"], "signature": signature}
        answer = await self.call("POST", "/auth/login", body, token=None)
        if answer.is_success:
            self.session = answer.json()
        return answer

    async def refresh(self, token: str | None = None, **claims: Any) -> httpx.Response:
        """Send a refresh with a proof; the session is replaced on success."""
        sent = token or str(self.session["refresh_token"])
        headers = {"DPoP": self.proof("POST", "/auth/refresh", sent, **claims)}
        body = {"refresh_token": sent}
        answer = await self.call("POST", "/auth/refresh", body, token=None, headers=headers)
        if answer.is_success:
            self.session = answer.json()
        return answer

    # --- sync -----------------------------------------------------------------------------------

    async def push(self, *changes: dict[str, Any], **fields: Any) -> httpx.Response:
        return await self.call("POST", "/sync/push", {"changes": list(changes)} | fields)

    async def pull(self, cursor: str | None = None, **params: Any) -> httpx.Response:
        query = params | ({"cursor": cursor} if cursor else {})
        return await self.call("GET", "/sync/pull", params=query)

    async def pull_all(self, cursor: str | None = None, limit: int = 500) -> "Pulled":
        """All pages after the cursor: items by (collection, id), in order of delivery."""
        items: dict[tuple[str, str], list[dict[str, Any]]] = {}
        while True:
            page = (await self.pull(cursor, limit=limit)).raise_for_status().json()
            for change in page["changes"]:
                items[change["collection"], change["id"]] = change["versions"]
            cursor = page["cursor"]
            if not page["has_more"]:
                return Pulled(items, cursor)

    def change(
        self,
        item_id: str | None = None,
        clock: dict[str, int] | None = None,
        *,
        data: bytes | None = None,
        collection: str = "entries",
        **fields: Any,
    ) -> dict[str, Any]:
        """A change by this device: a new item unless told otherwise."""
        return {
            "collection": collection,
            "id": item_id or str(uuid.uuid4()),
            "vector_clock": clock or {self.id: 1},
            "key_epoch": 1,
            "is_deleted": False,
            "encrypted_data": b64(data if data is not None else os.urandom(64)),
        } | fields


@dataclass(frozen=True)
class Pulled:
    items: dict[tuple[str, str], list[dict[str, Any]]]
    cursor: str
