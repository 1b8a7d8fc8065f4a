"""The SDK's own session code in a test that brings the keys, the clock and the network."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx

from echolia._auth import DeviceAuth
from echolia._keys import PublicKey
from echolia._session import Session
from tests.kit.device import ORIGIN
from tests.kit.keys import DeviceKey


@dataclass(frozen=True)
class SdkKey:
    """A key of the kit as the SDK wants to see one."""

    key: DeviceKey

    @property
    def algorithm(self) -> str:
        return self.key.algorithm

    @property
    def public(self) -> PublicKey:
        return PublicKey(self.key.private.public_key())

    def sign(self, message: bytes) -> bytes:
        return self.key.sign(message)


class SdkDevice:
    """A device that keeps its session as the SDK does: saved before it is used."""

    def __init__(
        self, key: DeviceKey, transport: httpx.AsyncBaseTransport, session: dict[str, Any]
    ) -> None:
        self.key = key
        self.transport = transport
        names = ("user_id", "device_id", "access_token", "refresh_token")
        self.saved = [Session(**{name: session[name] for name in names})]
        self.http: httpx.AsyncClient
        self.restart()

    def restart(self) -> None:
        """The process begins anew: only what was saved is known."""
        auth = DeviceAuth(
            SdkKey(self.key), ORIGIN, session=self.saved[-1], on_session=self.saved.append
        )
        self.http = httpx.AsyncClient(transport=self.transport, base_url=ORIGIN, auth=auth)

    def copied(self) -> "SdkDevice":
        """The same device a second time: key, tokens and all."""
        newest = self.saved[-1]
        fields = {
            "user_id": newest.user_id,
            "device_id": newest.device_id,
            "access_token": newest.access_token,
            "refresh_token": newest.refresh_token,
        }
        return SdkDevice(self.key, self.transport, fields)

    async def calls(self, until: Callable[[], bool] = lambda: False, tries: int = 60) -> bool:
        """Ask again until an answer arrives, as a user would; whether one did."""
        for _ in range(tries):
            try:
                answer = await self.http.get("/auth/devices")
            except httpx.TransportError:
                if until():
                    return False
                continue
            return answer.is_success
        return False
