"""Recovery: whoever lost every device comes back by a phrase that only they have.

The master database decides. What the other devices should know is told in the account's own
database right after, and again from the master's rows whenever that is opened.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from app import events
from app.auth import challenge as challenges
from app.auth import deletion_store, recovery_store, security_store, store
from app.auth import recovery as rules
from app.auth.accounts import plan_return
from app.auth.candidates import Candidate, examine, signed_origin
from app.auth.devices import CurrentDevice, Device, Session
from app.auth.errors import (
    ChallengeInvalid,
    PublicKeyInUse,
    RecoveryDelayed,
    RecoveryFailed,
    RecoveryLocatorTaken,
    RecoveryReplaced,
)
from app.auth.recovery import Offered, Recovery, RecoveryAttempt
from app.auth.security_events import SecurityEvent
from app.auth.server_keys import ServerKeys
from app.auth.sessions import Sessions
from app.auth.signed_bytes import recover_message
from app.clock import Clock, day_of
from app.database.port import Database, Plan, Rows, Statement, StorageError, UserDatabases
from app.errors import NotAuthenticated
from app.signals import Signals


@dataclass(frozen=True, slots=True)
class _Entered:
    """The device is the account's; `is_new` unless it was before."""

    device: Device
    is_new: bool


@dataclass(frozen=True, slots=True)
class _Waits:
    """Others may object until then; `is_new` if the wait has begun with this call."""

    user_id: str
    until: int
    is_new: bool


_Outcome: TypeAlias = _Entered | _Waits


class Recoveries:
    """The recovery phrases of this server's accounts."""

    def __init__(
        self,
        master: Database,
        users: UserDatabases,
        sessions: Sessions,
        keys: ServerKeys,
        clock: Clock,
        signals: Signals,
    ) -> None:
        self._master = master
        self._users = users
        self._sessions = sessions
        self._keys = keys
        self._clock = clock
        self._signals = signals

    async def of(self, user_id: str) -> Recovery | None:
        """The account's phrase, if it has one."""
        return _of((await self._master.read([recovery_store.select_of(user_id)]))[0])

    async def put(self, device: CurrentDevice, offered: Offered) -> None:
        """This is the account's phrase, and the only one; a wait that had begun under another
        is over. The same phrase again only brings a newer bundle. Raises RecoveryLocatorTaken, or
        RecoveryReplaced where only a newer bundle was meant."""
        now = int(self._clock())

        def plan(rows: list[Rows]) -> Plan[bool]:
            _check_live(rows[0], device)
            if rows[2] and rows[2][0][0] != device.user_id:
                raise RecoveryLocatorTaken
            lives, present = store.device_lives(device.device_id), _of(rows[1])
            if present is not None and _is_same(present, offered):
                return Plan((lives, *recovery_store.renew(present, offered.bundle)), False)
            if offered.only_renew:
                raise RecoveryReplaced
            made = recovery_store.replace(device.user_id, offered, device.device_id, now)
            kept = deletion_store.look_again(device.user_id, None)  # who has a phrase comes back
            return Plan((lives, *made, kept), True)

        reads = [*self._reads(device), recovery_store.select_owner(offered.locator)]
        if (await self._master.decide(reads, plan)).outcome:
            told = SecurityEvent("recovery_set", now, device.device_id)
            await self._tell(device.user_id, security_store.tell([told], now))
            events.recovery_set()

    async def remove(self, device: CurrentDevice) -> None:
        """The account has no phrase; again changes nothing."""
        now = int(self._clock())

        def plan(rows: list[Rows]) -> Plan[bool]:
            _check_live(rows[0], device)
            present = _of(rows[1])
            if present is None:
                return Plan((), False)
            removed = recovery_store.remove(present, device.device_id, now)
            return Plan((store.device_lives(device.device_id), removed), True)

        if (await self._master.decide(self._reads(device), plan)).outcome:
            told = SecurityEvent("recovery_removed", now, device.device_id)
            await self._tell(device.user_id, security_store.tell([told], now))
            events.recovery_removed()

    async def cancel(self, device: CurrentDevice) -> None:
        """Whoever waits to come in by the phrase would have to begin to wait anew."""

        def plan(rows: list[Rows]) -> Plan[None]:
            _check_live(rows[0], device)
            lives = store.device_lives(device.device_id)
            return Plan((lives, recovery_store.end_wait(device.user_id)), None)

        await self._master.decide(self._reads(device), plan)

    async def recover(
        self, attempt: RecoveryAttempt, origins: Sequence[str]
    ) -> tuple[Session, bytes]:
        """A session for the new device, now one of the account's however many it has, and the
        sealed bundle. The same key again gets the same ids. Raises ChallengeInvalid,
        SignatureInvalid, RecoveryFailed for whatever is wrong with the phrase, RecoveryDelayed
        while the account's other devices may still object, PublicKeyInUse, DeviceRevoked,
        WrappingKeyDiffers, or a leaf of PublicKeyRefused."""
        candidate = await examine(attempt.claim, origins)
        key, now = candidate.key, int(self._clock())
        expires_at = challenges.check(self._keys, "register", attempt.challenge, now)
        signed_origin(
            key,
            attempt.signature,
            origins,
            lambda each: recover_message(each, attempt.challenge, key.thumbprint),
        )
        user_id = _opened(await self._nearest(attempt), attempt).user_id
        last_seen = await self._last_seen(user_id, key.thumbprint)
        spent = store.spend(challenges.digest_of(attempt.challenge), expires_at, now)

        def plan(rows: list[Rows]) -> Plan[_Outcome]:
            if rows[0]:
                raise ChallengeInvalid
            recovery = _opened(rows[1], attempt)
            known = store.device_of(rows[2][0]) if rows[2] else None
            made = _plan_recover(recovery, known, candidate, last_seen, now)
            return Plan((*spent, *made.statements), made.outcome)

        reads = [
            store.select_spent(challenges.digest_of(attempt.challenge)),
            recovery_store.select_nearest(attempt.locator),
            store.select_device_by_key(key.thumbprint),
        ]
        decided = await self._master.decide(reads, plan)
        entered = await self._entered(decided.outcome, now)
        return await self._sessions.start(entered.device), decided.rows[-1][0][0]

    async def _entered(self, outcome: _Outcome, now: int) -> _Entered:
        """The device that is in, the others told of it. Raises RecoveryDelayed."""
        if isinstance(outcome, _Waits):
            if outcome.is_new:
                started = SecurityEvent("recovery_started", now, None)
                await self._tell(outcome.user_id, security_store.tell([started], now))
                events.recovery_started()
            headers = {"Retry-After": str(outcome.until - now)}
            raise RecoveryDelayed(headers=headers, available_at=outcome.until)
        if outcome.is_new:
            device = outcome.device
            told = [
                SecurityEvent("device_added", device.created_at, device.device_id),
                SecurityEvent("recovery_used", now, device.device_id),
            ]
            copied = store.copy_device(device, day_of(now))
            await self._tell(device.user_id, [copied, *security_store.tell(told, now)])
            events.account_recovered()
        return outcome

    async def _tell(self, user_id: str, statements: Sequence[Statement]) -> None:
        """What cannot be told now is taken from the master's rows when the database is opened."""
        try:
            await self._users.open(user_id).write(statements)
        except StorageError:
            await self._users.reopen(user_id)
            raise
        finally:
            self._signals.tell(user_id, "devices")

    async def _nearest(self, attempt: RecoveryAttempt) -> Rows:
        return (await self._master.read([recovery_store.select_nearest(attempt.locator)]))[0]

    async def _last_seen(self, user_id: str, thumbprint: bytes) -> int | None:
        """The last day on which a live device with another key was seen."""
        seen = await self._users.open(user_id).read([store.select_last_seen(thumbprint)])
        last: int | None = seen[0][0][0]
        return last

    @staticmethod
    def _reads(device: CurrentDevice) -> list[Statement]:
        return [
            store.select_devices_of(device.user_id),
            recovery_store.select_of(device.user_id),
        ]


