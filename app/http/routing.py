"""The route class of every router: refuses query parameters that the call does not have."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute, iter_route_contexts
from pydantic import TypeAdapter
from starlette.requests import Request
from starlette.responses import Response

from app.errors import EcholiaError, Invalid
from app.http.direct import directly, query_names
from app.http.formats import JSON, MESSAGEPACK, wanted_by
from app.http.messagepack import encode

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class StrictRoute(APIRoute):
    """A route that answers 422 for an unknown or repeated query parameter, never ignoring it,
    turns a model's answer into MessagePack for who wants that, and is spared the framework's solver
    where it has nothing to solve.

    A refused request may come from a caller who was not looked up yet: that is done first, so that
    who may not come in is told so before anything else.
    """

    def get_route_handler(self) -> Handler:
        handle = directly(self) or self._in_wanted_format(super().get_route_handler())
        known = query_names(self.dependant)

        async def strictly(request: Request) -> Response:
            try:
                if request.scope["query_string"]:
                    _check(request, known)
                return await handle(request)
            except (EcholiaError, RequestValidationError):
                if make_known := getattr(request.state, "make_known", None):
                    await make_known()
                raise

        return strictly

    def _in_wanted_format(self, handle: Handler) -> Handler:
        if self.response_model is None:
            return handle
        model: TypeAdapter[Any] = TypeAdapter(self.response_model)

        async def answer(request: Request) -> Response:
            response = await handle(request)
            if response.media_type == JSON.media_type and wanted_by(request) is MESSAGEPACK:
                # The JSON is read once more, since only the model tells bytes from text.
                value = model.dump_python(model.validate_json(bytes(response.body)))
                response.body = encode(value)
                response.headers["content-length"] = str(len(response.body))
                response.headers["content-type"] = MESSAGEPACK.media_type
            return response

        return answer


def allowed_methods(app: FastAPI, path: str) -> str:
    """The value of `Allow` (RFC 9110 section 10.2.1): every method of the path, though the
    framework keeps a route for each and names only the first."""
    allowed: set[str] = set()
    for context in iter_route_contexts(app.routes):
        if context.path_regex.match(path):
            allowed |= context.methods or set()
    if "GET" in allowed:
        allowed.add("HEAD")
    return ", ".join(sorted(allowed))


def _check(request: Request, known: frozenset[str]) -> None:
    names = [name for name, _ in request.query_params.multi_items()]
    if any(name not in known for name in names):
        raise Invalid(errors=[{"path": "query", "reason": "has a parameter that is not known"}])
    if len(names) != len(set(names)):
        raise Invalid(errors=[{"path": "query", "reason": "has a parameter more than once"}])
