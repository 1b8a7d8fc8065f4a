"""Requests to typed things."""

from typing import Annotated, cast

from fastapi import Depends, Query
from starlette.requests import Request

from app.errors import Invalid
from app.http.fields import DIGITS
from app.http.refusals import refuses
from app.limits import DEFAULT_PULL_LIMIT, MAX_PULL_LIMIT, MAX_WAIT_SECONDS
from app.sync.cursor import MAX_LENGTH
from app.sync.errors import CursorInvalid
from app.sync.service import PullRequest, SyncService
from app.sync.versions import COLLECTIONS, Collection


def sync_of(request: Request) -> SyncService:
    """The running application's sync; no dependency, since each costs more than a look does."""
    return cast("SyncService", request.app.state.sync)


@refuses(CursorInvalid, Invalid)
async def pull_request_of(
    cursor: Annotated[str | None, Query()] = None,
    collections: Annotated[str | None, Query()] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PULL_LIMIT), DIGITS] = DEFAULT_PULL_LIMIT,
    wait: Annotated[int, Query(ge=0, le=MAX_WAIT_SECONDS), DIGITS] = 0,
) -> PullRequest:
    """What to pull. An absent or empty cursor means from the start, absent or empty collections
    mean all. Raises CursorInvalid or Invalid."""
    if cursor is not None and len(cursor) > MAX_LENGTH:
        raise CursorInvalid
    return PullRequest(cursor or None, _collections(collections), limit, wait)


def _collections(names: str | None) -> tuple[Collection, ...]:
    if not names:
        return COLLECTIONS
    asked = names.split(",")
    known = tuple(name for name in COLLECTIONS if name in asked)
    if len(known) != len(asked):
        reason = "must name collections, each once, separated by commas"
        raise Invalid(errors=[{"path": "query/collections", "reason": reason}])
    return known


PullQuery = Annotated[PullRequest, Depends(pull_request_of)]
