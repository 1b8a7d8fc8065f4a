"""Accounts and their devices: register, log in, list, revoke.

The master database decides who exists; a user's own database holds a working copy, brought up to
date whenever it is opened, so restoring either from a backup lets no revoked device back in.
"""

import base64
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace

from app import events
from app.auth import challenge as challenges
from app.auth import deletion_store, pairing_store, store
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
from app.auth.public_key import load_public_key
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

# A public key whose private half was thrown away: unknown thumbprints are checked against it, so
# that they cost what known ones cost.
_NOBODY = base64.b64decode(
    "MIIBojANBgkqhkiG9w0BAQEFAAOCAY8AMIIBigKCAYEAyj9BrS2n2ma8TaFSrhfCQhIJD70dZV59QxIOYhIjdb03"
    "LMMWOJR5p5fdOf9TIKx6GbSgLWTJmwMA/tulsEpMKoY77AdZV2XTLM5xC586k//xUcn2i4NMSKvFmIsc8dXg2jf6"
    "B5JK1rs0Cy6QWy6+iJLiDbxiwYFgX4ORWuD06+ktcEquWpUDq7G5kHX/ZZCU3S8t3JgZOpq9VpwkGRlcyUU/zqKt"
    "hImDFdFQhzGyjqIs+xf7rBEGhESTSJeOD/EMCH8zLIzOlArtlOZvwMJ/n0BhsQzQFQVM9by2dDP49FuHszdM2/fV"
    "gBBKbUSdN9JmoGyz19YuwKtO5LrbeHrWICMxShLjgQc6dW90/qBfihNzz9EnoypNiVekFt46b6cEGJAIAA7U7KL7"
    "KWcszVBc3LnpV2RLSqTGM84CP+0ZAi154t4sVLihTHyjRawfhpbdN5oGVr7DNpoG8drEhlkvqYoX4ZBy3vp5iKDA"
    "TNrXg7lgxCKgUZMc0zNYh4j5YQDjAgMBAAE="
)


