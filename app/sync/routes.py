"""HTTP of `/sync`."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from app.auth.dependencies import UserDb
from app.database.port import RowTooLarge
from app.http.bodies import JsonBody
from app.http.refusals import refuses
from app.http.routing import StrictRoute
from app.limits import published_limits
from app.sync.dependencies import DigestIn, PullIn, digests_of, sync_of
from app.sync.digests import BucketRequest
from app.sync.errors import (
    AtomicAborted,
    CursorInvalid,
    ForeignAuthor,
    MassDelete,
    QuotaExceeded,
    ResetNotNeeded,
    ResetRequired,
    TooManyChanges,
    TooManyStoredVersions,
)
from app.sync.models import (
    DigestOut,
    ItemsOut,
    PullOut,
    PushIn,
    PushOut,
    StatusOut,
    StorageOut,
    changes_of,
    check_parts,
)
from app.sync.service import PushRequest

router = APIRouter(prefix="/sync", route_class=StrictRoute, tags=["sync"])


@router.post("/push", response_class=Response, responses={200: {"model": PushOut}})
@refuses(
    TooManyChanges,
    QuotaExceeded,
    TooManyStoredVersions,
    RowTooLarge,
    AtomicAborted,
    MassDelete,
    CursorInvalid,
    ResetNotNeeded,
    ForeignAuthor,
)
async def push(
    request: Request,
    db: UserDb,
    body: Annotated[PushIn, Depends(JsonBody(PushIn, "max_push_bytes", check=check_parts))],
) -> Response:
    asked = PushRequest(
        changes=changes_of(body, db.device_id),
        atomic=body.atomic,
        confirm_deletes=body.confirm_deletes,
        is_reset=body.is_reset,
        reset_from=body.reset_from,
    )
    return _json(await sync_of(request).push(db, asked))


@router.get("/pull", response_class=Response, responses={200: {"model": PullOut}})
@refuses(CursorInvalid, ResetRequired)
async def pull(request: Request, db: UserDb, query: Annotated[PullIn, Query()]) -> Response:
    sync, asked = sync_of(request), query.request()
    if isinstance(asked, BucketRequest):
        return _json(await digests_of(request).pull(db, asked))
    if asked.wait_seconds:
        await sync.wait_for_news(db, asked)
    return _json(await sync.pull(db, asked))


@router.get("/digest", response_class=Response, responses={200: {"model": DigestOut}})
async def digest(request: Request, db: UserDb, query: Annotated[DigestIn, Query()]) -> Response:
    return _json(await digests_of(request).digest(db, query.collection))


@router.get("/status")
async def status(request: Request, db: UserDb) -> StatusOut:
    found = await sync_of(request).status(db)
    settings = request.app.state.settings
    return StatusOut(
        epoch=found.state.epoch.hex(),
        cursor=found.cursor,
        key_epoch=found.state.key_epoch,
        items=ItemsOut.model_validate(found.state.live),
        conflicts=found.state.conflicts,
        storage=StorageOut(used=found.state.used_bytes, limit=found.storage_limit),
        devices=found.devices,
        limits=published_limits(settings),
        entitlements=[],
    )


def _json(body: bytes) -> Response:
    return Response(body, media_type="application/json")
