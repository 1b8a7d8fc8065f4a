"""Requests to typed things."""

from typing import Annotated, cast

from fastapi import Depends, Query
from starlette.requests import Request

from app.errors import Invalid
from app.sync.cursor import MAX_LENGTH
from app.sync.errors import CursorInvalid
from app.sync.service import SyncService
from app.sync.versions import COLLECTIONS, Collection


async def sync_of(request: Request) -> SyncService:
    return cast("SyncService", request.app.state.sync)


async def cursor_of(cursor: Annotated[str | None, Query()] = None) -> str | None:
    """The cursor as sent; an absent or empty one means from the start."""
    if cursor is not None and len(cursor) > MAX_LENGTH:
        raise CursorInvalid
    return cursor or None


async def collections_of(
    collections: Annotated[str | None, Query()] = None,
) -> tuple[Collection, ...]:
    """Which collections to pull, separated by commas; absent or empty means all."""
    if not collections:
        return COLLECTIONS
    names = collections.split(",")
    known = tuple(name for name in COLLECTIONS if name in names)
    if len(known) != len(names):
        reason = "must name collections, each once, separated by commas"
        raise Invalid(errors=[{"path": "query/collections", "reason": reason}])
    return known


SyncDep = Annotated[SyncService, Depends(sync_of)]
CursorQuery = Annotated[str | None, Depends(cursor_of)]
CollectionsQuery = Annotated[tuple[Collection, ...], Depends(collections_of)]
