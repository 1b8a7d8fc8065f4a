"""HTTP of `/account`."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, cast

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from app.account.dependencies import account_of, export_of
from app.account.models import AccountOut, DeleteIn, StorageOut
from app.auth.dependencies import OriginsDep, ProvenDeviceDep, UserDb
from app.auth.errors import ChallengeInvalid, SignatureInvalid
from app.http.bodies import JsonBody
from app.http.refusals import refuses
from app.http.routing import StrictRoute
from app.sync.dependencies import sync_of

EXPORT_MEDIA_TYPE = "application/x-ndjson"

router = APIRouter(prefix="/account", route_class=StrictRoute, tags=["account"])


class _Export(StreamingResponse):
    """Ends the work with the answer, however the answer ends."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with aclosing(cast("AsyncGenerator[bytes]", self.body_iterator)):
            await super().__call__(scope, receive, send)


@router.get("")
async def account(request: Request, db: UserDb) -> AccountOut:
    status = await sync_of(request).status(db)
    return AccountOut(
        user_id=db.user_id,
        created_at=await account_of(request).created_at(db.user_id),
        devices=status.devices,
        storage=StorageOut(used=status.state.used_bytes, limit=status.storage_limit),
        entitlements=[],
    )


@router.post("/export", response_class=Response)
async def export(request: Request, device: ProvenDeviceDep, db: UserDb) -> Response:
    lines = await export_of(request).begin(device.user_id, db)
    return _Export(lines, media_type=EXPORT_MEDIA_TYPE)


@router.delete("", status_code=204)
@refuses(ChallengeInvalid, SignatureInvalid)
async def delete(
    request: Request,
    device: ProvenDeviceDep,
    origins: OriginsDep,
    body: Annotated[DeleteIn, Depends(JsonBody(DeleteIn))],
) -> None:
    await account_of(request).delete(device, body.challenge, body.signature, origins)
