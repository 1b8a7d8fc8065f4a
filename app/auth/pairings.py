"""Pairing: an account's existing device lets a new one in, and the server learns no key.

The server keeps the two sides' public parts for five minutes, holds them to the order of steps,
and adds the device when the existing one approves. Every step may be sent again.
"""

import uuid
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from app import events
from app.auth import pairing as rules
from app.auth import pairing_store, security_store, store
from app.auth.candidates import Candidate, Claim, examine, signed_origin
from app.auth.devices import CurrentDevice, Device, Session
from app.auth.errors import (
    DeviceRevoked,
    PairingConflict,
    PairingExpired,
    ProofRequired,
    PublicKeyInUse,
    TooManyDevices,
    TooManyPairings,
    WrappingKeyRequired,
)
from app.auth.pairing import Approval, Collected, Joiner, Pairing
from app.auth.proofs import Asked, Proofs
from app.auth.public_key import load_public_key
from app.auth.security_events import SecurityEvent
from app.auth.sessions import Sessions
from app.auth.signed_bytes import pairing_transcript
from app.clock import Clock, day_of
from app.database.port import Database, Plan, Rows, Statement, UserDatabases
from app.errors import NotAuthenticated, NotFound
from app.rates.buckets import PAIRINGS
from app.rates.limits import Limits, spend
from app.signals import Signals, Waiter

May: TypeAlias = Callable[[Pairing], None]
Step: TypeAlias = Callable[[Pairing, list[Rows]], Plan[Pairing]]


@dataclass(frozen=True, slots=True)
class JoinAttempt:
    """What a new device sent: its keys, and its half of the transcript."""

    claim: Claim
    signature: bytes
    nonce: bytes
    mac: bytes


