"""HTTP of `/auth`."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Response
from starlette.requests import Request

from app.auth.challenge import LIFE_SECONDS
from app.auth.dependencies import (
    BY_PROOF,
    BY_TOKEN,
    PROOF_REFUSALS,
    AskedDep,
    AuthDep,
    CurrentDeviceDep,
    OriginsDep,
    ProvenDeviceDep,
    current_device,
    has_bearer,
)
from app.auth.errors import (
    ChallengeInvalid,
    CommitmentMismatch,
    DeviceRevoked,
    LastDevice,
    LoginFailed,
    PairingCancelled,
    PairingConflict,
    PairingExpired,
    PairingPayloadTooLarge,
    PairingState,
    ProofOfWorkInvalid,
    ProofOfWorkRequired,
    PublicKeyInUse,
    RecoveryBundleTooLarge,
    RecoveryDelayed,
    RecoveryFailed,
    RecoveryLocatorTaken,
    RecoveryReplaced,
    RefreshInvalid,
    RefreshReused,
    RegistrationClosed,
    SignatureInvalid,
    StaleRequest,
    TooManyDevices,
    TooManyPairings,
    WrappingKeyDiffers,
    WrappingKeyRequired,
    WrappingKeySignatureInvalid,
)
from app.auth.key_errors import PublicKeyRefused
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
    RecoveryOut,
    RefreshIn,
    RegisterChallengeOut,
    RegisterIn,
    RevealIn,
    SecurityEventOut,
    SessionOut,
)
from app.auth.newcomers import Newcomer
from app.auth.pairing import MAX_CIPHERTEXT_BYTES, Approval
from app.auth.pairings import JoinAttempt
from app.auth.public_key import parse_thumbprint
from app.auth.recovery import MAX_BUNDLE_BYTES
from app.auth.recovery_models import MAX_RECOVERY_BODY_BYTES, RecoverIn, RecoverOut, RecoveryIn
from app.errors import NotAuthenticated, NotFound, RateLimited
from app.http.bodies import JsonBody
from app.http.fields import DIGITS, is_uuid
from app.http.refusals import admits, refuses
from app.http.routing import StrictRoute
from app.limits import MAX_WAIT_SECONDS
from app.rates.dependencies import TakesJoin, TakesKeyCall, TakesRecovery, address_of

router = APIRouter(prefix="/auth", route_class=StrictRoute, tags=["auth"])

_ENDS = (PairingCancelled, PairingExpired, PairingConflict)
_KEYS = (PublicKeyRefused, WrappingKeySignatureInvalid)

WaitSeconds = Annotated[int, Query(ge=0, le=MAX_WAIT_SECONDS), DIGITS]


@refuses(NotFound)
async def _pairing_id(pairing_id: Annotated[str, Path()]) -> str:
    if not is_uuid(pairing_id):
        raise NotFound
    return pairing_id


@refuses(NotFound)
async def _device_id(device_id: Annotated[str, Path()]) -> str:
    if not is_uuid(device_id):
        raise NotFound
    return device_id


PairingId = Annotated[str, Depends(_pairing_id)]
DeviceId = Annotated[str, Depends(_device_id)]


@router.post("/register/challenge", dependencies=[TakesKeyCall])
@refuses(RateLimited)
async def register_challenge(
    auth: AuthDep, _: Annotated[EmptyIn, Depends(JsonBody(EmptyIn))]
) -> RegisterChallengeOut:
    return RegisterChallengeOut.of(auth.accounts.challenge("register"))


@router.post(
    "/register",
    status_code=201,
    responses={200: {"model": SessionOut}},
    dependencies=[TakesKeyCall],
)
@refuses(
    *_KEYS,
    ChallengeInvalid,
    SignatureInvalid,
    DeviceRevoked,
    RegistrationClosed,
    ProofOfWorkRequired,
    ProofOfWorkInvalid,
    RateLimited,
    WrappingKeyDiffers,
)
async def register(
    request: Request,
    auth: AuthDep,
    origins: OriginsDep,
    body: Annotated[RegisterIn, Depends(JsonBody(RegisterIn))],
    response: Response,
) -> SessionOut:
    newcomer = Newcomer(address_of(request), body.proof_of_work)
    session, is_new = await auth.accounts.register(
        body.claim(), body.challenge, body.signature, origins, newcomer
    )
    response.status_code = 201 if is_new else 200
    return SessionOut.of(session)


@router.post("/challenge", dependencies=[TakesKeyCall])
@refuses(RateLimited)
async def challenge(
    auth: AuthDep, body: Annotated[ChallengeIn, Depends(JsonBody(ChallengeIn))]
) -> ChallengeOut:
    made = auth.accounts.challenge(body.purpose)
    return ChallengeOut(challenge=made, expires_in=LIFE_SECONDS)


@router.post("/login", dependencies=[TakesKeyCall])
@refuses(LoginFailed, RateLimited)
async def log_in(
    auth: AuthDep, origins: OriginsDep, body: Annotated[LoginIn, Depends(JsonBody(LoginIn))]
) -> SessionOut:
    thumbprint = parse_thumbprint(body.key_thumbprint)
    session = await auth.accounts.log_in(thumbprint, body.challenge, body.signature, origins)
    return SessionOut.of(session)


@router.post("/refresh")
@admits(BY_PROOF)
@refuses(RefreshInvalid, RefreshReused, StaleRequest, RateLimited, *PROOF_REFUSALS)
async def refresh(
    auth: AuthDep, asked: AskedDep, body: Annotated[RefreshIn, Depends(JsonBody(RefreshIn))]
) -> SessionOut:
    return SessionOut.of(await auth.sessions.refresh(body.refresh_token, asked))


@router.post("/logout", status_code=204)
async def log_out(auth: AuthDep, device: CurrentDeviceDep) -> None:
    await auth.sessions.end(device)


@router.get("/devices")
async def devices(auth: AuthDep, device: CurrentDeviceDep) -> DevicesOut:
    listed, told = await auth.accounts.devices(device.user_id)
    phrase = await auth.recoveries.of(device.user_id)
    return DevicesOut(
        devices=[DeviceOut.of(each, current=each.device_id == device.device_id) for each in listed],
        security_events=[SecurityEventOut.of(each) for each in told],
        recovery=RecoveryOut.of(phrase) if phrase else None,
    )


@router.delete("/devices/{device_id}", status_code=204)
@refuses(LastDevice)
async def revoke(auth: AuthDep, device: ProvenDeviceDep, device_id: DeviceId) -> None:
    await auth.accounts.revoke(device.user_id, device_id, by=device.device_id)


@router.put("/recovery", status_code=204, dependencies=[TakesRecovery])
@refuses(RecoveryBundleTooLarge, RecoveryLocatorTaken, RecoveryReplaced, RateLimited)
async def put_recovery(
    auth: AuthDep,
    device: ProvenDeviceDep,
    body: Annotated[RecoveryIn, Depends(JsonBody(RecoveryIn, MAX_RECOVERY_BODY_BYTES))],
) -> None:
    if len(body.bundle) > MAX_BUNDLE_BYTES:
        raise RecoveryBundleTooLarge(limit=MAX_BUNDLE_BYTES)
    await auth.recoveries.put(device, body.offered())


@router.delete("/recovery", status_code=204)
async def remove_recovery(auth: AuthDep, device: ProvenDeviceDep) -> None:
    await auth.recoveries.remove(device)


@router.delete("/recovery/pending", status_code=204)
async def cancel_recovery(auth: AuthDep, device: ProvenDeviceDep) -> None:
    await auth.recoveries.cancel(device)


@router.post("/recover", dependencies=[TakesRecovery])
@refuses(
    *_KEYS,
    ChallengeInvalid,
    SignatureInvalid,
    RecoveryFailed,
    RecoveryDelayed,
    PublicKeyInUse,
    DeviceRevoked,
    WrappingKeyDiffers,
    LoginFailed,
    RateLimited,
)
async def recover(
    auth: AuthDep,
    origins: OriginsDep,
    body: Annotated[RecoverIn, Depends(JsonBody(RecoverIn))],
) -> RecoverOut:
    session, bundle = await auth.recoveries.recover(body.attempt(), origins)
    return RecoverOut.with_bundle(session, bundle)


@router.post("/pairings", status_code=201)
@refuses(TooManyPairings, TooManyDevices, RateLimited)
async def open_pairing(
    auth: AuthDep,
    device: ProvenDeviceDep,
    body: Annotated[PairingIn, Depends(JsonBody(PairingIn))],
) -> PairingOut:
    pairing = await auth.pairings.create(device, body.commitment)
    return PairingOut.of(pairing, auth.pairings.expires_in(pairing))


@router.get("/pairings/{pairing_id}")
@admits(BY_TOKEN, BY_PROOF)
@refuses(NotAuthenticated, *PROOF_REFUSALS, *_ENDS)
async def pairing(
    request: Request, auth: AuthDep, asked: AskedDep, pairing_id: PairingId, wait: WaitSeconds = 0
) -> PairingOut:
    """The existing device comes with its token, the new one with a proof of the key that joined."""
    if has_bearer(request):
        device = await current_device(request)
        found = await auth.pairings.seen_by_owner(device, pairing_id, wait)
        if wait:
            await current_device(request)  # it may have been revoked while it waited
    elif asked.proof is not None:
        found = await auth.pairings.seen_by_joiner(asked, pairing_id, wait)
    else:
        raise NotAuthenticated
    return PairingOut.of(found, auth.pairings.expires_in(found))


@router.post("/pairings/{pairing_id}/join", dependencies=[TakesJoin])
@refuses(
    *_KEYS,
    *_ENDS,
    WrappingKeyRequired,
    SignatureInvalid,
    PublicKeyInUse,
    DeviceRevoked,
    RateLimited,
)
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
@refuses(*_ENDS, PairingState, CommitmentMismatch)
async def reveal(
    auth: AuthDep,
    device: CurrentDeviceDep,
    pairing_id: PairingId,
    body: Annotated[RevealIn, Depends(JsonBody(RevealIn))],
) -> PairingOut:
    revealed = await auth.pairings.reveal(device, pairing_id, body.nonce)
    return PairingOut.of(revealed, auth.pairings.expires_in(revealed))


@router.post("/pairings/{pairing_id}/approve")
@refuses(
    *_ENDS, PairingState, PairingPayloadTooLarge, TooManyDevices, PublicKeyInUse, DeviceRevoked
)
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
@admits(BY_PROOF)
@refuses(*PROOF_REFUSALS, *_ENDS, PairingState)
async def collect(
    auth: AuthDep,
    asked: AskedDep,
    pairing_id: PairingId,
    _: Annotated[EmptyIn, Depends(JsonBody(EmptyIn))],
) -> CollectedOut:
    return CollectedOut.of(await auth.pairings.collect(asked, pairing_id))


@router.post("/pairings/{pairing_id}/complete")
@admits(BY_PROOF)
@refuses(*PROOF_REFUSALS, *_ENDS, PairingState, DeviceRevoked, LoginFailed)
async def complete(
    auth: AuthDep,
    asked: AskedDep,
    pairing_id: PairingId,
    _: Annotated[EmptyIn, Depends(JsonBody(EmptyIn))],
) -> SessionOut:
    return SessionOut.of(await auth.pairings.complete(asked, pairing_id))


@router.delete("/pairings/{pairing_id}", status_code=204)
@admits(BY_TOKEN, BY_PROOF)
@refuses(NotAuthenticated, *PROOF_REFUSALS, PairingExpired)
async def cancel(request: Request, auth: AuthDep, asked: AskedDep, pairing_id: PairingId) -> None:
    if has_bearer(request):
        await auth.pairings.cancel_by_owner(await current_device(request), pairing_id)
    elif asked.proof is not None:
        await auth.pairings.cancel_by_joiner(asked, pairing_id)
    else:
        raise NotAuthenticated
