"""One more device of an account, paired as two clients would, without sealing anything real."""

import hashlib
import json
import os
import time
import uuid

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from bench.account import (
    ORIGIN,
    Account,
    asked,
    b64,
    b64url,
    es256,
    framed,
    jwk,
    pem,
    signed,
    thumbprint,
)
from bench.wire import Connection


def pair(connection: Connection, first: Account) -> Account:
    """A new device of the account of `first`. Raises RegistrationRefused."""
    key = ec.generate_private_key(ec.SECP256R1())
    opened = asked(connection, "/auth/pairings", {}, _proven(first, "/auth/pairings"))
    path = f"/auth/pairings/{opened['pairing_id']}"
    asked(connection, f"{path}/join", _joining(key, first, opened["pairing_id"]))
    bearer = {"Authorization": f"Bearer {first.access_token}"}
    asked(connection, f"{path}/reveal", {"nonce": b64(os.urandom(32))}, bearer)
    approval = {
        "key_thumbprint": b64url(thumbprint(key)),
        "wrapped_cek": b64(os.urandom(384)),
        "ciphertext": b64(os.urandom(300)),
        "signature": b64(os.urandom(64)),
    }
    asked(connection, f"{path}/approve", approval, _proven(first, f"{path}/approve"))
    asked(connection, f"{path}/collect", {}, {"DPoP": _proof(key, f"{path}/collect", None)})
    completing = {"DPoP": _proof(key, f"{path}/complete", None)}
    session = asked(connection, f"{path}/complete", {}, completing)
    return Account(session["user_id"], session["device_id"], session["access_token"], key)


def _joining(key: ec.EllipticCurvePrivateKey, first: Account, pairing_id: str) -> dict[str, str]:
    nonce, own = os.urandom(16), thumbprint(key)
    parts = (uuid.UUID(pairing_id).bytes, thumbprint(first.key), own, nonce)
    transcript = hashlib.sha256(framed(b"echolia/pair/v1", ORIGIN.encode(), *parts)).digest()
    der = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return {
        "public_key": pem(key),
        "wrapping_key": pem(key),
        "wrapping_key_signature": b64(signed(key, b"echolia/wrapping-key/v1", own, der)),
        "nonce": b64(nonce),
        "signature": b64(es256(key, transcript)),
        "mac": b64(os.urandom(32)),
        "device_type": "mobile",
        "platform": "ios",
    }


def _proven(account: Account, path: str) -> dict[str, str]:
    proof = _proof(account.key, path, account.access_token)
    return {"Authorization": f"Bearer {account.access_token}", "DPoP": proof}


def _proof(key: ec.EllipticCurvePrivateKey, path: str, token: str | None) -> str:
    """RFC 9449 section 4.2."""
    header = {"typ": "dpop+jwt", "alg": "ES256", "jwk": jwk(key)}
    claims = {
        "htm": "POST",
        "htu": ORIGIN + path,
        "iat": int(time.time()),
        "jti": b64url(os.urandom(12)),
    }
    if token is not None:
        claims["ath"] = b64url(hashlib.sha256(token.encode()).digest())
    message = ".".join(b64url(json.dumps(each).encode()) for each in (header, claims))
    return f"{message}.{b64url(es256(key, message.encode()))}"
