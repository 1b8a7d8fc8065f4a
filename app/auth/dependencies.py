"""Requests to typed things: who asks, with which proof, of which services.

Every dependency is a coroutine: FastAPI sends plain functions through a pool of threads, which
costs more than all that they do here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends
from starlette.requests import Request

from app.auth.accounts import Accounts
from app.auth.admission import AdmittedDatabase
from app.auth.devices import CurrentDevice
from app.auth.errors import NonceRequired, ProofInvalid, ProofReplayed, ProofRequired
from app.auth.origins import accepted_origins
from app.auth.pairings import Pairings
from app.auth.proofs import Asked, Proofs
from app.auth.public_key import load_public_key
from app.auth.recoveries import Recoveries
from app.auth.sessions import Sessions
from app.config import Settings
from app.errors import NotAuthenticated, RateLimited
from app.http.refusals import BEARER, PROOF, admits, refuses
from app.rates.buckets import SYNC_CALLS
from app.rates.dependencies import door_of
from app.rates.limits import spend

_SCHEME = "bearer "
_MAX_AUTHORIZATION = 4200

PROOF_REFUSALS = (ProofRequired, ProofInvalid, ProofReplayed, NonceRequired)
BY_TOKEN = frozenset({BEARER})
BY_PROOF = frozenset({PROOF})


@dataclass(frozen=True, slots=True)
class Auth:
    """The auth services of a running application."""

    sessions: Sessions
    accounts: Accounts
    pairings: Pairings
    proofs: Proofs
    recoveries: Recoveries


async def auth_of(request: Request) -> Auth:
    return _auth(request)


async def origins_of(request: Request) -> Sequence[str]:
    """The origins a signature in this request may name."""
    return _origins(request)


async def asked_of(request: Request) -> Asked:
    """What a proof in this request must speak about."""
    return _asked(request)


def _auth(request: Request) -> Auth:
    return cast("Auth", request.app.state.auth)


def _origins(request: Request) -> Sequence[str]:
    settings = cast("Settings", request.app.state.settings)
    server = request.scope.get("server")
    return accepted_origins(
        settings.public_origin,
        development=settings.environment == "development",
        listening_port=server[1] if server else None,
    )


def _asked(request: Request) -> Asked:
    proofs = request.headers.getlist("dpop")
    return Asked(
        method=request.method,
        path=request.scope["path"],
        origins=_origins(request),
        proof=proofs[0] if len(proofs) == 1 else None,
    )


@admits(BY_TOKEN)
@refuses(NotAuthenticated, *PROOF_REFUSALS)
async def current_device(request: Request) -> CurrentDevice:
    """The device that asks. Raises NotAuthenticated; where settings say so, a proof's errors."""
    device = await _auth(request).sessions.admitted(bearer_of(request)).device()
    settings = cast("Settings", request.app.state.settings)
    if settings.proof_required == "always":
        await _check_proof(request, device)
    return device


@admits(BY_TOKEN)
@refuses(NotAuthenticated, RateLimited, *PROOF_REFUSALS)
async def user_db(request: Request) -> AdmittedDatabase:
    """The database of the user who asks; each use of it raises NotAuthenticated for who may not.
    Where settings say so, a proof is checked first. Raises RateLimited for a device that asks too
    often."""
    settings = cast("Settings", request.app.state.settings)
    if settings.proof_required == "always":
        await current_device(request)
    admitted = _auth(request).sessions.admitted(bearer_of(request))
    await spend(door_of(request).limits, SYNC_CALLS, admitted.device_id)
    request.state.make_known = admitted.make_known
    return admitted


@admits(BY_TOKEN | BY_PROOF)
@refuses(*PROOF_REFUSALS)
async def proven_device(
    request: Request, device: Annotated[CurrentDevice, Depends(current_device)]
) -> CurrentDevice:
    """The device that asks, having proved its key in this very request."""
    settings = cast("Settings", request.app.state.settings)
    if settings.proof_required != "always":
        await _check_proof(request, device)
    return device


def has_bearer(request: Request) -> bool:
    return "authorization" in request.headers


def bearer_of(request: Request) -> str:
    """The access token (RFC 6750 section 2.1). Raises NotAuthenticated if there is none."""
    header = request.headers.get("authorization", "")
    if len(header) > _MAX_AUTHORIZATION or not header.lower().startswith(_SCHEME):
        raise NotAuthenticated
    return header[len(_SCHEME) :].strip()


async def _check_proof(request: Request, device: CurrentDevice) -> None:
    """Once per request: one that waited asks again who it is, with the same proof."""
    if getattr(request.state, "is_proven", False):
        return
    key = load_public_key(device.public_key)
    await _auth(request).proofs.check(_asked(request), key, bearer_of(request))
    request.state.is_proven = True


CurrentDeviceDep = Annotated[CurrentDevice, Depends(current_device)]
ProvenDeviceDep = Annotated[CurrentDevice, Depends(proven_device)]
UserDb = Annotated[AdmittedDatabase, Depends(user_db)]
AuthDep = Annotated[Auth, Depends(auth_of)]
AskedDep = Annotated[Asked, Depends(asked_of)]
OriginsDep = Annotated[Sequence[str], Depends(origins_of)]
