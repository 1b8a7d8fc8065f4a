"""`GET /` and `GET /health`."""

import asyncio
from typing import Literal, cast

from fastapi import APIRouter, Request

from app import __version__
from app.database.port import Busy, Database, Statement
from app.http.fields import Out
from app.http.routing import StrictRoute
from app.limits import published_limits

API_VERSION = 1
HEALTH_SECONDS = 2
"""How long an answer may take before the server counts as unwell."""

router = APIRouter(route_class=StrictRoute, tags=["service"])


class AboutOut(Out):
    name: Literal["echolia"] = "echolia"
    version: str = __version__
    api_version: int = API_VERSION
    limits: dict[str, int]


class HealthOut(Out):
    status: Literal["ok"] = "ok"
    database: Literal["ok"] = "ok"


@router.get("/")
async def about(request: Request) -> AboutOut:
    return AboutOut(limits=published_limits(request.app.state.settings))


@router.get("/health")
async def health(request: Request) -> HealthOut:
    """200 if the master database answers within two seconds; storage's own 503 if it does not."""
    master = cast("Database", request.app.state.master)
    try:
        async with asyncio.timeout(HEALTH_SECONDS):
            await master.read([Statement("SELECT COUNT(*) FROM schema_version")])
    except TimeoutError:
        raise Busy from None
    return HealthOut()
