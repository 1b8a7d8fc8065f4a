"""Who counts as one stranger: groups of addresses, named by keyed hashes and by nothing else.

No address is stored, logged or kept in memory longer than its request. What is kept is an HMAC
under a key that changes every day.
"""

import hmac
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import TypeAlias

from app.clock import Clock, day_of

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

ONE_BITS = 64
SITE_BITS = 48
MAX_HOPS = 32
_HASH_BYTES = 16
_NOWHERE = b"-"
"""A caller without an address, as over a local socket: all of them are one."""


@dataclass(frozen=True, slots=True)
class Stranger:
    """The keys under which an address is counted: its own, and its site's if it is IPv6."""

    one: bytes
    site: bytes | None


def parse_address(text: str) -> Address | None:
    """An address as a socket or a proxy writes it, perhaps with a port or in brackets; an IPv4
    address inside an IPv6 one is taken out (RFC 4291 section 2.5.5.2). None for anything else."""
    host = text.strip()
    if host.startswith("["):
        host = host[1:].partition("]")[0]
    elif host.count(":") == 1:
        host = host.partition(":")[0]
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def client_address(
    peer: str | None, forwarded: Sequence[str], trusted: Sequence[Network]
) -> Address | None:
    """Who asks: the peer itself unless it is trusted; behind trusted ones, the rightmost address
    of `X-Forwarded-For` (its lines in order) that is not trusted. Further left anybody could have
    written. Never raises: what is no address ends the walk at the last hop that is known."""
    address = parse_address(peer) if peer else None
    if address is None or not trusted or not _is_trusted(address, trusted):
        return address
    hops = ",".join(forwarded).rsplit(",", MAX_HOPS)[-MAX_HOPS:]
    for hop in reversed(hops):
        found = parse_address(hop)
        if found is None:
            return address
        address = found
        if not _is_trusted(address, trusted):
            return address
    return address


def _is_trusted(address: Address, trusted: Sequence[Network]) -> bool:
    return any(address in network for network in trusted)


def group_of(address: Address | None) -> str | None:
    """Whom a connection counts for: an IPv4 address, or an IPv6 address's /64."""
    return None if address is None else _groups(address)[0].decode("ascii")


def _groups(address: Address | None) -> tuple[bytes, bytes | None]:
    if address is None:
        return _NOWHERE, None
    if isinstance(address, IPv4Address):
        return str(address).encode(), None
    number = int(address)
    one, site = (_prefix(number, bits) for bits in (ONE_BITS, SITE_BITS))
    return one, site


def _prefix(number: int, bits: int) -> bytes:
    return f"{IPv6Address(number >> (128 - bits) << (128 - bits))}/{bits}".encode()


class DailyHashes:
    """Strangers under a key of the day. By default it is drawn at random and lives in memory only,
    so yesterday's hashes mean nothing to anybody. Where hashes must outlive the process, `key_of`
    derives it from the day."""

    def __init__(self, clock: Clock, key_of: Callable[[int], bytes] | None = None) -> None:
        self._clock = clock
        self._key_of = key_of or _drawn
        self._day = -1
        self._key = b""

    def stranger(self, address: Address | None) -> Stranger:
        """The keys under which it is counted today."""
        day = day_of(int(self._clock()))
        if day != self._day:
            self._day, self._key = day, self._key_of(day)
        one, site = _groups(address)
        return Stranger(self._hash(one), None if site is None else self._hash(site))

    def _hash(self, group: bytes) -> bytes:
        return hmac.digest(self._key, group, "sha256")[:_HASH_BYTES]


def _drawn(_day: int) -> bytes:
    return secrets.token_bytes(32)
