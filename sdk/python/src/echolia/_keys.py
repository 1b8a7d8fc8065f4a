"""Device keys: one to sign, one to receive wrapped keys (spec/protocol.md, Devices).

A device has RSA-3072 for both, or P-256 for both. A vault key is wrapped by RSA-OAEP (suite 1),
to RSA of at least 3072 bits, or by HPKE (suite 2, RFC 9180), to P-256.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from cryptography.exceptions import InvalidSignature, InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, hpke, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)

from ._canonical import b64url, lp, sha256

RSA_BITS = 3072
MIN_WRAPPING_BITS = 3072
_MAX_PEM_BYTES = 2048
KeyKind: TypeAlias = Literal["rsa", "p256"]
_WRAP_INFO = b"echolia/wrap/v2"
_SUITE_2 = hpke.Suite(hpke.KEM.P256, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)
_WRAPPING_LABEL = b"echolia/wrapping-key/v1"
_PSS = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)


class Signer(Protocol):
    """What the rest of the library needs of a signing key, whichever kind it is."""

    @property
    def algorithm(self) -> str: ...
    @property
    def public(self) -> PublicKey: ...
    def sign(self, message: bytes) -> bytes: ...


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A device's public key, checked when it was read."""

    key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey

    @classmethod
    def from_pem(cls, pem: str) -> PublicKey:
        """ValueError unless `pem` is one SPKI block of RSA 2048–4096, e = 65537, or of P-256."""
        if len(pem) > _MAX_PEM_BYTES:
            raise ValueError("public key too long")
        try:
            key = serialization.load_pem_public_key(pem.encode("ascii"))
        except UnsupportedAlgorithm as error:
            raise ValueError("neither RSA nor P-256") from error
        if isinstance(key, rsa.RSAPublicKey):
            if not 2048 <= key.key_size <= 4096 or key.public_numbers().e != 65537:
                raise ValueError("RSA key outside the allowed sizes")
            return cls(key)
        if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
            return cls(key)
        raise ValueError("neither RSA nor P-256")

    @property
    def pem(self) -> str:
        return self._encoded(serialization.Encoding.PEM).decode("ascii")

    @property
    def der(self) -> bytes:
        return self._encoded(serialization.Encoding.DER)

    def _encoded(self, encoding: serialization.Encoding) -> bytes:
        return self.key.public_bytes(encoding, serialization.PublicFormat.SubjectPublicKeyInfo)

    def jwk(self) -> dict[str, str]:
        """The required members only, in the order that RFC 7638 hashes them."""
        if isinstance(self.key, rsa.RSAPublicKey):
            numbers = self.key.public_numbers()
            return {"e": _unsigned(numbers.e), "kty": "RSA", "n": _unsigned(numbers.n)}
        point = self.key.public_numbers()
        x, y = point.x.to_bytes(32, "big"), point.y.to_bytes(32, "big")
        return {"crv": "P-256", "kty": "EC", "x": b64url(x), "y": b64url(y)}

    @property
    def thumbprint(self) -> bytes:
        """32 bytes (RFC 7638); the wire shows them as unpadded base64url."""
        members = ",".join(f'"{name}":"{value}"' for name, value in self.jwk().items())
        return sha256(f"{{{members}}}".encode("ascii"))

    def verifies(self, signature: bytes, message: bytes) -> bool:
        """Whether `signature` is PS256 (salt 32) or raw r‖s ES256 of `message` by this key."""
        try:
            if isinstance(self.key, rsa.RSAPublicKey):
                self.key.verify(signature, message, _PSS, hashes.SHA256())
                return True
            if len(signature) != 64:
                return False
            r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
            self.key.verify(encode_dss_signature(r, s), message, ec.ECDSA(hashes.SHA256()))
            return True
        except InvalidSignature:
            return False

    @property
    def may_receive(self) -> bool:
        """Whether a vault key may be wrapped to it."""
        return self.is_p256 or self.key.key_size >= MIN_WRAPPING_BITS

    @property
    def is_p256(self) -> bool:
        return isinstance(self.key, ec.EllipticCurvePublicKey)

    def wrap(self, secret: bytes, label: bytes) -> bytes:
        """`secret` for the holder of this key and this label alone: RSA-OAEP-256 (suite 1), or
        HPKE (suite 2). ValueError for a key too weak to carry a vault."""
        if not self.may_receive:
            raise ValueError("a vault key is wrapped only to RSA of 3072 bits or more, or to P-256")
        if isinstance(self.key, rsa.RSAPublicKey):
            return self.key.encrypt(secret, _oaep(label))
        return _SUITE_2.encrypt(secret, self.key, info=lp(_WRAP_INFO, label))


