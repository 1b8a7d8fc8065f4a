"""The OpenAPI document with the bodies that our own dependencies read.

The framework describes only bodies that it parses itself; ours are parsed strictly by `JsonBody`.
"""

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, iter_route_contexts
from pydantic.json_schema import models_json_schema

from app.http.bodies import JsonBody
from app.http.formats import JSON, MESSAGEPACK

_REFERENCES = "#/components/schemas/{model}"


def describe_bodies(app: FastAPI) -> None:
    """`app.openapi()` names the request body of every call afterwards."""
    describe = app.openapi

    def with_bodies() -> dict[str, Any]:
        document = describe()
        _add_bodies(document, dict(_bodies(app)))
        _add_messagepack(document)
        return document

    app.openapi = with_bodies  # type: ignore[method-assign]


def _bodies(app: FastAPI) -> Iterator[tuple[tuple[str, str], JsonBody[Any]]]:
    """The body of each call that has one, by path template and lower-case method."""
    for context in iter_route_contexts(app.routes):
        route = context.original_route
        if not isinstance(route, APIRoute) or context.path_format is None:
            continue
        for body in _bodies_of(route.dependant):
            for method in context.methods or ():
                yield (context.path_format, method.lower()), body


def _bodies_of(dependant: Dependant) -> Iterator[JsonBody[Any]]:
    if isinstance(dependant.call, JsonBody):
        yield dependant.call
    for inner in dependant.dependencies:
        yield from _bodies_of(inner)


def _add_bodies(document: dict[str, Any], bodies: dict[tuple[str, str], JsonBody[Any]]) -> None:
    models = {body.model: None for body in bodies.values()}
    references, definitions = models_json_schema(
        [(model, "validation") for model in models], ref_template=_REFERENCES
    )
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    schemas |= definitions.get("$defs", {})
    for (path, method), body in bodies.items():
        schema = references[body.model, "validation"]
        operation = document["paths"][path][method]
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": schema}},
        }


def _add_messagepack(document: dict[str, Any]) -> None:
    """Whatever is said in JSON may be said in MessagePack; there, what the schema calls base64 is
    raw bytes."""
    for operation in (each for path in document["paths"].values() for each in path.values()):
        for holder in (operation.get("requestBody", {}), *operation["responses"].values()):
            content = holder.get("content", {})
            if JSON.media_type in content:
                content[MESSAGEPACK.media_type] = content[JSON.media_type]
