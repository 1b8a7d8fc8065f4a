"""A real account on a running server: a P-256 key registers as any device does."""

import base64
import hashlib
import json
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from bench.wire import Connection, request

ORIGIN = "http://localhost:8000"
_LABEL = b"echolia/register/v1"


class RegistrationRefused(Exception):
    """The server would not open an account."""


@dataclass(frozen=True, slots=True)
class Account:
    """A device with a session."""

    user_id: str
    device_id: str
    access_token: str


def register(connection: Connection) -> Account:
    """A new account with one device. Raises RegistrationRefused."""
    key = ec.generate_private_key(ec.SECP256R1())
    challenge = _asked(connection, "/auth/register/challenge", {})["challenge"]
    session = _asked(
        connection,
        "/auth/register",
        {
            "challenge": challenge,
            "public_key": _pem(key),
            "signature": _b64(_signed(key, base64.b64decode(challenge))),
            "device_type": "desktop",
            "platform": "linux",
        },
    )
    return Account(session["user_id"], session["device_id"], session["access_token"])


def _asked(connection: Connection, path: str, body: dict[str, str]) -> dict[str, Any]:
    answer = connection.exchange(request("POST", path, {}, json.dumps(body).encode()))
    if answer.status not in (200, 201):
        raise RegistrationRefused(f"{path} answered {answer.status}: {answer.body.decode()}")
    return dict(json.loads(answer.body))


def _signed(key: ec.EllipticCurvePrivateKey, challenge: bytes) -> bytes:
    """ES256 over the registration's bytes, as r and s of 32 bytes each (RFC 7518 section 3.4)."""
    parts = (_LABEL, ORIGIN.encode(), challenge, _thumbprint(key))
    message = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    r, s = decode_dss_signature(key.sign(message, ec.ECDSA(SHA256())))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def _thumbprint(key: ec.EllipticCurvePrivateKey) -> bytes:
    """RFC 7638 section 3."""
    point = key.public_key().public_numbers()
    members = {"crv": "P-256", "kty": "EC", "x": _b64url(point.x), "y": _b64url(point.y)}
    return hashlib.sha256(json.dumps(members, separators=(",", ":")).encode()).digest()


def _pem(key: ec.EllipticCurvePrivateKey) -> str:
    spki = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return spki.decode()


def _b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _b64url(coordinate: int) -> str:
    return base64.urlsafe_b64encode(coordinate.to_bytes(32, "big")).rstrip(b"=").decode()
