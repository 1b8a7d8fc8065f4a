"""Tokens, and the words a key signs to get them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from ._answers import Answer
from ._canonical import lp


@dataclass(frozen=True, slots=True)
class Session:
    """Tokens of one login; worthless without the device key."""

    user_id: str
    device_id: str
    access_token: str
    refresh_token: str

    @classmethod
    def read(cls, answer: Answer) -> Session:
        return cls(
            user_id=answer.id("user_id"),
            device_id=answer.id("device_id"),
            access_token=answer.text("access_token"),
            refresh_token=answer.text("refresh_token"),
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> Session:
        return cls.read(Answer.of(json.loads(data)))

    def to_bytes(self) -> bytes:
        return json.dumps(asdict(self)).encode()


def signed_statement(purpose: str, origin: str, challenge: bytes, thumbprint: bytes) -> bytes:
    """The bytes that register and login sign: never a server's challenge bare."""
    return lp(f"echolia/{purpose}/v1".encode(), origin.encode(), challenge, thumbprint)
