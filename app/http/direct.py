"""Routes whose parts are read without the framework's solver.

The solver looks for every kind of parameter at every level of a call's dependencies, and that
costs a poll more than all that the poll does. A call that makes its own response, and whose parts
are a request, coroutines of a request, or one model of its query, needs no solving.
"""

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias, get_type_hints

from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from pydantic import BaseModel, TypeAdapter, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from app.errors import Invalid
from app.http.validation import faults_of, names_in

Part: TypeAlias = Callable[[Request], Awaitable[Any]]
Answer: TypeAlias = Callable[[Request], Awaitable[Response]]


def directly(route: APIRoute) -> Answer | None:
    """The call itself, given its parts in the order of its parameters; None if it has others."""
    dependant = route.dependant
    endpoint = dependant.call
    if endpoint is None or get_type_hints(endpoint).get("return") is not Response:
        return None
    parts = _parts_of(dependant)
    if parts is None:
        return None
    request_name = dependant.request_param_name

    async def answer(request: Request) -> Response:
        values: dict[str, Any] = {} if request_name is None else {request_name: request}
        for name, part in parts:
            values[name] = await part(request)
        response: Response = await endpoint(**values)
        return response

    return answer


def query_names(dependant: Dependant) -> frozenset[str]:
    """What the call and everything it depends on read from the query."""
    own = frozenset(name for field in dependant.query_params for name in _names_of(field))
    return own.union(*(query_names(each) for each in dependant.dependencies))


def _parts_of(dependant: Dependant) -> list[tuple[str, Part]] | None:
    if dependant.path_params or dependant.response_param_name:
        return None
    parts: list[tuple[str, Part]] = []
    for each in dependant.dependencies:
        if each.name is None or each.call is None or not _takes_a_request(each):
            return None
        parts.append((each.name, each.call))
    for field in dependant.query_params:
        model = _model_of(field)
        if model is None:
            return None
        parts.append((field.name, _QueryOf(model)))
    return parts


def _takes_a_request(dependant: Dependant) -> bool:
    others = (dependant.dependencies, dependant.query_params, dependant.path_params)
    return dependant.request_param_name is not None and not any(others)


def _names_of(field: Any) -> list[str]:
    model = _model_of(field)
    return [field.alias] if model is None else list(model.model_fields)


def _model_of(field: Any) -> type[BaseModel] | None:
    kind = field.field_info.annotation
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


class _QueryOf:
    """Reads the query as a model. Raises Invalid."""

    def __init__(self, model: type[BaseModel]) -> None:
        self._adapter: TypeAdapter[BaseModel] = TypeAdapter(model)
        self._names = names_in(self._adapter.json_schema())

    async def __call__(self, request: Request) -> BaseModel:
        sent = dict(request.query_params) if request.scope["query_string"] else {}
        try:
            return self._adapter.validate_python(sent)
        except ValidationError as error:
            found = error.errors(include_input=False, include_url=False, include_context=False)
            faults = faults_of(found, self._names)
            for fault in faults:
                fault["path"] = f"query/{fault['path']}"
            raise Invalid(errors=faults) from None
