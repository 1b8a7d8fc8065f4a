"""Device keys, made once per run: RSA keys take long to make."""

import base64
import hashlib
import json
from functools import cache, cached_property

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, PSS
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


def b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def b64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def lp(*parts: bytes) -> bytes:
    """Length-prefixed parts, written here a second time so that tests do not trust the server's."""
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


class DeviceKey:
    """A signing key as a device holds it: RSA-3072 (PS256) or P-256 (ES256)."""

    def __init__(self, private: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> None:
        self.private = private

    @property
    def algorithm(self) -> str:
        return "PS256" if isinstance(self.private, rsa.RSAPrivateKey) else "ES256"

    @cached_property
    def pem(self) -> str:
        return (
            self.private.public_key()
            .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
            .decode()
        )

    @cached_property
    def der(self) -> bytes:
        return self.private.public_key().public_bytes(
            Encoding.DER, PublicFormat.SubjectPublicKeyInfo
        )

    @cached_property
    def jwk(self) -> dict[str, str]:
        if isinstance(self.private, rsa.RSAPrivateKey):
            numbers = self.private.public_key().public_numbers()
            modulus = numbers.n.to_bytes((numbers.n.bit_length() + 7) // 8, "big")
            return {"kty": "RSA", "n": b64url(modulus), "e": "AQAB"}
        point = self.private.public_key().public_numbers()
        x, y = point.x.to_bytes(32, "big"), point.y.to_bytes(32, "big")
        return {"kty": "EC", "crv": "P-256", "x": b64url(x), "y": b64url(y)}

    @cached_property
    def thumbprint(self) -> bytes:
        text = json.dumps(self.jwk, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).digest()

    @property
    def thumbprint_text(self) -> str:
        return b64url(self.thumbprint)

    def sign(self, message: bytes) -> bytes:
        if isinstance(self.private, rsa.RSAPrivateKey):
            return self.private.sign(message, PSS(MGF1(SHA256()), 32), SHA256())
        r, s = decode_dss_signature(self.private.sign(message, ec.ECDSA(SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")


@cache
def rsa_key(number: int = 0, bits: int = 3072) -> DeviceKey:
    """The run's RSA key of that number: the same each time it is asked for."""
    return DeviceKey(rsa.generate_private_key(public_exponent=65537, key_size=bits))


@cache
def p256_key(number: int = 0) -> DeviceKey:
    """The run's P-256 key of that number; cheap, so the right one where the kind is all one."""
    return DeviceKey(ec.generate_private_key(ec.SECP256R1()))


def new_key() -> DeviceKey:
    """A key nobody else in the run has."""
    return DeviceKey(ec.generate_private_key(ec.SECP256R1()))
