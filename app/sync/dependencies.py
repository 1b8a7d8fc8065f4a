"""Requests to typed things."""

from typing import Annotated, cast

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request

from app.errors import Invalid
from app.http.fields import DIGITS
from app.limits import DEFAULT_PULL_LIMIT, MAX_PULL_LIMIT, MAX_WAIT_SECONDS
from app.sync.cursor import MAX_LENGTH
from app.sync.errors import CursorInvalid
from app.sync.live_service import Live
from app.sync.service import PullRequest, SyncService
from app.sync.versions import COLLECTIONS, Collection


def sync_of(request: Request) -> SyncService:
    """The running application's sync; no dependency, since each costs more than a look does."""
    return cast("SyncService", request.app.state.sync)


def live_of(request: Request) -> Live:
    return cast("Live", request.app.state.live)


class PullIn(BaseModel):
    """The query of a pull. An absent or empty cursor means from the start, absent or empty
    collections mean all."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    cursor: str | None = None
    collections: str | None = None
    limit: Annotated[int, Field(ge=1, le=MAX_PULL_LIMIT), DIGITS] = DEFAULT_PULL_LIMIT
    wait: Annotated[int, Field(ge=0, le=MAX_WAIT_SECONDS), DIGITS] = 0

    def request(self) -> PullRequest:
        """What to pull. Raises CursorInvalid or Invalid."""
        if self.cursor is not None and len(self.cursor) > MAX_LENGTH:
            raise CursorInvalid
        collections = _collections(self.collections)
        return PullRequest(self.cursor or None, collections, self.limit, self.wait)


def _collections(names: str | None) -> tuple[Collection, ...]:
    if not names:
        return COLLECTIONS
    asked = names.split(",")
    known = tuple(name for name in COLLECTIONS if name in asked)
    if len(known) != len(asked):
        reason = "must name collections, each once, separated by commas"
        raise Invalid(errors=[{"path": "query/collections", "reason": reason}])
    return known
