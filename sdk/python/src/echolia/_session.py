"""Tokens, and the words a key signs to get them."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, field

from ._answers import Answer
from ._canonical import lp
from ._errors import AnswerInvalid

# What may stand behind "Bearer" (RFC 6750 section 2.1); more would not fit into a header.
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]{1,8192}=*\Z")


@dataclass(frozen=True, slots=True)
class Session:
    """Tokens of one login; worthless without the device key."""

    user_id: str
    device_id: str
    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)

    @classmethod
    def read(cls, answer: Answer) -> Session:
        return cls(
            user_id=answer.id("user_id"),
            device_id=answer.id("device_id"),
            access_token=_token(answer, "access_token"),
            refresh_token=_token(answer, "refresh_token"),
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> Session:
        return cls.read(Answer.of(json.loads(data)))

    def to_bytes(self) -> bytes:
        return json.dumps(asdict(self)).encode()


def _token(answer: Answer, name: str) -> str:
    token = answer.text(name)
    if not _TOKEN.match(token):
        raise AnswerInvalid(f"the server's answer has a bad {name}")
    return token


def signed_statement(purpose: str, origin: str, challenge: bytes, thumbprint: bytes) -> bytes:
    """The bytes that register and login sign: never a server's challenge bare."""
    return lp(f"echolia/{purpose}/v1".encode(), origin.encode(), challenge, thumbprint)
