"""The byte forms both sides must agree on: length prefixes, base64, ids, origins."""

from __future__ import annotations

import base64
import binascii
import hashlib
import ipaddress
import re
import uuid
from urllib.parse import urlsplit

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\Z")
_HOST = re.compile(r"[a-z0-9._-]+\Z")
_BASE64URL = re.compile(r"[A-Za-z0-9_-]*\Z")
_DEFAULT_PORTS = {"http": 80, "https": 443}


def lp(*parts: bytes) -> bytes:
    """Each part behind its length as 4 bytes, big-endian: no two lists share a form."""
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def u32(number: int) -> bytes:
    return number.to_bytes(4, "big")


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def b64(data: bytes) -> str:
    """Standard base64 with padding, as every byte field of the wire."""
    return base64.b64encode(data).decode("ascii")


def unb64(text: str) -> bytes:
    """Reverse of `b64`; ValueError for anything but the one canonical spelling."""
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise ValueError("not base64") from error
    if b64(data) != text:
        raise ValueError("not canonical base64")
    return data


def b64url(data: bytes) -> str:
    """Base64url without padding (RFC 7515 section 2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def unb64url(text: str) -> bytes:
    """Reverse of `b64url`; ValueError for anything but the one canonical spelling."""
    if not _BASE64URL.match(text) or len(text) % 4 == 1:
        raise ValueError("not base64url")
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if b64url(data) != text:
        raise ValueError("not canonical base64url")
    return data


def new_id() -> str:
    return str(uuid.uuid4())


def is_id(text: str) -> bool:
    return bool(_UUID.match(text))


def id_bytes(text: str) -> bytes:
    """The 16 bytes of a lower-case hyphenated UUID; ValueError for any other spelling."""
    if not _UUID.match(text):
        raise ValueError("not a lower-case UUID")
    return bytes.fromhex(text.replace("-", ""))


def id_text(data: bytes) -> str:
    return str(uuid.UUID(bytes=data))


def origin_of(url: str) -> str:
    """The ASCII origin of a server URL (RFC 6454 section 6.2), without a trailing slash."""
    parts = urlsplit(url)
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
        raise ValueError("a server URL begins with https:// or http:// and names a host")
    if "@" in parts.netloc or parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError("a server URL ends behind the host or its port, and holds no password")
    host = parts.hostname.encode("idna").decode("ascii").lower()
    if ":" in host:
        host = f"[{ipaddress.IPv6Address(host)}]"
    elif not _HOST.match(host):
        raise ValueError("a server URL names a host")
    if parts.port is None or parts.port == _DEFAULT_PORTS[parts.scheme]:
        return f"{parts.scheme}://{host}"
    return f"{parts.scheme}://{host}:{parts.port}"
