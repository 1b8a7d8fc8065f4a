"""The public keys of devices: SPKI in PEM (RFC 7468), RSA or P-256, one spelling for each key.

A key from outside comes in through `validate_public_key` or not at all; a key that came in so and
was stored is opened by `load_public_key`, which trusts it. Nothing here logs, and no error quotes
a key.
"""

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, PSS
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
)

from app.auth.key_errors import (
    PublicKeyExponent,
    PublicKeyIsPrivate,
    PublicKeyKnown,
    PublicKeyMalformed,
    PublicKeyPoint,
    PublicKeyRefused,
    PublicKeyTooLarge,
    PublicKeyTooLong,
    PublicKeyTooSmall,
    PublicKeyType,
    PublicKeyWeak,
)
from app.auth.weak_keys import is_published, weakness_of

KeyKind = Literal["RSA", "P-256"]

MAX_PEM_CHARACTERS = 2048
MIN_RSA_BITS = 2048
MIN_RSA_BITS_STRICT = 3072
MAX_RSA_BITS = 4096
RSA_EXPONENT = 65537
THUMBPRINT_BYTES = 32

_BEGIN = "-----BEGIN PUBLIC KEY-----"
_END = "-----END PUBLIC KEY-----"
_PRIVATE = re.compile(r"\bPRIVATE\b")
# AlgorithmIdentifier of RFC 8017 appendix A.1 and RFC 5480 section 2.1.1, in DER.
_RSA_ALGORITHM = bytes.fromhex("300d06092a864886f70d0101010500")
_P256_ALGORITHM = bytes.fromhex("301306072a8648ce3d020106082a8648ce3d030107")
# RFC 4055 section 1.2: the library opens such keys as plain RSA, and WebCrypto makes none.
_RSA_PSS_OID = bytes.fromhex("06092a864886f70d01010a")
# Where RSAPublicKey begins in an SPKI whose lengths all take two bytes, as from 1024 bits on.
_RSA_KEY_OFFSET = 4 + len(_RSA_ALGORITHM) + 5
# PKCS #1, SEC 1 and PKCS #8 private keys open with a version; an SPKI key opens with a SEQUENCE.
_PRIVATE_VERSIONS = (b"\x02\x01\x00", b"\x02\x01\x01")

_PSS = PSS(mgf=MGF1(SHA256()), salt_length=32)
_ECDSA = ECDSA(SHA256())
_ES256_BYTES = 64

