"""HTTP of `/sync`."""

from functools import partial
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Query, Request, Response

from app.auth.dependencies import UserDb
from app.database.port import RowTooLarge
from app.errors import Overloaded
from app.http.bodies import JsonBody
from app.http.formats import JSON, Format, sent_in, wanted_by
from app.http.holding import HeldResponse
from app.http.messagepack import encode
from app.http.refusals import refuses
from app.http.routing import StrictRoute
from app.limits import published_limits
from app.sync.dependencies import (
    DigestIn,
    PullIn,
    digests_of,
    live_of,
    rendering_in,
    sync_of,
)
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
from app.sync.frames import MEDIA_TYPE
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
    open_in,
    push_budget,
)
from app.sync.service import PushRequest

router = APIRouter(prefix="/sync", route_class=StrictRoute, tags=["sync"])

_PUSH = JsonBody(PushIn, "max_push_bytes", check=check_parts, budget=push_budget, open_in=open_in)
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
    body: Annotated[PushIn, Depends(_PUSH)],
) -> Response:
    wanted = wanted_by(request)
    asked = PushRequest(
        changes=changes_of(body, db.device_id, sent_in(request).bytes_of),
        atomic=body.atomic,
        confirm_deletes=body.confirm_deletes,
        is_reset=body.is_reset,
        reset_from=body.reset_from,
        rendering=rendering_in(wanted),
    )
    return _answer(await sync_of(request).push(db, asked), wanted)


@router.get("/pull", response_class=Response, responses={200: {"model": PullOut}})
@refuses(CursorInvalid, ResetRequired)
async def pull(request: Request, db: UserDb, query: Annotated[PullIn, Query()]) -> Response:
    wanted = wanted_by(request)
    sync, asked = sync_of(request), query.request(rendering_in(wanted))
    if isinstance(asked, BucketRequest):
        return _answer(await digests_of(request).pull(db, asked), wanted)
    if asked.wait_seconds:
        await sync.wait_for_news(db, asked)
    return _answer(await sync.pull(db, asked), wanted)


@router.get("/digest", response_class=Response, responses={200: {"model": DigestOut}})
async def digest(request: Request, db: UserDb, query: Annotated[DigestIn, Query()]) -> Response:
    wanted = wanted_by(request)
    found = await digests_of(request).digest(db, query.collection)
    return _answer(found if wanted is JSON else encode(orjson.loads(found)), wanted)


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
        storage=StorageOut(used=found.state.used_bytes, limit=found.storage_limit),
        devices=found.devices,
        limits=published_limits(settings),
        entitlements=[],
    )


def _answer(body: bytes, format_: Format) -> Response:
    return Response(body, media_type=format_.media_type)
