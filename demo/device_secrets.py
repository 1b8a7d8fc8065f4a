"""Everything a device keeps to itself, so that the sweep knows what to look for.

The demo has the passphrase, so it can open a device's keys. Nobody else can; that is the point.
"""

import base64
from collections.abc import Iterator
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)

from demo.devices import Device
from demo.needles import Needle, bytes_needle, text_needle
from echolia import Client

_LINK = "echolia://pair#"
_LINK_SECRET = slice(20, 52)
"""Between the pairing's id and the key's fingerprint, both of which the server knows."""
_REFRESH_SECRET_BYTES = 32


def secrets_of(device: Device) -> list[Needle]:
    """Keys, tokens, passphrase and name of a device, as they are now."""
    return list(_secrets_of(device))


def _secrets_of(device: Device) -> Iterator[Needle]:
    where = device.name
    yield from _texts("passphrase", where, device.passphrase)
    yield from _texts("device name", where, device.name)
    with Client.open(device.home, device.passphrase) as client:
        keys = client._keyring
        session = client._load_session()
    for use, key in (("signing", keys.signing), ("receiving", keys.wrapping)):
        yield from _private_key(f"{where}, {use}", key.der)
    for epoch, key_of_epoch in keys.key_epochs.items():
        yield bytes_needle("vault key", f"epoch {epoch}", key_of_epoch)
    yield bytes_needle("key of the local store", where, keys.store_key)
    if session is not None:
        yield from _access_token(where, session.access_token)
        yield from _refresh_token(where, session.refresh_token)


def secret_of_link(link: str) -> Needle:
    """The part of a pairing link that goes from screen to screen and never over the network."""
    data = _from_base64url(link.removeprefix(_LINK))
    return bytes_needle("pairing link", "the laptop's screen", data[_LINK_SECRET])


def secret_of_server(file: Path) -> Iterator[Needle]:
    """The root of the server's keys: nobody but its own file may hold it."""
    yield from _texts("server secret", file.name, file.read_text().strip())


def _private_key(where: str, der: bytes) -> Iterator[Needle]:
    """The numbers that make the key private. In PEM they are base64 in lines, which is searched
    for in any case; the modulus before them is public, and the server's to know."""
    key = load_der_private_key(der, password=None)
    if not isinstance(key, RSAPrivateKey):
        raise TypeError("the sweep knows where the secret part of an RSA key lies, and of no other")
    for name, form in (
        ("PKCS #8", PrivateFormat.PKCS8),
        ("PKCS #1", PrivateFormat.TraditionalOpenSSL),
    ):
        encoded = key.private_bytes(Encoding.DER, form, NoEncryption())
        numbers = key.private_numbers()
        exponent = numbers.d.to_bytes((numbers.d.bit_length() + 7) // 8, "big")
        yield bytes_needle("private key", f"{where}, {name}", encoded[encoded.index(exponent) :])
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    yield from _texts("private key", f"{where}, first line of PEM", pem.splitlines()[0])


def _access_token(where: str, token: str) -> Iterator[Needle]:
    """As a text, and its signature as bytes."""
    yield from _texts("token", f"{where}, access", token)
    yield bytes_needle("token", f"{where}, access", _from_base64url(token.rsplit(".", 1)[1]))


def _refresh_token(where: str, token: str) -> Iterator[Needle]:
    """As a text, and its secret part as bytes; before that stand ids, which the server knows."""
    yield from _texts("token", f"{where}, refresh", token)
    secret = _from_base64url(token)[-_REFRESH_SECRET_BYTES:]
    yield bytes_needle("token", f"{where}, refresh", secret)


def _texts(kind: str, where: str, text: str) -> Iterator[Needle]:
    needle = text_needle(kind, where, text)
    if needle is None:
        raise ValueError(f"the {kind} is too short to be found for certain")
    yield needle


def _from_base64url(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