_SupportedKey = RSAPublicKey | EllipticCurvePublicKey


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A device's public key, ready to verify; equal to another exactly if the keys are equal.

    `der` is its SPKI, `pem` the one spelling that the server gives out (64 columns, LF, a newline
    at the end), `thumbprint` its raw RFC 7638 SHA-256.
    """

    kind: KeyKind
    bits: int
    der: bytes = field(repr=False)
    pem: str = field(repr=False)
    thumbprint: bytes
    _key: _SupportedKey = field(repr=False, compare=False)

    @property
    def jwk(self) -> dict[str, str]:
        """The required members of the key as a JWK (RFC 7517, RFC 7518 section 6), and no more."""
        return _jwk(self._key)

    def verify(self, signature: bytes, message: bytes) -> bool:
        """Whether this key signed the message: PS256 with a salt of 32 bytes, or ES256 as r and s
        of 32 bytes each (RFC 7518 sections 3.5 and 3.4). Any other form is false."""
        try:
            if isinstance(self._key, RSAPublicKey):
                self._key.verify(signature, message, _PSS, SHA256())
            else:
                self._key.verify(_dss_signature(signature), message, _ECDSA)
        except InvalidSignature:
            return False
        return True

    def verify_in_full(self, signature: bytes, message: bytes) -> bool:
        """As `verify`; what no key of this size could have made costs as much as what it could."""
        if not isinstance(self._key, RSAPublicKey):
            return self.verify(signature, message)
        modulus, length = self._key.public_numbers().n, (self.bits + 7) // 8
        fits = len(signature) == length and int.from_bytes(signature) < modulus
        whole = signature if fits else (modulus >> 1).to_bytes(length)
        return self.verify(whole, message) and fits


def validate_public_key(text: str, *, strict: bool = False) -> PublicKey:
    """The key that the PEM text holds, once every rule for a device's key has passed.

    Line breaks may all be LF or all CRLF, with or without one after the last line; RSA moduli have
    2048 to 4096 bits, under `strict` at least 3072. Whatever the text, it ends in a key or in a
    leaf of `PublicKeyRefused`.
    """
    # First of all: a private key is mostly longer than the cap, which would hide what it is.
    if _PRIVATE.search(text):
        raise PublicKeyIsPrivate
    if len(text) > MAX_PEM_CHARACTERS:
        raise PublicKeyTooLong(limit=MAX_PEM_CHARACTERS)
    key = _open(_unwrap(text))
    if isinstance(key, RSAPublicKey):
        _check_rsa_parameters(key, MIN_RSA_BITS_STRICT if strict else MIN_RSA_BITS)
    public_key = _public_key(key)
    if is_published(thumbprint_text(public_key.thumbprint)):
        raise PublicKeyKnown
    if isinstance(key, RSAPublicKey) and (weakness := weakness_of(key.public_numbers().n)):
        raise PublicKeyWeak(weakness=weakness)
    return public_key


def validate_wrapping_key(text: str, *, strict: bool = False) -> PublicKey:
    """The key for RSA-OAEP or ECDH that the PEM text holds, by the same rules as a signing key;
    a refusal names the field `wrapping_key`."""
    try:
        return validate_public_key(text, strict=strict)
    except PublicKeyRefused as refused:
        refused.extras["errors"] = [{"path": "wrapping_key", "reason": "is refused"}]
        raise


@lru_cache(maxsize=1024)
def load_public_key(der: bytes) -> PublicKey:
    """The key with this SPKI, which `validate_public_key` once let in: only its form is checked
    again. The last 1024 keys stay open. Raises `PublicKeyRefused` for bytes that are no key."""
    return open_public_key(der)


def open_public_key(der: bytes) -> PublicKey:
    """As `load_public_key`, opened anew, so that it takes as long whether it was open or not."""
    return _public_key(_open(der))


def jwk_thumbprint(jwk: Mapping[str, object]) -> bytes:
    """The raw 32 bytes of RFC 7638 section 3 for an RSA or EC key; members that it does not name
    are passed over. Raises ValueError where one that it names is missing or is no text."""
    names = {"RSA": ("e", "kty", "n"), "EC": ("crv", "kty", "x", "y")}.get(str(jwk.get("kty")))
    if names is None:
        raise ValueError("not an RSA or EC key")
    members = {name: jwk.get(name) for name in names}
    if not all(isinstance(value, str) for value in members.values()):
        raise ValueError("a member that the thumbprint covers is missing or is not text")
    canonical = json.dumps(members, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).digest()


def thumbprint_text(raw: bytes) -> str:
    """A thumbprint as the protocol writes it: base64url without padding, 43 characters."""
    return _base64url(raw)


def parse_thumbprint(text: str) -> bytes:
    """The raw 32 bytes of a thumbprint; raises ValueError for all but its one spelling."""
    try:
        raw = base64.b64decode(text + "=", altchars=b"-_", validate=True)
    except ValueError:
        raise ValueError("not a thumbprint") from None
    if len(raw) != THUMBPRINT_BYTES or thumbprint_text(raw) != text:
        raise ValueError("not a thumbprint")
    return raw


def _unwrap(text: str) -> bytes:
    """The bytes inside a PEM block that has exactly the form which `_wrap` gives it."""
    # Left to the decoder, this would end in an error that carries the whole text.
    if not text.isascii():
        raise PublicKeyMalformed
    newline = "\r\n" if "\r\n" in text else "\n"
    lines = text.removesuffix(newline).split(newline)
    try:
        der = base64.b64decode("".join(lines[1:-1]), validate=True)
    except ValueError:
        raise PublicKeyMalformed from None
    # Comparing with our own spelling settles labels, columns, padding and stray bits at once.
    if _wrap(der) != lines:
        raise PublicKeyMalformed
    return der


def _wrap(der: bytes) -> list[str]:
    """The lines of the strict textual encoding (RFC 7468 section 3, figure 3)."""
    body = base64.b64encode(der).decode()
    return [_BEGIN, *(body[at : at + 64] for at in range(0, len(body), 64)), _END]


def _open(der: bytes) -> _SupportedKey:
    """The RSA or P-256 key with this SPKI; refused unless it encodes to these very bytes."""
    if _is_private(der):
        raise PublicKeyIsPrivate
    try:
        key = load_der_public_key(der)
    except UnsupportedAlgorithm:
        raise PublicKeyType from None
    except ValueError:
        raise _fault_of(der) from None
    if not isinstance(key, RSAPublicKey | EllipticCurvePublicKey):
        raise PublicKeyType
    if isinstance(key, EllipticCurvePublicKey) and not isinstance(key.curve, SECP256R1):
        raise PublicKeyType
    if key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) != der:
        raise _fault_of(der)
    return key


def _is_private(der: bytes) -> bool:
    """Whether a private key sits under the public label, seen by the version it opens with."""
    if len(der) < 2 or der[0] != 0x30:
        return False
    header = 2 + (der[1] & 0x7F if der[1] & 0x80 else 0)
    return der[header:].startswith(_PRIVATE_VERSIONS)


def _fault_of(der: bytes) -> PublicKeyRefused:
    """The most telling refusal for an SPKI that cannot be read, or that reads but is not DER."""
    if der[2:].startswith(_P256_ALGORITHM) and der[1] == len(der) - 2:
        # All that is left in a block of the right length is the point.
        return PublicKeyPoint()
    if der[6:].startswith(_RSA_PSS_OID):
        return PublicKeyType()
    if der[4:].startswith(_RSA_ALGORITHM) and _has_other_exponent(der[_RSA_KEY_OFFSET:]):
        return PublicKeyExponent()
    return PublicKeyMalformed()


def _has_other_exponent(rsa_key: bytes) -> bool:
    """Whether this is an RSAPublicKey with an exponent other than 65537. The library opens none
    that is even or below 3, but it reads ECDSA signatures, which too are a SEQUENCE of two
    INTEGERs."""
    try:
        _, exponent = decode_dss_signature(rsa_key)
    except ValueError:
        return False
    return exponent != RSA_EXPONENT


def _check_rsa_parameters(key: RSAPublicKey, minimum_bits: int) -> None:
    if key.key_size < minimum_bits:
        raise PublicKeyTooSmall(minimum_bits=minimum_bits)
    if key.key_size > MAX_RSA_BITS:
        raise PublicKeyTooLarge(maximum_bits=MAX_RSA_BITS)
    if key.public_numbers().e != RSA_EXPONENT:
        raise PublicKeyExponent


def _public_key(key: _SupportedKey) -> PublicKey:
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return PublicKey(
        kind="RSA" if isinstance(key, RSAPublicKey) else "P-256",
        bits=key.key_size,
        der=der,
        pem="\n".join(_wrap(der)) + "\n",
        thumbprint=jwk_thumbprint(_jwk(key)),
        _key=key,
    )


def _jwk(key: _SupportedKey) -> dict[str, str]:
    if isinstance(key, RSAPublicKey):
        rsa = key.public_numbers()
        return {"kty": "RSA", "n": _base64url_integer(rsa.n), "e": _base64url_integer(rsa.e)}
    point = key.public_numbers()
    x, y = (_base64url(coordinate.to_bytes(32)) for coordinate in (point.x, point.y))
    return {"kty": "EC", "crv": "P-256", "x": x, "y": y}


def _dss_signature(signature: bytes) -> bytes:
    if len(signature) != _ES256_BYTES:
        raise InvalidSignature
    r, s = (int.from_bytes(half) for half in (signature[:32], signature[32:]))
    return encode_dss_signature(r, s)


def _base64url_integer(number: int) -> str:
    return _base64url(number.to_bytes((number.bit_length() + 7) // 8))


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
