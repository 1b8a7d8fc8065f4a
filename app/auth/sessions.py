"""Sessions: begun by a proof of a device's key, continued by refresh, ended by revocation."""

import uuid
from dataclasses import replace

from app import events
from app.auth import access_token, refresh, security_store, store
from app.auth.access_token import AccessClaims
from app.auth.admission import AdmittedDatabase
from app.auth.devices import CurrentDevice, Device, Session
from app.auth.errors import (
    LoginFailed,
    NonceRequired,
    ProofReplayed,
    RefreshInvalid,
    RefreshReused,
    StaleRequest,
)
from app.auth.proofs import Asked, Proofs
from app.auth.public_key import load_public_key, thumbprint_text
from app.auth.refresh import Family, ProofDate, RefreshToken, Verdict
from app.auth.security_events import SecurityEvent
from app.auth.server_keys import ServerKeys
from app.clock import Clock, day_of
from app.config import Settings
from app.database.port import Conflict, Database, Missing, Plan, Rows, UserDatabases
from app.errors import NotAuthenticated
from app.rates.buckets import REFRESHES
from app.rates.limits import Limits, spend
from app.signals import Signals

MAX_FAMILIES = 5
_REFUSALS: dict[Verdict, type[NotAuthenticated]] = {
    "invalid": RefreshInvalid,
    "reused": RefreshReused,
    "stale": StaleRequest,
    "nonce_needed": NonceRequired,
}


