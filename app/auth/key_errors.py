"""Why a key is refused; each reason a client can act on has a code of its own.

PublicKeyRefused
├── PublicKeyIsPrivate   somebody's secret; must be discarded
├── PublicKeyTooLong
├── PublicKeyMalformed   not the one spelling of an SPKI key
├── PublicKeyType        neither RSA nor P-256
├── PublicKeyTooSmall
├── PublicKeyTooLarge
├── PublicKeyExponent
├── PublicKeyPoint
├── PublicKeyKnown       its private half is in a document
└── PublicKeyWeak        its private half can be computed

None of them ever holds a character of the key.
"""

from app.errors import Invalid


class PublicKeyRefused(Invalid):
    """A key that no device may have; `errors` names the field where it is not `public_key`."""

    code = "public_key_refused"
    title = "This key is not accepted."


class PublicKeyIsPrivate(PublicKeyRefused):
    """A private key was sent; it must be discarded, for it has left its device."""

    code = "public_key_is_private"
    title = "This is a private key. Discard it, make a new one, and send only its public half."


class PublicKeyTooLong(PublicKeyRefused):
    """The key's text is longer than `limit` characters."""

    code = "public_key_too_long"
    title = "The text of the key is too long."


class PublicKeyMalformed(PublicKeyRefused):
    """Not exactly one strict PUBLIC KEY block (RFC 7468 section 3) around canonical DER."""

    code = "public_key_malformed"
    title = "Send the key as one PEM block PUBLIC KEY, 64 characters a line, nothing around it."


class PublicKeyType(PublicKeyRefused):
    """A well-formed key that is neither RSA (rsaEncryption) nor EC on P-256."""

    code = "public_key_type"
    title = "The key must be RSA or P-256."


class PublicKeyTooSmall(PublicKeyRefused):
    """An RSA modulus of fewer than `minimum_bits` bits."""

    code = "public_key_too_small"
    title = "The RSA modulus is too small."


class PublicKeyTooLarge(PublicKeyRefused):
    """An RSA modulus of more than `maximum_bits` bits."""

    code = "public_key_too_large"
    title = "The RSA modulus is too large."


class PublicKeyExponent(PublicKeyRefused):
    """An RSA exponent other than 65537."""

    code = "public_key_exponent"
    title = "The RSA exponent must be 65537."


class PublicKeyPoint(PublicKeyRefused):
    """A P-256 key that is not an uncompressed point of the curve."""

    code = "public_key_point"
    title = "The P-256 key must be an uncompressed point on the curve."


class PublicKeyKnown(PublicKeyRefused):
    """A key whose private half is published, as in the examples of an RFC."""

    code = "public_key_known"
    title = "This key is a published example. Make a new one."


class PublicKeyWeak(PublicKeyRefused):
    """An RSA modulus that can be factored; `weakness` says which flaw gave it away."""

    code = "public_key_weak"
    title = "This RSA key is weak. Make a new one with another generator."
