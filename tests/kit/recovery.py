"""A recovery phrase as a stranger's client would use it, without words and without sealing."""

import hashlib
import os
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.kit.device import Device
from tests.kit.keys import b64


@dataclass
class Phrase:
    """The halves of a phrase that are not its own."""

    locator: bytes = field(default_factory=lambda: os.urandom(16))
    authenticator: bytes = field(default_factory=lambda: os.urandom(32))
    bundle: bytes = field(default_factory=lambda: os.urandom(345))

    def kept(self, **fields: Any) -> dict[str, Any]:
        """What the server is given to keep."""
        return {
            "locator": b64(self.locator),
            "authenticator_hash": b64(hashlib.sha256(self.authenticator).digest()),
            "bundle": b64(self.bundle),
        } | fields

    async def put(self, by: Device, **fields: Any) -> httpx.Response:
        return await by.call("PUT", "/auth/recovery", self.kept(**fields), proof=True)

    async def attempt(self, device: Device, **fields: Any) -> dict[str, Any]:
        """A body for `POST /auth/recover` with a fresh challenge; `fields` override."""
        asked = await device.call("POST", "/auth/register/challenge", {}, token=None)
        challenge = asked.json()["challenge"]
        return {
            "locator": b64(self.locator),
            "authenticator": b64(self.authenticator),
            "challenge": challenge,
            "public_key": device.key.pem,
            "signature": device.answer_to("echolia/recover/v1", challenge),
            "device_type": "mobile",
            "platform": "ios",
        } | fields

    async def recover(self, device: Device, **fields: Any) -> httpx.Response:
        """`device` comes in by the phrase."""
        body = await self.attempt(device, **fields)
        answer = await device.call("POST", "/auth/recover", body, token=None)
        if answer.is_success:
            device.session = answer.json()
        return answer


async def told(device: Device) -> list[tuple[str, int, str | None]]:
    """The security events that the device is shown: kind, time, whose deed."""
    events = (await _listed(device))["security_events"]
    return [(event["kind"], event["at"], event["device_id"]) for event in events]


async def shown(device: Device) -> dict[str, Any] | None:
    """What the device is shown of the account's phrase."""
    recovery: dict[str, Any] | None = (await _listed(device))["recovery"]
    return recovery


async def _listed(device: Device) -> dict[str, Any]:
    answer = await device.call("GET", "/auth/devices")
    if answer.status_code == 401:
        (await device.log_in()).raise_for_status()
        answer = await device.call("GET", "/auth/devices")
    listed: dict[str, Any] = answer.raise_for_status().json()
    return listed