class Accounts:
    """Who exists."""

    def __init__(
        self,
        master: Database,
        users: UserDatabases,
        sessions: Sessions,
        keys: ServerKeys,
        clock: Clock,
        *,
        registration_open: bool,
        on_revoked: Callable[[str, str], None],
    ) -> None:
        self._master = master
        self._users = users
        self._sessions = sessions
        self._keys = keys
        self._clock = clock
        self._registration_open = registration_open
        self._on_revoked = on_revoked

    def challenge(self, purpose: Purpose) -> bytes:
        """Random bytes to sign, good once, for 120 s and this purpose. Nothing is stored."""
        return challenges.issue(self._keys, purpose, int(self._clock()))

    async def register(
        self, claim: Claim, challenge: bytes, signature: bytes, origins: Sequence[str]
    ) -> tuple[Session, bool]:
        """A session for this key, and whether its account is new. The same key again, with a fresh
        challenge, gets the same ids. Raises ChallengeInvalid, SignatureInvalid, DeviceRevoked,
        RegistrationClosed, WrappingKeyDiffers, or a leaf of PublicKeyRefused."""
        candidate = await examine(claim, origins)
        expires_at = self._check_challenge("register", challenge)
        key = candidate.key
        signed_origin(
            key, signature, origins, lambda each: register_message(each, challenge, key.thumbprint)
        )
        device, is_new = await self._enter(candidate, challenge, expires_at)
        await self._complete_account(device.user_id)
        session = await self._sessions.start(device)
        if is_new:
            events.account_created()
        return session, is_new

    async def log_in(
        self, thumbprint: bytes, challenge: bytes, signature: bytes, origins: Sequence[str]
    ) -> Session:
        """A session for the device with this key. Raises LoginFailed, whatever the reason."""
        found = (await self._master.read([store.select_device_by_key(thumbprint)]))[0]
        device = store.device_of(found[0]) if found else None
        key = load_public_key(device.public_key if device else _NOBODY)
        try:
            expires_at = self._check_challenge("login", challenge)
            signed_origin(
                key, signature, origins, lambda each: login_message(each, challenge, thumbprint)
            )
        except NotAuthenticated:
            raise LoginFailed from None
        if device is None or device.status != "active":
            raise LoginFailed
        now = int(self._clock())
        try:
            await self._master.write(store.spend(challenges.digest_of(challenge), expires_at, now))
        except Conflict:
            raise LoginFailed from None
        await self._complete_account(device.user_id)
        session = await self._sessions.start(device)
        events.device_logged_in()
        return session

    async def devices(self, user_id: str) -> list[ListedDevice]:
        """Every device the account ever had, oldest first."""
        rows = (await self._users.open(user_id).read([store.select_listed_devices()]))[0]
        return [store.listed_device_of(row) for row in rows]

    async def revoke(self, user_id: str, device_id: str, *, by: str) -> None:
        """The device fails on its next request, its sessions and pairings are over; again changes
        nothing. Raises NotFound, LastDevice for the only live one, or NotAuthenticated if the
        device that asks (`by`) was revoked meanwhile."""
        now = int(self._clock())

        def plan(rows: list[Rows]) -> Plan[Device]:
            return _plan_revoke(store.devices_of(rows[0]), device_id, by, now)

        decided = await self._master.decide([store.select_devices_of(user_id)], plan)
        copied = [store.copy_device(decided.outcome, day_of(now)), store.end_sessions_of_revoked()]
        try:
            await self._users.open(user_id).write(copied)
        except StorageError:
            # The master has it: nobody gets into the user's database before it has been told.
            await self._users.reopen(user_id)
            raise
        finally:
            self._on_revoked(user_id, device_id)
        events.device_revoked()

    async def statements_on_open(self, user_id: str) -> Sequence[Statement]:
        """What brings a user's own database up to the master's devices, whenever it is opened.
        Raises Missing if the account was deleted, even if a file of it is there again."""
        deleted = deletion_store.select_known(known_hashes(self._keys, user_id))
        rows, tombstones = await self._master.read([store.select_devices_of(user_id), deleted])
        if tombstones:
            raise Missing
        devices = store.devices_of(rows)
        copies = [store.copy_device(device, day_of(device.created_at)) for device in devices]
        return [*copies, store.end_sessions_of_revoked()]

    def _check_challenge(self, purpose: Purpose, challenge: bytes) -> int:
        expires_at = challenges.expiry_of(self._keys, purpose, challenge, int(self._clock()))
        if expires_at is None:
            raise ChallengeInvalid
        return expires_at

    async def _enter(
        self, candidate: Candidate, challenge: bytes, expires_at: int
    ) -> tuple[Device, bool]:
        """The master's row for this key, made now if it is new; the challenge is spent with it."""
        now = int(self._clock())
        digest = challenges.digest_of(challenge)
        fresh = candidate.device(str(uuid.uuid4()), now)

        def plan(rows: list[Rows]) -> Plan[tuple[Device, bool]]:
            if rows[0]:
                raise ChallengeInvalid
            known = store.device_of(rows[1][0]) if rows[1] else None
            spent = store.spend(digest, expires_at, now)
            if known is not None:
                return _plan_return(known, candidate, spent)
            if not self._registration_open:
                raise RegistrationClosed
            entered = (store.insert_account(fresh.user_id, now), store.insert_device(fresh))
            return Plan((*spent, *entered), (fresh, True))

        reads = [store.select_spent(digest), store.select_device_by_key(candidate.key.thumbprint)]
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


def _plan_return(
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


def _plan_revoke(devices: Sequence[Device], device_id: str, by: str, now: int) -> Plan[Device]:
    live = {device.device_id for device in devices if device.status == "active"}
    if by not in live:
        raise NotAuthenticated
    target = next((device for device in devices if device.device_id == device_id), None)
    if target is None:
        raise NotFound
    if target.status != "active":
        return Plan((), target)
    if len(live) == 1:
        raise LastDevice
    revoked = replace(target, status="revoked", generation=target.generation + 1)
    statements = (
        store.revoke_device(device_id, now),
        pairing_store.cancel_all_of_device(device_id),
    )
    return Plan(statements, revoked)
