"""Accounts and their devices: register, log in, list, revoke.

The master database decides who exists; a user's own database holds a working copy, brought up to
date whenever it is opened, so restoring either from a backup lets no revoked device back in.
"""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace

from app import events
from app.auth import challenge as challenges
from app.auth import deletion_store, pairing_store, registration_store, security_store, store
from app.auth.candidates import Candidate, Claim, examine, signed_origin
from app.auth.challenge import Purpose
from app.auth.deletion import known_hashes
from app.auth.devices import Device, ListedDevice, Session
from app.auth.errors import (
    ChallengeInvalid,
    DeviceRevoked,
    LastDevice,
    LoginFailed,
    RegistrationClosed,
    WrappingKeyDiffers,
)
from app.auth.newcomers import Newcomer, Newcomers
from app.auth.refusals import verified_alike
from app.auth.security_events import SecurityEvent
from app.auth.server_keys import ServerKeys
from app.auth.sessions import Sessions
from app.auth.signed_bytes import login_message, register_message
from app.clock import Clock, day_of
from app.database.port import (
    Conflict,
    Database,
    Missing,
    Plan,
    Rows,
    Statement,
    StorageError,
    UserDatabases,
)
from app.errors import NotAuthenticated, NotFound
from app.rates.buckets import LOGINS
from app.rates.limits import Limits, spend


class Accounts:
    """Who exists."""

    def __init__(
        self,
        master: Database,
        users: UserDatabases,
        sessions: Sessions,
        keys: ServerKeys,
        clock: Clock,
        limits: Limits,
        newcomers: Newcomers,
        *,
        registration_open: bool,
        on_revoked: Callable[[str, str], None],
    ) -> None:
        self._master = master
        self._users = users
        self._sessions = sessions
        self._keys = keys
        self._clock = clock
        self._limits = limits
        self._newcomers = newcomers
        self._registration_open = registration_open
        self._on_revoked = on_revoked

    def challenge(self, purpose: Purpose) -> bytes:
        """Random bytes to sign, good once, for 120 s and this purpose. Nothing is stored. One for
        registering asks for as much work as new accounts cost just now."""
        difficulty = self._newcomers.difficulty() if purpose == "register" else 0
        return challenges.issue(self._keys, purpose, int(self._clock()), difficulty)

    async def register(
        self,
        claim: Claim,
        challenge: bytes,
        signature: bytes,
        origins: Sequence[str],
        newcomer: Newcomer,
    ) -> tuple[Session, bool]:
        """A session for this key, and whether its account is new. The same key again, with a fresh
        challenge, gets the same ids and needs neither work nor a place in the limits. Raises
        ChallengeInvalid, SignatureInvalid, DeviceRevoked, WrappingKeyDiffers, a leaf of
        PublicKeyRefused; and, for a new key, RegistrationClosed, ProofOfWorkRequired,
        ProofOfWorkInvalid or RateLimited."""
        candidate = await examine(claim, origins)
        expires_at = challenges.check(self._keys, "register", challenge, int(self._clock()))
        key = candidate.key
        signed_origin(
            key, signature, origins, lambda each: register_message(each, challenge, key.thumbprint)
        )
        if await self._is_new(key.thumbprint, challenge):
            await self._newcomers.admit(newcomer, challenge)
        device, is_new = await self._enter(candidate, challenge, expires_at, newcomer)
        await self._complete_account(device.user_id)
        session = await self._sessions.start(device)
        if is_new:
            self._newcomers.made()
            events.account_created()
        return session, is_new

    async def log_in(
        self, thumbprint: bytes, challenge: bytes, signature: bytes, origins: Sequence[str]
    ) -> Session:
        """A session for the device with this key. Raises LoginFailed, whatever the reason; or, for
        who holds the key, RateLimited."""
        digest = challenges.digest_of(challenge)
        reads = [store.select_nearest_device(thumbprint), store.select_spent(digest)]
        found, spent = await self._master.read(reads)
        nearest = store.device_of(found[0]) if found else None
        device = nearest if nearest and nearest.thumbprint == thumbprint else None
        expires_at = challenges.expiry_of(self._keys, "login", challenge, int(self._clock()))
        messages = [login_message(each, challenge, thumbprint) for each in origins]
        is_signed = verified_alike(device.public_key if device else None, signature, messages)
        if expires_at is None or device is None or not is_signed or device.status != "active":
            raise LoginFailed
        # Only now: who does not hold the key, or has overheard a log-in, could use its share up.
        if spent:
            raise LoginFailed
        await spend(self._limits, LOGINS, thumbprint)
        now = int(self._clock())
        try:
            await self._master.write(store.spend(digest, expires_at, now))
        except Conflict:
            raise LoginFailed from None
        await self._complete_account(device.user_id)
        session = await self._sessions.start(device)
        events.device_logged_in()
        return session

    async def devices(self, user_id: str) -> tuple[list[ListedDevice], list[SecurityEvent]]:
        """Every device the account ever had, and what happened to it lately; oldest first."""
        reads = [store.select_listed_devices(), security_store.select_events()]
        devices, told = await self._users.open(user_id).read(reads)
        return (
            [store.listed_device_of(row) for row in devices],
            [security_store.event_of(row) for row in told],
        )

    async def revoke(self, user_id: str, device_id: str, *, by: str) -> None:
        """The device fails on its next request, its sessions and pairings are over; again changes
        nothing. Raises NotFound, LastDevice for the only live one, or NotAuthenticated if the
        device that asks (`by`) was revoked meanwhile."""
        now = int(self._clock())

        def plan(rows: list[Rows]) -> Plan[tuple[Device, bool]]:
            return _plan_revoke(store.devices_of(rows[0]), device_id, by, now)

        decided = await self._master.decide([store.select_devices_of(user_id)], plan)
        revoked, is_new = decided.outcome
        told = [SecurityEvent("device_revoked", now, device_id)] if is_new else []
        copied = [
            store.copy_device(revoked, day_of(now)),
            store.end_sessions_of_revoked(),
            *security_store.tell(told, now),
        ]
        try:
            await self._users.open(user_id).write(copied)
        except StorageError:
            # The master has it: nobody gets into the user's database before it has been told.
            await self._users.reopen(user_id)
            raise
        finally:
            self._on_revoked(user_id, device_id)
        events.device_revoked()

    async def forget_yesterday(self) -> None:
        """Nothing is kept of how many accounts an address made on a day that is over."""
        await self._master.write([registration_store.forget_before(day_of(int(self._clock())))])

    async def statements_on_open(self, user_id: str) -> Sequence[Statement]:
        """What brings a user's own database up to the master's devices, and to what the master
        knows of them, whenever it is opened. Raises Missing if the account was deleted, even if a
        file of it is there again."""
        deleted = deletion_store.select_known(known_hashes(self._keys, user_id))
        devices_of = store.select_devices_of(user_id)
        rows, tombstones, *known = await self._master.read(
            [devices_of, deleted, *security_store.select_known(user_id)]
        )
        if tombstones:
            raise Missing
        devices = store.devices_of(rows)
        copies = [store.copy_device(device, day_of(device.created_at)) for device in devices]
        told = security_store.tell(security_store.known_of(known), int(self._clock()))
        return [*copies, store.end_sessions_of_revoked(), *told]

    async def _is_new(self, thumbprint: bytes, challenge: bytes) -> bool:
        """Whether this would be a new account. Raises ChallengeInvalid, RegistrationClosed."""
        reads = [
            store.select_spent(challenges.digest_of(challenge)),
            store.select_device_by_key(thumbprint),
        ]
        spent, known = await self._master.read(reads)
        if spent:
            raise ChallengeInvalid
        if not known and not self._registration_open:
            raise RegistrationClosed
        return not known

    async def _enter(
        self, candidate: Candidate, challenge: bytes, expires_at: int, newcomer: Newcomer
    ) -> tuple[Device, bool]:
        """The master's row for this key, made now if it is new; the challenge is spent with it, and
        a new account counted."""
        now = int(self._clock())
        digest = challenges.digest_of(challenge)
        fresh = candidate.device(str(uuid.uuid4()), now)
        stranger = self._newcomers.stored(newcomer)
        day = day_of(now)

        def plan(rows: list[Rows]) -> Plan[tuple[Device, bool]]:
            if rows[0]:
                raise ChallengeInvalid
            known = store.device_of(rows[1][0]) if rows[1] else None
            spent = store.spend(digest, expires_at, now)
            if known is not None:
                return plan_return(known, candidate, spent)
            if not self._registration_open:
                raise RegistrationClosed
            entered = (store.insert_account(fresh.user_id, now), store.insert_device(fresh))
            if not self._newcomers.is_counted:
                return Plan((*spent, *entered), (fresh, True))
            if registration_store.is_used_up(stranger, rows[2]):
                raise self._newcomers.refuse_for_today()
            counted = registration_store.count_one(stranger, day)
            return Plan((*spent, *entered, *counted), (fresh, True))

        reads = [
            store.select_spent(digest),
            store.select_device_by_key(candidate.key.thumbprint),
            registration_store.select_made_today(stranger, day),
        ]
        return (await self._master.decide(reads, plan)).outcome

    async def _complete_account(self, user_id: str) -> None:
        """The user's own database exists; a registration cut off by a crash is finished here."""
        state = (await self._master.read([store.select_account_state(user_id)]))[0]
        if state == [("creating",)]:
            await self._users.create(user_id)
            try:
                await self._master.write(store.activate_account(user_id))
            except Conflict:  # deleted meanwhile: what was made just now is nobody's
                await self._users.destroy(user_id)
                raise LoginFailed from None