@dataclass(frozen=True, slots=True)
class RsaKey:
    """A private RSA key in one of the two roles; never both with the same key."""

    key: rsa.RSAPrivateKey

    @classmethod
    def generate(cls) -> RsaKey:
        return cls(rsa.generate_private_key(public_exponent=65537, key_size=RSA_BITS))

    @property
    def der(self) -> bytes:
        return _pkcs8(self.key)

    @property
    def algorithm(self) -> str:
        return "PS256"

    @property
    def public(self) -> PublicKey:
        return PublicKey(self.key.public_key())

    def sign(self, message: bytes) -> bytes:
        return self.key.sign(message, _PSS, hashes.SHA256())

    def unwrap(self, wrapped: bytes, label: bytes) -> bytes:
        """Reverse of `PublicKey.wrap`; ValueError when key, label or bytes do not fit."""
        return self.key.decrypt(wrapped, _oaep(label))


@dataclass(frozen=True, slots=True)
class P256Key:
    """A private P-256 key in one of the two roles; never both with the same key."""

    key: ec.EllipticCurvePrivateKey

    @classmethod
    def generate(cls) -> P256Key:
        return cls(ec.generate_private_key(ec.SECP256R1()))

    @property
    def der(self) -> bytes:
        return _pkcs8(self.key)

    @property
    def algorithm(self) -> str:
        return "ES256"

    @property
    def public(self) -> PublicKey:
        return PublicKey(self.key.public_key())

    def sign(self, message: bytes) -> bytes:
        r, s = decode_dss_signature(self.key.sign(message, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    def unwrap(self, wrapped: bytes, label: bytes) -> bytes:
        """Reverse of `PublicKey.wrap`; ValueError when key, label or bytes do not fit."""
        try:
            return _SUITE_2.decrypt(wrapped, self.key, info=lp(_WRAP_INFO, label))
        except InvalidTag:
            raise ValueError("not wrapped for this key") from None


PrivateKey: TypeAlias = RsaKey | P256Key


def generate_key(kind: KeyKind) -> PrivateKey:
    return P256Key.generate() if kind == "p256" else RsaKey.generate()


def read_private_key(der: bytes) -> PrivateKey:
    """A key of this device from its own keyring (PKCS #8); ValueError for any other kind."""
    # The check for weak keys takes 0.1 s, and is about keys that others chose.
    key = serialization.load_der_private_key(
        der, password=None, unsafe_skip_rsa_key_validation=True
    )
    if isinstance(key, rsa.RSAPrivateKey):
        return RsaKey(key)
    if isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1):
        return P256Key(key)
    raise ValueError("neither RSA nor P-256")


def wrapping_statement(origin: str, signing: PublicKey, wrapping: PublicKey) -> bytes:
    """What the signing key signs so that others may trust the wrapping key for ever."""
    return lp(_WRAPPING_LABEL, origin.encode(), signing.thumbprint, wrapping.der)


def _pkcs8(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.DER,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _oaep(label: bytes) -> padding.OAEP:
    return padding.OAEP(
        mgf=padding.MGF1(algorithm=hashes.SHA256()), algorithm=hashes.SHA256(), label=label
    )


def _unsigned(number: int) -> str:
    return b64url(number.to_bytes((number.bit_length() + 7) // 8, "big"))