class Sessions:
    """Who may speak for which device, now."""

    def __init__(
        self,
        users: UserDatabases,
        keys: ServerKeys,
        proofs: Proofs,
        settings: Settings,
        clock: Clock,
        limits: Limits,
        signals: Signals,
    ) -> None:
        self._users = users
        self._keys = keys
        self._proofs = proofs
        self._settings = settings
        self._clock = clock
        self._limits = limits
        self._signals = signals

    async def start(self, device: Device) -> Session:
        """A new session of a device that has just proved its key; at most five live on. Raises
        LoginFailed if the device was revoked meanwhile."""
        now = int(self._clock())
        family_id = str(uuid.uuid4())
        token = refresh.make(self._keys.current, device.user_id, family_id, 1)
        family = Family(
            family_id=family_id,
            device_id=device.device_id,
            generation=1,
            current_hash=refresh.hash_of(token),
            previous_hash=None,
            confirmed_at=None,
            refreshed_at=now,
            ends_at=now + self._settings.session_max_seconds,
            status="active",
        )
        current = _current(device, family_id)
        try:
            await self._users.open(device.user_id).write(
                [
                    store.copy_device(device, day_of(now)),
                    store.device_is_live(current),
                    store.see_device(device.device_id, day_of(now)),
                    store.keep_newest_families(device.device_id, MAX_FAMILIES - 1),
                    store.insert_family(family, now),
                ]
            )
        except Conflict:
            raise LoginFailed from None
        return self._session(current, family, token, now)

    def admitted(self, token: str) -> AdmittedDatabase:
        """The database of the user whose access token this is. Raises NotAuthenticated for a token
        that is not ours or not in time; so does each use unless device and session are good."""
        now = int(self._clock())
        claims = access_token.read(self._keys, self._settings.public_origin, token, now=now)
        return AdmittedDatabase(self._users.open(claims.user_id), claims, self._clock)

    async def refresh(self, text: str, asked: Asked) -> Session:
        """Both tokens anew. Raises RefreshInvalid, RefreshReused, StaleRequest, RateLimited, or
        what is wrong with the proof; none but RefreshReused changes anything."""
        token = refresh.read(self._keys, text)
        if token is None:
            raise RefreshInvalid
        db = self._users.open(token.user_id)
        try:
            found = (await db.read([store.select_family(token.family_id)]))[0]
        except Missing:
            raise RefreshInvalid from None
        if not found or store.status_of(found[0])[0] != "active":
            raise RefreshInvalid
        try:
            key = load_public_key(store.status_of(found[0])[3])
            proof = await self._proofs.check(asked, key, text)
        except ProofReplayed:
            raise StaleRequest from None
        # Only now: whoever has no proof could use the device's share up.
        await spend(self._limits, REFRESHES, store.family_of(found[0]).device_id)
        try:
            return await self._continue(db, token, proof)
        except Missing:  # the account was deleted meanwhile
            raise RefreshInvalid from None

    async def end(self, device: CurrentDevice) -> None:
        """The session this request came in with is over."""
        await self._users.open(device.user_id).write([store.end_family(device.family_id)])
        self._signals.tell(device.user_id, "ended")
        events.session_ended(reason="logout")

    async def _continue(self, db: Database, token: RefreshToken, proof: ProofDate) -> Session:
        now = int(self._clock())

        def plan(rows: list[Rows]) -> Plan[tuple[Verdict, Family | None, CurrentDevice | None]]:
            return self._plan_refresh(rows[0], token, proof, now)

        decided = await db.decide([store.select_family(token.family_id)], plan)
        verdict, family, device = decided.outcome
        if verdict == "reused":
            self._signals.tell(token.user_id, "ended")
            self._signals.tell(token.user_id, "devices")
            events.session_ended(reason="refresh_reused")
        if family is None or device is None:
            raise _REFUSALS[verdict]
        if verdict == "rotate":
            family = replace(family, generation=family.generation + 1, refreshed_at=now)
            return self._session(device, family, self._successor(family, token.user_id), now)
        return self._session(device, family, self._current_of(family, token.user_id), now)

    def _plan_refresh(
        self, rows: Rows, token: RefreshToken, proof: ProofDate, now: int
    ) -> Plan[tuple[Verdict, Family | None, CurrentDevice | None]]:
        if not rows or store.status_of(rows[0])[0] != "active":
            return Plan((), ("invalid", None, None))
        family = store.family_of(rows[0])
        idle = self._settings.refresh_token_seconds
        verdict = refresh.judge(family, token, proof, now=now, idle_seconds=idle)
        device = store.current_device_of(token.user_id, rows[0])
        if verdict == "rotate":
            rotated = replace(family, generation=family.generation + 1)
            made = self._successor(rotated, token.user_id)
            statements = store.rotate_family(family, refresh.hash_of(made), now)
            return Plan(statements, (verdict, family, device))
        if verdict == "repeat":
            return Plan((), (verdict, family, device))
        if verdict == "reused":
            reuse = SecurityEvent("session_reuse", now, family.device_id)
            told = security_store.tell([reuse], now)
            return Plan((store.end_family(family.family_id), *told), (verdict, family, None))
        return Plan((), (verdict, None, None))

    def _successor(self, family: Family, user_id: str) -> str:
        """The refresh token of the step that the session now takes."""
        return refresh.make(self._keys.current, user_id, family.family_id, family.generation)

    def _current_of(self, family: Family, user_id: str) -> str:
        """The refresh token given out last, made under an earlier secret if it was given so."""
        made = [
            refresh.make(keys, user_id, family.family_id, family.generation)
            for keys in self._keys.all
        ]
        known = (token for token in made if refresh.hash_of(token) == family.current_hash)
        return next(known, made[0])

    def _session(self, device: CurrentDevice, family: Family, token: str, now: int) -> Session:
        life = min(self._settings.access_token_seconds, family.ends_at - now)
        idle_until = family.refreshed_at + self._settings.refresh_token_seconds
        claims = AccessClaims(
            user_id=device.user_id,
            device_id=device.device_id,
            generation=device.generation,
            family_id=family.family_id,
            family_generation=family.generation,
            thumbprint=thumbprint_text(device.thumbprint),
        )
        return Session(
            user_id=device.user_id,
            device_id=device.device_id,
            access_token=access_token.issue(
                self._keys, self._settings.public_origin, claims, now=now, life_seconds=life
            ),
            refresh_token=token,
            expires_in=life,
            refresh_expires_in=min(idle_until, family.ends_at) - now,
            server_time=now,
        )


def _current(device: Device, family_id: str) -> CurrentDevice:
    return CurrentDevice(
        user_id=device.user_id,
        device_id=device.device_id,
        generation=device.generation,
        family_id=family_id,
        thumbprint=device.thumbprint,
        public_key=device.public_key,
    )
