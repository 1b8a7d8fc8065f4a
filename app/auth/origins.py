"""Which origins a signature may name."""

import re
from urllib.parse import urlsplit

_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
_NOT_OURS = re.compile(r"[\x00-\x20\x7f?#\\]")
_DEFAULT_PORTS = {"http": 80, "https": 443}


def accepted_origins(
    public_origin: str, *, development: bool, listening_port: int | None
) -> tuple[str, ...]:
    """`PUBLIC_ORIGIN`; in development also the loopback spellings with the port listened on, so
    that a server on another port or asked for as 127.0.0.1 works without configuration."""
    if not development or listening_port is None:
        return (public_origin,)
    suffix = "" if listening_port == 80 else f":{listening_port}"
    local = (f"http://{host}{suffix}" for host in _LOOPBACK)
    return tuple(dict.fromkeys((public_origin, *local)))


def normalised(url: str) -> str | None:
    """An absolute URL in the form of RFC 3986 section 6.2: lower-case scheme and host, no default
    port, no empty path. None if it has a query, a fragment (an empty one is one too), a user, or
    is no URL."""
    # The parser below drops blanks and empty parts without a word, so they are looked for first.
    if _NOT_OURS.search(url):
        return None
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if "@" in parts.netloc or not parts.scheme or not parts.hostname:
        return None
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    default = port is None or _DEFAULT_PORTS.get(parts.scheme) == port
    return f"{parts.scheme}://{host}{'' if default else f':{port}'}{parts.path or '/'}"
