"""Refusing a stranger at the same price as a device that is known.

Whoever asks with a key that is nobody's must not learn so from the time the answer takes. What a
signature costs depends on the kind of the key, and a key tells its own kind: so a refusal always
pays for every kind, one of them with the device's own key if there is one.
"""

import base64
from collections.abc import Sequence
from typing import Literal, TypeAlias

from app.auth.public_key import PublicKey, open_public_key

_Kind: TypeAlias = Literal["RSA-2048", "RSA-3072", "RSA-4096", "P-256"]


def verified_alike(der: bytes | None, signature: bytes, messages: Sequence[bytes]) -> bool:
    """Whether the key (SPKI; None: nobody's) signed one of the messages. If not, the work done was
    the same for any key and for none; RSA keys between the usual sizes count as the next one."""
    # Never from the cache: a known key would be in it more often than nobody's.
    key = None if der is None else open_public_key(der)
    if key is not None and _signed(key, signature, messages):
        return True
    own = None if key is None else _kind_of(key)
    for kind, nobody in _NOBODY.items():
        if kind != own:
            _signed(open_public_key(nobody), signature, messages)
    return False


def _signed(key: PublicKey, signature: bytes, messages: Sequence[bytes]) -> bool:
    return any(key.verify_in_full(signature, message) for message in messages)


def _kind_of(key: PublicKey) -> _Kind:
    if key.kind == "P-256":
        return "P-256"
    if key.bits <= 2048:
        return "RSA-2048"
    return "RSA-3072" if key.bits <= 3072 else "RSA-4096"


# A public key of each kind whose private half was thrown away.
_NOBODY: dict[_Kind, bytes] = {
    "RSA-2048": base64.b64decode(
        "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA8T+ffFPsrDoKOxilAWvlg1Owyyb2XZetn32tYHK/sH9Z"
        "ORq/wIPIMzsjIouj+mC3DDaRF8DOoynNwx17GD1E79wI0OQucxy9WUaswGIVGvoYFt4pFjrBJ1xwRFWVyqhdgDbF"
        "dIjP7S4esuRtILr0HdhaOPGH0cl4MQsYC/zDxup3BKl5z1jZrJ6imMaIyEjvb9lEqECacjp5jvLzkq3zuLtqtVeD"
        "MT4gV2WMH8Pfx/iLNTBlgm2qwpA9PGtpqgnwqsefnlE3Ol/tIFM/NM7f8ww1OcPxiFrgrqNXMpbw2ITMdbcL7CkV"
        "41h5lyTyJnvErUqHsNlXdn5/P+2Gdt0+3wIDAQAB"
    ),
    "RSA-3072": base64.b64decode(
        "MIIBojANBgkqhkiG9w0BAQEFAAOCAY8AMIIBigKCAYEAyj9BrS2n2ma8TaFSrhfCQhIJD70dZV59QxIOYhIjdb03"
        "LMMWOJR5p5fdOf9TIKx6GbSgLWTJmwMA/tulsEpMKoY77AdZV2XTLM5xC586k//xUcn2i4NMSKvFmIsc8dXg2jf6"
        "B5JK1rs0Cy6QWy6+iJLiDbxiwYFgX4ORWuD06+ktcEquWpUDq7G5kHX/ZZCU3S8t3JgZOpq9VpwkGRlcyUU/zqKt"
        "hImDFdFQhzGyjqIs+xf7rBEGhESTSJeOD/EMCH8zLIzOlArtlOZvwMJ/n0BhsQzQFQVM9by2dDP49FuHszdM2/fV"
        "gBBKbUSdN9JmoGyz19YuwKtO5LrbeHrWICMxShLjgQc6dW90/qBfihNzz9EnoypNiVekFt46b6cEGJAIAA7U7KL7"
        "KWcszVBc3LnpV2RLSqTGM84CP+0ZAi154t4sVLihTHyjRawfhpbdN5oGVr7DNpoG8drEhlkvqYoX4ZBy3vp5iKDA"
        "TNrXg7lgxCKgUZMc0zNYh4j5YQDjAgMBAAE="
    ),
    "RSA-4096": base64.b64decode(
        "MIICIjANBgkqhkiG9w0BAQEFAAOCAg8AMIICCgKCAgEAxGwZhVb/+ubHHRtgNhYDKZ/8EXfRNKhFeaPT70fiCBDr"
        "xGN54XxTxHiL3Zt1mPTBEhrLkf1kFASRtuzjWKKY296wT3sErKIKooBo1QKn59ZWAAKrzQJ3e0IEilMKf3hmEvmQ"
        "tP428MEGJoTULa6rNoxUbzwS8lF+GWKEaJh9/H6bgeak0ZOI/HDhKge8hvAS80zVLZdlYkk8Vrcj0BVTvI6yddqE"
        "GBy5lQR5yQPm8oZw2xzBr/2zT2wQJjvsQiahntt3g+LfFBel9+U1Wd/GZnEANv3B/sTXwCL+Gm82nnZsE0avJh4j"
        "7FQGBJirXBFdY/us2oKakNuG4jIAftiSevfYOhNYKJESXNU+L9i1Bpi3U53wzt22hurnuYDWHLfuVEyh+ToAfQI8"
        "OmgCyaASebj7BeBn29vNrw0EJNL6YYnwUrc45AV6XUQ9lkWq7nC+NgExCXmvuwvGCEgmqyMTLSgotu9PfUN6/6pH"
        "sZ3+CdFncbwq95RuDQimdpH3SPOc6My4n0mmEWWyvUBqKgYsJCjZJQLTsAVTIDaMoTMw4qbWeyHowqJ7o+TgzxhQ"
        "Ymnb14UMjyJaPRNhfpQhoP594faj/hQOrVZvQ+IRHUA+0qqIfkdEx33hP3i6xIeojQo7PVQuuL3ygp1E1EN7Hapu"
        "bw7L6mIwUJO8SSs/sWp0Qy8CAwEAAQ=="
    ),
    "P-256": base64.b64decode(
        "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEYzM/TH5MA3InQZtocWzWRkoVS7OEG0esnGzTXJE0dhduHLiWu615"
        "2OEjFKlR194oFJACHRpqtGJu8W7F346iRQ=="
    ),
}
