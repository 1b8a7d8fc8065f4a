"""HTTP of `/auth`."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Response
from starlette.requests import Request

from app.auth.challenge import LIFE_SECONDS
from app.auth.dependencies import (
    AskedDep,
    AuthDep,
    CurrentDeviceDep,
    OriginsDep,
    ProvenDeviceDep,
    current_device,
    has_bearer,
)
from app.auth.errors import PairingPayloadTooLarge
from app.auth.models import (
    MAX_APPROVE_BODY_BYTES,
    ApproveIn,
    ChallengeIn,
    ChallengeOut,
    CollectedOut,
    DeviceOut,
    DevicesOut,
    EmptyIn,
    JoinIn,
    LoginIn,
    PairingIn,
    PairingOut,
    RefreshIn,
    RegisterChallengeOut,
    RegisterIn,
    RevealIn,
    SessionOut,
)
from app.auth.pairing import MAX_CIPHERTEXT_BYTES, Approval
from app.auth.pairings import JoinAttempt
from app.auth.public_key import parse_thumbprint
from app.errors import NotAuthenticated, NotFound
from app.http.bodies import JsonBody
from app.http.fields import QueryInt, is_uuid
from app.http.routing import StrictRoute
from app.limits import MAX_WAIT_SECONDS

router = APIRouter(prefix="/auth", route_class=StrictRoute, tags=["auth"])

WaitSeconds = Annotated[QueryInt, Query(ge=0, le=MAX_WAIT_SECONDS)]


async def _pairing_id(pairing_id: Annotated[str, Path()]) -> str:
    if not is_uuid(pairing_id):
        raise NotFound
    return pairing_id


async def _device_id(device_id: Annotated[str, Path()]) -> str:
    if not is_uuid(device_id):
        raise NotFound
    return device_id


PairingId = Annotated[str, Depends(_pairing_id)]
DeviceId = Annotated[str, Depends(_device_id)]


@router.post("/register/challenge")
async def register_challenge(
    auth: AuthDep, _: Annotated[EmptyIn, Depends(JsonBody(EmptyIn))]
) -> RegisterChallengeOut:
    challenge = auth.accounts.challenge("register")
    return RegisterChallengeOut(challenge=challenge, expires_in=LIFE_SECONDS)


@router.post("/register", status_code=201)
async def register(
    auth: AuthDep,
    origins: OriginsDep,
    body: Annotated[RegisterIn, Depends(JsonBody(RegisterIn))],
    response: Response,
) -> SessionOut:
    session, is_new = await auth.accounts.register(
        body.claim(), body.challenge, body.signature, origins
    )
    response.status_code = 201 if is_new else 200
    return SessionOut.of(session)


@router.post("/challenge")
async def challenge(
    auth: AuthDep, body: Annotated[ChallengeIn, Depends(JsonBody(ChallengeIn))]
) -> ChallengeOut:
    made = auth.accounts.challenge(body.purpose)
    return ChallengeOut(challenge=made, expires_in=LIFE_SECONDS)


@router.post("/login")
async def log_in(
    auth: AuthDep, origins: OriginsDep, body: Annotated[LoginIn, Depends(JsonBody(LoginIn))]
) -> SessionOut:
    thumbprint = parse_thumbprint(body.key_thumbprint)
    session = await auth.accounts.log_in(thumbprint, body.challenge, body.signature, origins)
    return SessionOut.of(session)


@router.post("/refresh")
async def refresh(
    auth: AuthDep, asked: AskedDep, body: Annotated[RefreshIn, Depends(JsonBody(RefreshIn))]
) -> SessionOut:
    return SessionOut.of(await auth.sessions.refresh(body.refresh_token, asked))


@router.post("/logout", status_code=204)
async def log_out(auth: AuthDep, device: CurrentDeviceDep) -> None:
    await auth.sessions.end(device)


@router.get("/devices")
async def devices(auth: AuthDep, device: CurrentDeviceDep) -> DevicesOut:
    listed = await auth.accounts.devices(device.user_id)
    return DevicesOut(
        devices=[DeviceOut.of(each, current=each.device_id == device.device_id) for each in listed]
    )


@router.delete("/devices/{device_id}", status_code=204)
async def revoke(auth: AuthDep, device: ProvenDeviceDep, device_id: DeviceId) -> None:
    await auth.accounts.revoke(device.user_id, device_id, by=device.device_id)


@router.post("/pairings", status_code=201)
async def open_pairing(
    auth: AuthDep,
    device: ProvenDeviceDep,
    body: Annotated[PairingIn, Depends(JsonBody(PairingIn))],
) -> PairingOut:
    pairing = await auth.pairings.create(device, body.commitment)
    return PairingOut.of(pairing, auth.pairings.expires_in(pairing))


@router.get("/pairings/{pairing_id}")
async def pairing(
    request: Request, auth: AuthDep, asked: AskedDep, pairing_id: PairingId, wait: WaitSeconds = 0
) -> PairingOut:
    """The existing device comes with its token, the new one with a proof of the key that joined."""
    if has_bearer(request):
        device = await current_device(request)
        found = await auth.pairings.seen_by_owner(device, pairing_id, wait)
    elif asked.proof is not None:
        found = await auth.pairings.seen_by_joiner(asked, pairing_id, wait)
    else:
        raise NotAuthenticated
    return PairingOut.of(found, auth.pairings.expires_in(found))


@router.post("/pairings/{pairing_id}/join")
async def join(
    auth: AuthDep,
    origins: OriginsDep,
    pairing_id: PairingId,
    body: Annotated[JoinIn, Depends(JsonBody(JoinIn))],
) -> PairingOut:
    attempt = JoinAttempt(body.claim(), body.signature, body.nonce, body.mac)
    joined = await auth.pairings.join(pairing_id, attempt, origins)
    return PairingOut.of(joined, auth.pairings.expires_in(joined))


@router.post("/pairings/{pairing_id}/reveal")
async def reveal(
    auth: AuthDep,
    device: CurrentDeviceDep,
    pairing_id: PairingId,
    body: Annotated[RevealIn, Depends(JsonBody(RevealIn))],
) -> PairingOut:
    revealed = await auth.pairings.reveal(device, pairing_id, body.nonce)
    return PairingOut.of(revealed, auth.pairings.expires_in(revealed))


@router.post("/pairings/{pairing_id}/approve")
async def approve(
    auth: AuthDep,
    device: ProvenDeviceDep,
    pairing_id: PairingId,
    body: Annotated[ApproveIn, Depends(JsonBody(ApproveIn, MAX_APPROVE_BODY_BYTES))],
) -> PairingOut:
    if len(body.ciphertext) > MAX_CIPHERTEXT_BYTES:
        raise PairingPayloadTooLarge(limit=MAX_CIPHERTEXT_BYTES)
    approval = Approval(body.wrapped_cek, body.ciphertext, body.signature)
    thumbprint = parse_thumbprint(body.key_thumbprint)
    approved = await auth.pairings.approve(device, pairing_id, thumbprint, approval)
    return PairingOut.of(approved, auth.pairings.expires_in(approved))


@router.post("/pairings/{pairing_id}/collect")
async def collect(
    auth: AuthDep,
    asked: AskedDep,
    pairing_id: PairingId,
    _: Annotated[EmptyIn, Depends(JsonBody(EmptyIn))],
) -> CollectedOut:
    return CollectedOut.of(await auth.pairings.collect(asked, pairing_id))


@router.post("/pairings/{pairing_id}/complete")
async def complete(
    auth: AuthDep,
    asked: AskedDep,
    pairing_id: PairingId,
    _: Annotated[EmptyIn, Depends(JsonBody(EmptyIn))],
) -> SessionOut:
    return SessionOut.of(await auth.pairings.complete(asked, pairing_id))


@router.delete("/pairings/{pairing_id}", status_code=204)
async def cancel(request: Request, auth: AuthDep, asked: AskedDep, pairing_id: PairingId) -> None:
    if has_bearer(request):
        await auth.pairings.cancel_by_owner(await current_device(request), pairing_id)
    elif asked.proof is not None:
        await auth.pairings.cancel_by_joiner(asked, pairing_id)
    else:
        raise NotAuthenticated
