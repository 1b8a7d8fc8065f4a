"""The OpenAPI document, made true: bodies that our own dependencies read, every refusal with its
codes, and who may call.

The framework describes only bodies that it parses itself, and the one error that it renders
itself; ours are parsed strictly by `JsonBody` and rendered by `problems.py`.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, iter_route_contexts
from pydantic.json_schema import models_json_schema

from app.database.port import StorageError
from app.errors import (
    InternalError,
    Invalid,
    Malformed,
    Overloaded,
    RequestTimeout,
    TookTooLong,
    Unavailable,
)
from app.http.bodies import JsonBody
from app.http.refusals import (
    BEARER,
    PROOF,
    Refusal,
    Ways,
    refusals_of,
    ways_of,
    with_leaves,
)

PROBLEM_TYPE = "application/problem+json"
_REFERENCES = "#/components/schemas/{model}"
_HEADERS = "#/components/headers/"
_FRAMEWORK_SCHEMAS = ("HTTPValidationError", "ValidationError")
_ANY_CALL: tuple[Refusal, ...] = (
    Malformed,
    Invalid,
    InternalError,
    Unavailable,
    Overloaded,
    RequestTimeout,
    TookTooLong,
)
"""What is wrong with any head, body or query, faults of ours, and too little time or room."""

_PROBLEM = {
    "type": "object",
    "title": "Problem",
    "description": "RFC 9457, with a code that is stable. No member repeats what was sent.",
    "required": ["type", "title", "status", "detail", "code"],
    "properties": {
        "type": {"type": "string", "pattern": "^urn:echolia:problem:[a-z0-9_]+$"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string", "pattern": "^[a-z0-9_]+$"},
        "errors": {"type": "array", "items": {"$ref": _REFERENCES.format(model="Fault")}},
    },
}
_FAULT = {
    "type": "object",
    "title": "Fault",
    "required": ["path", "reason"],
    "properties": {"path": {"type": "string"}, "reason": {"type": "string"}},
    "additionalProperties": False,
}
_SHOWN_HEADERS = {
    "X-Request-Id": ("Names this exchange in the server's log.", "^[0-9a-f]{16}$"),
    "DPoP-Nonce": ("To be put into the next proof.", "^[A-Za-z0-9_-]+$"),
    "WWW-Authenticate": ("Which credential is missing or refused.", "^(Bearer|DPoP) "),
}
_SCHEMES = {
    BEARER: {"type": "http", "scheme": "bearer", "description": "The access token of a session."},
    PROOF: {
        "type": "apiKey",
        "in": "header",
        "name": "DPoP",
        "description": "A proof of possession of the device's key for this very call (RFC 9449).",
    },
}


@dataclass(frozen=True, slots=True)
class _Call:
    """What the tree of a route's dependencies says about one operation."""

    path: str
    method: str
    body: JsonBody[Any] | None
    refusals: tuple[Refusal, ...]
    ways: Ways


def describe_calls(app: FastAPI) -> None:
    """`app.openapi()` names the body, the refusals and the credentials of every call afterwards."""
    describe = app.openapi

    def described() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = describe()
            _complete(document, list(_calls(app)))
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = described  # type: ignore[method-assign]


def _calls(app: FastAPI) -> Iterator[_Call]:
    for context in iter_route_contexts(app.routes):
        route = context.original_route
        if not isinstance(route, APIRoute) or context.path_format is None:
            continue
        marked = list(_tree(route.dependant))
        bodies = [call for call in marked if isinstance(call, JsonBody)]
        refusals = tuple(refusal for call in marked for refusal in refusals_of(call))
        ways = next(filter(None, map(ways_of, marked)), ())
        for method in context.methods or ():
            body = bodies[0] if bodies else None
            yield _Call(context.path_format, method.lower(), body, refusals, ways)


def _tree(dependant: Dependant) -> Iterator[object]:
    """A route's function first, then what it depends on, each before what that depends on."""
    if dependant.call is not None:
        yield dependant.call
    for inner in dependant.dependencies:
        yield from _tree(inner)


def _complete(document: dict[str, Any], calls: list[_Call]) -> None:
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for name in _FRAMEWORK_SCHEMAS:
        schemas.pop(name, None)
    schemas |= {"Problem": _PROBLEM, "Fault": _FAULT}
    components["securitySchemes"] = _SCHEMES
    components["headers"] = {name: _header(*said) for name, said in _SHOWN_HEADERS.items()}
    references = _add_models(schemas, calls)
    for call in calls:
        operation = document["paths"][call.path][call.method]
        if call.body is not None:
            schema = references[call.body.model, "validation"]
            content = {"application/json": {"schema": schema}}
            operation["requestBody"] = {"required": True, "content": content}
        operation["security"] = [{key: [] for key in sorted(way)} for way in call.ways]
        _add_refusals(operation["responses"], call)
        for status, response in operation["responses"].items():
            response["headers"] = _headers_of(call.path, status)


def _header(description: str, pattern: str) -> dict[str, Any]:
    schema = {"type": "string", "pattern": pattern}
    return {"description": description, "required": True, "schema": schema}


def _add_models(schemas: dict[str, Any], calls: list[_Call]) -> dict[Any, Any]:
    """The models of all bodies are among the schemas afterwards; references to them."""
    models = dict.fromkeys(call.body.model for call in calls if call.body is not None)
    references, definitions = models_json_schema(
        [(model, "validation") for model in models], ref_template=_REFERENCES
    )
    schemas |= definitions.get("$defs", {})
    return references


def _add_refusals(responses: dict[str, Any], call: _Call) -> None:
    responses.pop("422", None)  # the framework's own, which nobody ever sees
    by_status: defaultdict[int, dict[str, Refusal]] = defaultdict(dict)
    for refusal in (*_ANY_CALL, *_storage_refusals(), *_leaves(call.refusals)):
        by_status[refusal.status][refusal.code] = refusal
    for status, codes in sorted(by_status.items()):
        responses[str(status)] = _problem_response(status, codes)


def _storage_refusals() -> Iterator[Refusal]:
    """Any call may meet a disk that is full or busy; only one that stores, a row too large."""
    return (leaf for leaf in with_leaves(StorageError) if leaf.status == StorageError.status)


def _leaves(refusals: Iterable[Refusal]) -> Iterator[Refusal]:
    for refusal in refusals:
        yield from with_leaves(refusal)


def _problem_response(status: int, codes: dict[str, Refusal]) -> dict[str, Any]:
    said = "\n".join(f"- `{code}`: {refusal.title}" for code, refusal in sorted(codes.items()))
    own = {"properties": {"status": {"const": status}, "code": {"enum": sorted(codes)}}}
    schema = {"allOf": [{"$ref": _REFERENCES.format(model="Problem")}, own]}
    return {"description": said, "content": {PROBLEM_TYPE: {"schema": schema}}}


def _headers_of(path: str, status: str) -> dict[str, Any]:
    names = ["X-Request-Id"]
    if status == "401":
        names.append("WWW-Authenticate")
    if status == "401" or path.startswith("/auth/"):
        names.append("DPoP-Nonce")
    return {name: {"$ref": _HEADERS + name} for name in names}
