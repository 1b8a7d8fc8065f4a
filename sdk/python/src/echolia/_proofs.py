"""The proof header: DPoP (RFC 9449 section 4), signed by the device key."""

from __future__ import annotations

import json
import secrets
import time

from ._canonical import b64url, sha256
from ._keys import Signer


def make_proof(
    signer: Signer, method: str, url: str, *, token: str | None, nonce: str | None
) -> str:
    """One fresh proof. `url` has neither query nor fragment.

    `iat` comes from this device's clock, which may be wrong: it is the server's nonce that
    dates the proof, so no answer ever moves our idea of the time.
    """
    claims: dict[str, str | int] = {
        "htm": method,
        "htu": url,
        "iat": int(time.time()),
        "jti": secrets.token_urlsafe(16),
    }
    if token is not None:
        claims["ath"] = b64url(sha256(token.encode("ascii")))
    if nonce is not None:
        claims["nonce"] = nonce
    header = {"typ": "dpop+jwt", "alg": signer.algorithm, "jwk": signer.public.jwk()}
    signed = f"{_part(header)}.{_part(claims)}"
    return f"{signed}.{b64url(signer.sign(signed.encode('ascii')))}"


def _part(value: object) -> str:
    return b64url(json.dumps(value, separators=(",", ":")).encode())
