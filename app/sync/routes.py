"""HTTP of `/sync`."""

from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response

from app.auth.dependencies import UserDb
from app.database.port import RowTooLarge
from app.errors import Overloaded
from app.http.bodies import JsonBody
from app.http.holding import HeldResponse
from app.http.refusals import refuses
from app.http.routing import StrictRoute
from app.limits import published_limits
from app.sync.dependencies import PullIn, live_of, sync_of
from app.sync.errors import (
    AtomicAborted,
    CursorInvalid,
    ForeignAuthor,
    MassDelete,
    QuotaExceeded,
    ResetNotNeeded,
    ResetRequired,
    TooManyChanges,
)
from app.sync.frames import MEDIA_TYPE
from app.sync.models import (
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

STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Events `change`, `devices`, `entitlements` and `bye`, without end.",
        "content": {MEDIA_TYPE: {"schema": {"type": "string"}}},
    }
}


@router.post("/push", response_class=Response, responses={200: {"model": PushOut}})
@refuses(
    TooManyChanges,
    QuotaExceeded,
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
    if asked.wait_seconds:
        await sync.wait_for_news(db, asked)
    return _json(await sync.pull(db, asked))


@router.get("/events", response_class=Response, responses=STREAM)
@refuses(Overloaded)
async def stream(request: Request, db: UserDb) -> Response:
    await db.device()
    live = live_of(request)
    live.check(db)
    return HeldResponse(partial(live.stay, db), MEDIA_TYPE)


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
        storage=StorageOut(used=found.state.used_bytes, limit=settings.storage_limit_bytes),
        devices=found.devices,
        limits=published_limits(settings),
        entitlements=[],
    )


def _json(body: bytes) -> Response:
    return Response(body, media_type="application/json")
