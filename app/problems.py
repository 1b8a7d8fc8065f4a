"""Failures to `application/problem+json` (RFC 9457); the only place that renders one."""

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from app.errors import (
    EcholiaError,
    Forbidden,
    InternalError,
    Invalid,
    Malformed,
    MethodNotAllowed,
    NotAuthenticated,
    NotFound,
    TooLarge,
    WrongMediaType,
)
from app.http.routing import allowed_methods
from app.http.validation import faults_of

MEDIA_TYPE = "application/problem+json"

_BY_STATUS: dict[int, type[EcholiaError]] = {
    error.status: error
    for error in (
        Malformed,
        NotAuthenticated,
        Forbidden,
        NotFound,
        MethodNotAllowed,
        TooLarge,
        WrongMediaType,
        Invalid,
    )
}


def render(error: EcholiaError) -> Response:
    """The wire form of an error: fixed words, a code, and what the error itself adds."""
    problem: dict[str, object] = {
        "type": f"urn:echolia:problem:{error.code}",
        "title": error.title,
        "status": error.status,
        "detail": error.detail or error.title,
        "code": error.code,
        **error.extras,
    }
    headers = dict(error.headers)
    if error.status == 401:
        headers.setdefault("WWW-Authenticate", _challenge(error.code))
    return Response(
        orjson.dumps(problem), status_code=error.status, headers=headers, media_type=MEDIA_TYPE
    )


def _challenge(code: str) -> str:
    """RFC 6750 section 3 and RFC 9449 section 7.1: which credential is missing or refused."""
    if code.startswith("proof") or code == "use_dpop_nonce":
        error = "use_dpop_nonce" if code == "use_dpop_nonce" else "invalid_dpop_proof"
        return f'DPoP error="{error}", algs="PS256 ES256"'
    return 'Bearer realm="echolia"'


def install(app: FastAPI) -> None:
    """Every failure inside `app` leaves through `render` afterwards."""

    @app.exception_handler(EcholiaError)
    async def said(_: Request, error: EcholiaError) -> Response:
        return render(error)

    @app.exception_handler(RequestValidationError)
    async def misfit(_: Request, error: RequestValidationError) -> Response:
        names = frozenset(str(part) for each in error.errors() for part in each["loc"])
        return render(Invalid(errors=faults_of(error.errors(), names)))

    @app.exception_handler(HTTPException)
    async def routed(request: Request, error: HTTPException) -> Response:
        kind = _BY_STATUS.get(error.status_code, InternalError)
        headers = dict(error.headers or {})
        if kind is MethodNotAllowed:
            headers["Allow"] = allowed_methods(app, request.scope["path"])
        return render(kind(headers=headers))