def plan_return(
    known: Device, candidate: Candidate, spent: Sequence[Statement]
) -> Plan[tuple[Device, bool]]:
    """A key that is known comes back: the ids stay, what it says of itself is brought up to date;
    only its wrapping key, which others have signed, cannot change."""
    if known.status != "active":
        raise DeviceRevoked
    sent = candidate.wrapping_der
    if sent is not None and known.wrapping_key not in (None, sent):
        raise WrappingKeyDiffers
    statements = [*spent, store.update_description(known.device_id, candidate.description)]
    returned = replace(known, description=candidate.description)
    if sent is not None and known.wrapping_key is None and candidate.wrapping_key_signature:
        signature = candidate.wrapping_key_signature
        statements.append(store.set_wrapping_key(known.device_id, sent, signature))
        returned = replace(returned, wrapping_key=sent, wrapping_key_signature=signature)
    return Plan(statements, (returned, False))


def _plan_revoke(
    devices: Sequence[Device], device_id: str, by: str, now: int
) -> Plan[tuple[Device, bool]]:
    """The device as it is afterwards, and whether it was live before."""
    live = {device.device_id for device in devices if device.status == "active"}
    if by not in live:
        raise NotAuthenticated
    target = next((device for device in devices if device.device_id == device_id), None)
    if target is None:
        raise NotFound
    if target.status != "active":
        return Plan((), (target, False))
    if len(live) == 1:
        raise LastDevice
    revoked = replace(target, status="revoked", generation=target.generation + 1)
    statements = (
        store.revoke_device(device_id, now),
        pairing_store.cancel_all_of_device(device_id),
    )
    return Plan(statements, (revoked, True))