def _plan_recover(
    recovery: Recovery, known: Device | None, candidate: Candidate, last_seen: int | None, now: int
) -> Plan[_Outcome]:
    """The bundle is what the last statement of an entry returns."""
    bundle = recovery_store.select_bundle(recovery.user_id)
    if known is not None:
        if known.status == "active" and known.user_id != recovery.user_id:
            raise PublicKeyInUse
        back = plan_return(known, candidate, ())
        guarded = (recovery_store.still(recovery), *back.statements, bundle)
        return Plan(guarded, _Entered(back.outcome[0], is_new=False))
    if rules.has_to_wait(recovery, last_seen, now):
        if recovery.available_at is not None:
            return Plan((), _Waits(recovery.user_id, recovery.available_at, is_new=False))
        begun = recovery_store.begin_wait(recovery, now)
        return Plan(begun, _Waits(recovery.user_id, now + recovery.delay_seconds, is_new=True))
    device = candidate.device(recovery.user_id, now)
    used = recovery_store.use(recovery, device.device_id, now)
    return Plan((*used, store.insert_device(device), bundle), _Entered(device, is_new=True))


def _opened(rows: Rows, attempt: RecoveryAttempt) -> Recovery:
    """The phrase that was meant. Raises RecoveryFailed if it does not open."""
    recovery = recovery_store.recovery_of(rows[0]) if rows else None
    is_open = rules.opens(recovery, attempt.locator, attempt.authenticator)
    if recovery is None or not is_open:
        raise RecoveryFailed
    return recovery


def _of(rows: Rows) -> Recovery | None:
    return recovery_store.recovery_of(rows[0]) if rows else None


def _is_same(present: Recovery, offered: Offered) -> bool:
    return (
        present.locator == offered.locator
        and present.authenticator_hash == offered.authenticator_hash
        and offered.delay_seconds in (None, present.delay_seconds)
    )


def _check_live(rows: Rows, device: CurrentDevice) -> None:
    """The device that asks is live in the master database. Raises NotAuthenticated."""
    live = {each.device_id for each in store.devices_of(rows) if each.status == "active"}
    if device.device_id not in live:
        raise NotAuthenticated
