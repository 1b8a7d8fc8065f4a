"""Requests to typed things: where one comes from, and what its address may still ask for."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import cast

from fastapi import Depends
from starlette.requests import Request

from app.rates.addresses import Address, DailyHashes, Network, client_address
from app.rates.buckets import JOINS, KEY_CALLS, RECOVERIES, PerAddress
from app.rates.limits import Limits, spend_of


@dataclass(frozen=True, slots=True)
class Door:
    """The limits of a running application, and what tells strangers apart."""

    limits: Limits
    hashes: DailyHashes
    trusted: tuple[Network, ...]


def door_of(request: Request) -> Door:
    return cast("Door", request.app.state.door)


def address_of(request: Request) -> Address | None:
    """Who asks, seen through the proxies that the settings trust."""
    peer = request.client.host if request.client else None
    forwarded = request.headers.getlist("x-forwarded-for")
    return client_address(peer, forwarded, door_of(request).trusted)


def _taking(buckets: PerAddress) -> Callable[[Request], Awaitable[None]]:
    async def take(request: Request) -> None:
        door = door_of(request)
        await spend_of(door.limits, buckets, door.hashes.stranger(address_of(request)))

    return take


TakesKeyCall = Depends(_taking(KEY_CALLS))
"""In a route's `dependencies`: 429 `rate_limited` for an address that calls too often."""
TakesJoin = Depends(_taking(JOINS))
TakesRecovery = Depends(_taking(RECOVERIES))
