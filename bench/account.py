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
    key: ec.EllipticCurvePrivateKey


def register(connection: Connection) -> Account:
    """A new account with one device. Raises RegistrationRefused."""
    key = ec.generate_private_key(ec.SECP256R1())
    challenge = asked(connection, "/auth/register/challenge", {})["challenge"]
    session = asked(
        connection,
        "/auth/register",
        {
            "challenge": challenge,
            "public_key": pem(key),
            "signature": b64(signed(key, _LABEL, base64.b64decode(challenge), thumbprint(key))),
            "device_type": "desktop",
            "platform": "linux",
        },
    )
    return Account(session["user_id"], session["device_id"], session["access_token"], key)


def asked(
    connection: Connection,
    path: str,
    body: dict[str, str],
    headers: dict[str, str] | None = None,
) -> dict[str, Any]:
    """The answer to a call. Raises RegistrationRefused."""
    answer = connection.exchange(request("POST", path, headers or {}, json.dumps(body).encode()))
    if answer.status not in (200, 201):
        raise RegistrationRefused(f"{path} answered {answer.status}: {answer.body.decode()}")
    return dict(json.loads(answer.body))


def signed(key: ec.EllipticCurvePrivateKey, label: bytes, *parts: bytes) -> bytes:
    """A signature over a label, the origin, and parts."""
    return es256(key, framed(label, ORIGIN.encode(), *parts))


def framed(*parts: bytes) -> bytes:
    """The parts, each after its length."""
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def es256(key: ec.EllipticCurvePrivateKey, message: bytes) -> bytes:
    """r and s of 32 bytes each (RFC 7518 section 3.4)."""
    r, s = decode_dss_signature(key.sign(message, ec.ECDSA(SHA256())))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def thumbprint(key: ec.EllipticCurvePrivateKey) -> bytes:
    """RFC 7638 section 3."""
    return hashlib.sha256(json.dumps(jwk(key), separators=(",", ":")).encode()).digest()


def jwk(key: ec.EllipticCurvePrivateKey) -> dict[str, str]:
    """RFC 7517, its members in the order of their names."""
    point = key.public_key().public_numbers()
    x, y = (b64url(each.to_bytes(32, "big")) for each in (point.x, point.y))
    return {"crv": "P-256", "kty": "EC", "x": x, "y": y}


def pem(key: ec.EllipticCurvePrivateKey) -> str:
    spki = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return spki.decode()


def b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def b64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
