"""Calls that are spared the framework's solver, and those that are not."""

from collections.abc import Callable
from typing import Annotated, Any

import httpx
import pytest
from fastapi import APIRouter, Depends, FastAPI, Query, Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, Field

from app import problems
from app.http.direct import directly
from app.http.fields import DIGITS
from app.http.routing import StrictRoute

CANARY = "canary_c81e728d9d4c2f63"


class Asked(BaseModel):
    limit: Annotated[int, Field(ge=1, le=9), DIGITS] = 5
    after: str | None = None


async def who(request: Request) -> str:
    return request.headers.get("x-who", "nobody")


async def twice(name: Annotated[str, Depends(who)]) -> str:
    return name * 2


async def with_parts(
    request: Request, name: Annotated[str, Depends(who)], asked: Annotated[Asked, Query()]
) -> Response:
    return Response(f"{request.url.path} {name} {asked.limit} {asked.after}")


async def without_request(name: Annotated[str, Depends(who)]) -> Response:
    return Response(name)


async def with_a_model(name: Annotated[str, Depends(who)]) -> dict[str, str]:
    return {"name": name}


async def with_a_tree(name: Annotated[str, Depends(twice)]) -> Response:
    return Response(name)


async def with_a_path(part: str) -> Response:
    return Response(part)


async def with_a_scalar(limit: Annotated[int, Query(), DIGITS] = 1) -> Response:
    return Response(str(limit))


def served() -> FastAPI:
    router = APIRouter(route_class=StrictRoute)
    calls: list[tuple[str, Callable[..., Any]]] = [
        ("/parts", with_parts),
        ("/plain", without_request),
        ("/model", with_a_model),
        ("/tree", with_a_tree),
        ("/path/{part}", with_a_path),
        ("/scalar", with_a_scalar),
    ]
    for path, call in calls:
        router.get(path)(call)
    app = FastAPI()
    problems.install(app)
    app.include_router(router)
    return app


def routes() -> dict[str, APIRoute]:
    router = APIRouter(route_class=StrictRoute)
    for call in (with_parts, without_request, with_a_model, with_a_tree, with_a_scalar):
        router.get(f"/{call.__name__}")(call)
    router.get("/with_a_path/{part}")(with_a_path)
    return {route.name: route for route in router.routes if isinstance(route, APIRoute)}


@pytest.fixture
async def client() -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(served()), base_url="http://here")


def test_only_calls_of_plain_parts_are_spared() -> None:
    spared = {name for name, route in routes().items() if directly(route) is not None}
    assert spared == {"with_parts", "without_request"}


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/parts?limit=7&after=x", "/parts me 7 x"),
        ("/parts", "/parts me 5 None"),
        ("/plain", "me"),
        ("/model", '{"name":"me"}'),
        ("/tree", "meme"),
        ("/path/it", "it"),
        ("/scalar?limit=3", "3"),
    ],
)
async def test_every_call_gets_its_parts(client: httpx.AsyncClient, path: str, text: str) -> None:
    answer = await client.get(path, headers={"X-Who": "me"})
    assert (answer.status_code, answer.text) == (200, text)


@pytest.mark.parametrize("path", ["/parts", "/scalar"])
@pytest.mark.parametrize("query", ["limit=0.5", f"limit={CANARY}", "limit="])
async def test_a_query_that_does_not_fit_is_told_alike(
    client: httpx.AsyncClient, path: str, query: str
) -> None:
    answer = await client.get(f"{path}?{query}")
    assert answer.status_code == 422
    assert answer.json()["errors"] == [{"path": "query/limit", "reason": "must be an integer"}]
    assert CANARY not in answer.text


@pytest.mark.parametrize("query", [f"{CANARY}=1", "limit=1&limit=1", f"asked={CANARY}"])
async def test_unknown_and_repeated_parameters_are_refused(
    client: httpx.AsyncClient, query: str
) -> None:
    answer = await client.get(f"/parts?{query}")
    assert answer.json()["errors"][0]["path"] == "query"
    assert CANARY not in answer.text
