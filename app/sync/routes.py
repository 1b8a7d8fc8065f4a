"""HTTP of `/sync`."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from app.auth.dependencies import UserDb
from app.http.bodies import JsonBody
from app.http.fields import QueryInt
from app.http.routing import StrictRoute
from app.limits import DEFAULT_PULL_LIMIT, MAX_PULL_LIMIT, MAX_WAIT_SECONDS, published_limits
from app.sync.dependencies import CollectionsQuery, CursorQuery, SyncDep
from app.sync.models import (
    ItemsOut,
    PushIn,
    StatusOut,
    StorageOut,
    changes_of,
    check_parts,
)
from app.sync.service import PullRequest, PushRequest

router = APIRouter(prefix="/sync", route_class=StrictRoute, tags=["sync"])

Limit = Annotated[QueryInt, Query(ge=1, le=MAX_PULL_LIMIT)]
WaitSeconds = Annotated[QueryInt, Query(ge=0, le=MAX_WAIT_SECONDS)]


@router.post("/push", response_class=Response)
async def push(
    db: UserDb,
    sync: SyncDep,
    body: Annotated[PushIn, Depends(JsonBody(PushIn, "max_push_bytes", check=check_parts))],
) -> Response:
    request = PushRequest(
        changes=changes_of(body, db.device_id),
        atomic=body.atomic,
        confirm_deletes=body.confirm_deletes,
        is_reset=body.is_reset,
        reset_from=body.reset_from,
    )
    return _json(await sync.push(db, request))


@router.get("/pull", response_class=Response)
async def pull(
    db: UserDb,
    sync: SyncDep,
    cursor: CursorQuery,
    collections: CollectionsQuery,
    limit: Limit = DEFAULT_PULL_LIMIT,
    wait: WaitSeconds = 0,
) -> Response:
    asked = PullRequest(cursor, collections, limit, wait)
    if wait:
        await sync.wait_for_news(db, asked)
    return _json(await sync.pull(db, asked))


@router.get("/status")
async def status(request: Request, db: UserDb, sync: SyncDep) -> StatusOut:
    found = await sync.status(db)
    settings = request.app.state.settings
    return StatusOut(
        epoch=found.state.epoch.hex(),
        cursor=found.cursor,
        key_epoch=found.state.key_epoch,
        items=ItemsOut.model_validate(found.state.live),
        conflicts=found.state.conflicts,
        storage=StorageOut(used=found.state.used_bytes, limit=settings.storage_limit_bytes),
        devices=found.devices,
        limits=published_limits(settings),
        entitlements=[],
    )


def _json(body: bytes) -> Response:
    return Response(body, media_type="application/json")