class Pairings:
    """The open pairings of this server."""

    def __init__(
        self,
        master: Database,
        users: UserDatabases,
        sessions: Sessions,
        proofs: Proofs,
        signals: Signals,
        clock: Clock,
        limits: Limits,
        *,
        max_devices: int,
    ) -> None:
        self._master = master
        self._users = users
        self._sessions = sessions
        self._proofs = proofs
        self._signals = signals
        self._clock = clock
        self._limits = limits
        self._max_devices = max_devices

    async def create(self, device: CurrentDevice, commitment: bytes | None) -> Pairing:
        """A new, open pairing for 300 s. Raises RateLimited, TooManyPairings or TooManyDevices."""
        await spend(self._limits, PAIRINGS, device.user_id)
        now = int(self._clock())
        pairing = Pairing(
            pairing_id=str(uuid.uuid4()),
            user_id=device.user_id,
            device_id=device.device_id,
            state="open",
            commitment=commitment,
            expires_at=now + rules.LIFE_SECONDS,
            joiner=None,
            existing_nonce=None,
            approval=None,
            new_device_id=None,
        )

        def plan(rows: list[Rows]) -> Plan[Pairing]:
            _check_lives(store.devices_of(rows[0]), device.device_id, self._max_devices)
            if rows[1][0][0] >= rules.MAX_OPEN:
                raise TooManyPairings(limit=rules.MAX_OPEN)
            statements = (*pairing_store.forget_ended(now), pairing_store.insert(pairing, now))
            return Plan(statements, pairing)

        reads = [
            store.select_devices_of(device.user_id),
            pairing_store.count_open(device.user_id, now),
        ]
        return (await self._master.decide(reads, plan)).outcome

    async def join(self, pairing_id: str, attempt: JoinAttempt, origins: Sequence[str]) -> Pairing:
        """The new device's half is kept. Raises PairingConflict for a second device, which ends
        the pairing; SignatureInvalid; PublicKeyInUse; or a leaf of PublicKeyRefused."""
        candidate = await examine(attempt.claim, origins)
        joiner = await self._verified(pairing_id, candidate, attempt, origins)

        def step(pairing: Pairing, rows: list[Rows]) -> Plan[Pairing]:
            try:
                is_new = rules.join_is_new(pairing, joiner)
            except PairingConflict:
                if pairing.state in rules.SETTLED:
                    raise
                ended = pairing_store.set_ended(pairing_id, "conflict")
                return Plan((ended,), replace(pairing, state="conflict"))
            if not is_new:
                return Plan((), pairing)
            _check_unused(rows[1])
            joined = replace(pairing, state="joined", joiner=joiner)
            return Plan((pairing_store.set_joined(pairing_id, joiner),), joined)

        joined = await self._step(
            pairing_id, step, [store.select_device_by_key(candidate.key.thumbprint)]
        )
        if joined.state == "conflict":
            raise PairingConflict
        return joined

    async def reveal(self, device: CurrentDevice, pairing_id: str, nonce: bytes) -> Pairing:
        """The existing device's nonce is shown to the new one. Raises PairingState out of turn,
        CommitmentMismatch for another nonce than was committed to."""

        def step(pairing: Pairing, _: list[Rows]) -> Plan[Pairing]:
            if not rules.reveal_is_new(pairing, nonce):
                return Plan((), pairing)
            revealed = replace(pairing, state="revealed", existing_nonce=nonce)
            return Plan((pairing_store.set_revealed(pairing_id, nonce),), revealed)

        return await self._step(pairing_id, step, may=_of(device))

    async def approve(
        self, device: CurrentDevice, pairing_id: str, thumbprint: bytes, approval: Approval
    ) -> Pairing:
        """The device is added and the sealed payload kept, in one transaction. Raises PairingState
        out of turn or for another key, TooManyDevices, PublicKeyInUse."""
        now = int(self._clock())

        def step(pairing: Pairing, rows: list[Rows]) -> Plan[Pairing]:
            if not rules.approval_is_new(pairing, thumbprint, approval):
                return Plan((), pairing)
            _check_lives(store.devices_of(rows[1]), device.device_id, self._max_devices)
            _check_unused(rows[2])
            added = rules.joiner_of(pairing).device(pairing.user_id, now)
            approved = replace(
                pairing, state="approved", approval=approval, new_device_id=added.device_id
            )
            statements = (
                store.insert_device(added),
                pairing_store.set_approved(pairing_id, approval, added.device_id),
            )
            return Plan(statements, approved)

        reads = [store.select_devices_of(device.user_id), store.select_device_by_key(thumbprint)]
        approved = await self._step(pairing_id, step, reads, may=_of(device))
        await self._copy(approved)
        self._signals.tell(approved.user_id, "devices")
        events.device_paired()
        return approved

    async def cancel_by_owner(self, device: CurrentDevice, pairing_id: str) -> None:
        """The pairing is over and its payload erased; a device already added stays."""
        await self._cancel(pairing_id, _of(device))

    async def cancel_by_joiner(self, asked: Asked, pairing_id: str) -> None:
        """As `cancel_by_owner`, asked for by the new device with its proof."""
        await self._joined(asked, pairing_id)
        await self._cancel(pairing_id, _anybody)

    async def seen_by_owner(
        self, device: CurrentDevice, pairing_id: str, wait_seconds: int
    ) -> Pairing:
        """The pairing, at once or when it changes within `wait_seconds`."""
        return await self._watched(pairing_id, _of(device), rules.EXISTING_WAITS, wait_seconds)

    async def seen_by_joiner(self, asked: Asked, pairing_id: str, wait_seconds: int) -> Pairing:
        """As `seen_by_owner`, for the new device; before it joined there is nothing for it."""
        await self._joined(asked, pairing_id)
        return await self._watched(pairing_id, _anybody, rules.NEW_WAITS, wait_seconds)

    async def collect(self, asked: Asked, pairing_id: str) -> Collected:
        """The sealed payload, until completion erases it. Raises PairingState out of turn."""
        pairing = await self._joined(asked, pairing_id)
        rules.check_alive(pairing, int(self._clock()))
        approval = rules.check_collectable(pairing)
        existing = await self._device(pairing.user_id, pairing.device_id)
        return Collected(pairing.user_id, existing.public_key, approval)

    async def complete(self, asked: Asked, pairing_id: str) -> Session:
        """A session for the new device; the payload is erased. Raises PairingState before
        approval, DeviceRevoked if the device was revoked since."""
        await self._joined(asked, pairing_id)

        def step(pairing: Pairing, _: list[Rows]) -> Plan[Pairing]:
            if pairing.state == "completed":
                return Plan((), pairing)
            approval = rules.check_collectable(pairing)
            completed = pairing_store.set_completed(pairing_id, approval.digest())
            return Plan((completed,), replace(pairing, state="completed"))

        completed = await self._step(pairing_id, step)
        device = await self._device(completed.user_id, completed.new_device_id or "")
        if device.status != "active":
            raise DeviceRevoked
        return await self._sessions.start(device)

    async def forget_ended(self) -> None:
        """No expired pairing keeps its payload, and after an hour it is gone altogether."""
        await self._master.write(pairing_store.forget_ended(int(self._clock())))

    def expires_in(self, pairing: Pairing) -> int:
        """Seconds the pairing has left."""
        return max(0, pairing.expires_at - int(self._clock()))

    async def _verified(
        self, pairing_id: str, candidate: Candidate, attempt: JoinAttempt, origins: Sequence[str]
    ) -> Joiner:
        """The join's signature is over the transcript of this very pairing."""
        pairing = await self._found(pairing_id)
        rules.check_alive(pairing, int(self._clock()))
        if candidate.key.kind != "RSA" and candidate.wrapping_key is None:
            raise WrappingKeyRequired
        existing = await self._device(pairing.user_id, pairing.device_id)
        signed_origin(
            candidate.key,
            attempt.signature,
            origins,
            lambda origin: pairing_transcript(
                origin,
                uuid.UUID(pairing_id).bytes,
                existing.thumbprint,
                candidate.key.thumbprint,
                attempt.nonce,
            ),
        )
        return Joiner(
            public_key=candidate.key.der,
            thumbprint=candidate.key.thumbprint,
            wrapping_key=candidate.wrapping_der,
            wrapping_key_signature=candidate.wrapping_key_signature,
            description=candidate.description,
            nonce=attempt.nonce,
            signature=attempt.signature,
            mac=attempt.mac,
        )

    async def _step(
        self,
        pairing_id: str,
        step: Step,
        reads: Sequence[Statement] = (),
        *,
        may: May | None = None,
    ) -> Pairing:
        """Carry out one step on a live pairing and wake whoever waits for it. Whoever has no part
        in it does not learn how it ended either."""
        now = int(self._clock())

        def plan(rows: list[Rows]) -> Plan[Pairing]:
            pairing = _pairing_in(rows[0])
            (may or _anybody)(pairing)
            rules.check_alive(pairing, now)
            made = step(pairing, rows)
            if not made.statements:
                return made
            return Plan((pairing_store.still(pairing), *made.statements), made.outcome)

        try:
            decided = await self._master.decide([pairing_store.select(pairing_id), *reads], plan)
        except PairingExpired:
            await self.forget_ended()
            raise
        self._signals.tell(pairing_id, "pairing")
        return decided.outcome

    async def _cancel(self, pairing_id: str, may: May) -> None:
        now = int(self._clock())

        def plan(rows: list[Rows]) -> Plan[None]:
            pairing = _pairing_in(rows[0])
            may(pairing)
            if not rules.cancel_is_new(pairing, now):
                return Plan((), None)
            return Plan((pairing_store.set_ended(pairing_id, "cancelled"),), None)

        await self._master.decide([pairing_store.select(pairing_id)], plan)
        self._signals.tell(pairing_id, "pairing")

    async def _watched(
        self, pairing_id: str, may: May, waits_in: Collection[rules.State], wait_seconds: int
    ) -> Pairing:
        """There is something to wait for only while it is the other side's turn."""
        pairing = await self._visible(pairing_id, may)
        if not wait_seconds or pairing.state not in waits_in:
            return pairing
        changes = Waiter("pairing", "ended")
        with self._signals.waiter(changes, pairing_id, pairing.user_id) as waiter:
            pairing = await self._visible(pairing_id, may)
            if pairing.state not in waits_in:
                return pairing
            await waiter.wait(wait_seconds)
        # Not every end is signalled: time ends a pairing too.
        return await self._visible(pairing_id, may)

    async def _visible(self, pairing_id: str, may: May) -> Pairing:
        pairing = await self._found(pairing_id)
        may(pairing)
        if pairing.state != "conflict":
            rules.check_alive(pairing, int(self._clock()))
        return pairing

    async def _found(self, pairing_id: str) -> Pairing:
        rows = (await self._master.read([pairing_store.select(pairing_id)]))[0]
        pairing = _pairing_in(rows)
        if pairing.approval is not None and self.expires_in(pairing) == 0:
            await self.forget_ended()
        return pairing

    async def _joined(self, asked: Asked, pairing_id: str) -> Pairing:
        """The pairing, if the caller holds the key that joined: to anybody else there is none.
        Raises ProofRequired or NotFound."""
        if asked.proof is None:
            raise ProofRequired
        pairing = await self._found(pairing_id)
        if pairing.joiner is None:
            raise NotFound
        try:
            await self._proofs.check(asked, load_public_key(pairing.joiner.public_key), None)
        except NotAuthenticated as refused:
            if refused.code == "proof_invalid":
                raise NotFound from None
            raise
        return pairing

    async def _device(self, user_id: str, device_id: str) -> Device:
        rows = (await self._master.read([store.select_devices_of(user_id)]))[0]
        for device in store.devices_of(rows):
            if device.device_id == device_id:
                return device
        raise NotFound

    async def _copy(self, pairing: Pairing) -> None:
        device, now = (
            await self._device(pairing.user_id, pairing.new_device_id or ""),
            self._clock(),
        )
        added = SecurityEvent("device_added", device.created_at, device.device_id)
        copied = store.copy_device(device, day_of(int(now)))
        told = security_store.tell([added], int(now))
        await self._users.open(pairing.user_id).write([copied, *told])


def _pairing_in(rows: Rows) -> Pairing:
    if not rows:
        raise NotFound
    return pairing_store.pairing_of(rows[0])


def _of(device: CurrentDevice) -> May:
    """To every device but the one that opened it there is no such pairing."""

    def may(pairing: Pairing) -> None:
        if pairing.device_id != device.device_id:
            raise NotFound

    return may


def _anybody(_: Pairing) -> None:
    """The caller has been looked at already, or the pairing's id is enough."""


def _check_lives(devices: Sequence[Device], device_id: str, max_devices: int) -> None:
    """The device that asks is live in the master database, and there is room for another."""
    live = [device for device in devices if device.status == "active"]
    if device_id not in [device.device_id for device in live]:
        raise NotAuthenticated
    if len(live) >= max_devices:
        raise TooManyDevices(limit=max_devices)


def _check_unused(rows: Rows) -> None:
    if rows:
        if store.device_of(rows[0]).status != "active":
            raise DeviceRevoked
        raise PublicKeyInUse
