"""Requests to typed things."""

from typing import Annotated, cast

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request

from app.errors import Invalid
from app.http.fields import DIGITS
from app.limits import DEFAULT_PULL_LIMIT, MAX_PULL_LIMIT, MAX_WAIT_SECONDS
from app.sync.cursor import MAX_LENGTH
from app.sync.digest import BUCKETS
from app.sync.digests import BucketRequest, Digests
from app.sync.errors import CursorInvalid
from app.sync.service import PullRequest, SyncService
from app.sync.versions import COLLECTIONS, Collection


def sync_of(request: Request) -> SyncService:
    """The running application's sync; no dependency, since each costs more than a look does."""
    return cast("SyncService", request.app.state.sync)


def digests_of(request: Request) -> Digests:
    """The running application's digests."""
    return cast("Digests", request.app.state.digests)


class DigestIn(BaseModel):
    """The query of a digest."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    collection: Collection


class PullIn(BaseModel):
    """The query of a pull. An absent or empty cursor means from the start, absent or empty
    collections mean all; with a bucket, one collection is named, and there is no waiting."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    cursor: str | None = None
    collections: str | None = None
    limit: Annotated[int, Field(ge=1, le=MAX_PULL_LIMIT), DIGITS] = DEFAULT_PULL_LIMIT
    wait: Annotated[int, Field(ge=0, le=MAX_WAIT_SECONDS), DIGITS] = 0
    bucket: Annotated[int, Field(ge=0, lt=BUCKETS), DIGITS] | None = None

    def request(self) -> PullRequest | BucketRequest:
        """What to pull. Raises CursorInvalid or Invalid."""
        if self.cursor is not None and len(self.cursor) > MAX_LENGTH:
            raise CursorInvalid
        collections = _collections(self.collections)
        if self.bucket is None:
            return PullRequest(self.cursor or None, collections, self.limit, self.wait)
        if len(collections) != 1:
            raise _fault("collections", "must name one collection where a bucket is asked for")
        if self.wait:
            raise _fault("wait", "does not go with a bucket")
        return BucketRequest(collections[0], self.bucket, self.cursor or None, self.limit)


def _collections(names: str | None) -> tuple[Collection, ...]:
    if not names:
        return COLLECTIONS
    asked = names.split(",")
    known = tuple(name for name in COLLECTIONS if name in asked)
    if len(known) != len(asked):
        raise _fault("collections", "must name collections, each once, separated by commas")
    return known


def _fault(name: str, reason: str) -> Invalid:
    return Invalid(errors=[{"path": f"query/{name}", "reason": reason}])
