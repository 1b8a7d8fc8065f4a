"""How an account ends, as far as the master database knows of it.

The first step is one transaction: a record of the deletion comes, and every row that lets anybody
in goes. From then on no key logs in, and the account's own database refuses to open. What follows
(`app/account`) only takes things away, and goes on after a crash where it was.
"""

from collections.abc import Sequence
from typing import Literal, TypeAlias

from app.auth import challenge as challenges
from app.auth import deletion_store, store
from app.auth.candidates import signed_origin
from app.auth.deletion import UNUSED_SECONDS, account_hash, known_hashes
from app.auth.deletion_store import Unfinished
from app.auth.devices import CurrentDevice
from app.auth.errors import ChallengeInvalid
from app.auth.public_key import load_public_key
from app.auth.server_keys import ServerKeys
from app.auth.signed_bytes import delete_account_message
from app.clock import Clock, day_of
from app.database.port import Conflict, Database, Plan, Rows, Statement, UserDatabases
from app.errors import NotAuthenticated, NotFound

Use: TypeAlias = Literal["deleted", "seen", "used"]
__all__ = ["UNUSED_SECONDS", "CurrentDevice", "Deletions", "Unfinished"]


class Deletions:
    """The master's part in the end of accounts."""

    def __init__(
        self, master: Database, users: UserDatabases, keys: ServerKeys, clock: Clock
    ) -> None:
        self._master = master
        self._users = users
        self._keys = keys
        self._clock = clock

    async def created_at(self, user_id: str) -> int:
        """When the account was made, Unix seconds. Raises NotFound."""
        rows = (await self._master.read([deletion_store.select_created_at(user_id)]))[0]
        if not rows:
            raise NotFound
        return int(rows[0][0])

    async def begin(
        self, device: CurrentDevice, challenge: bytes, signature: bytes, origins: Sequence[str]
    ) -> list[str]:
        """The account is deleted for everybody who asks from now on; ids of the pairings that were
        open. Raises ChallengeInvalid, SignatureInvalid, or NotAuthenticated if the device was
        revoked meanwhile, and then nothing changed."""
        now = int(self._clock())
        expires_at = challenges.expiry_of(self._keys, "delete_account", challenge, now)
        if expires_at is None:
            raise ChallengeInvalid
        signed_origin(
            load_public_key(device.public_key),
            signature,
            origins,
            lambda each: delete_account_message(each, challenge, device.thumbprint),
        )
        digest = challenges.digest_of(challenge)

        def plan(rows: list[Rows]) -> Plan[list[str]]:
            if rows[0]:
                raise ChallengeInvalid
            live = [each for each in store.devices_of(rows[1]) if each.status == "active"]
            if device.device_id not in [each.device_id for each in live]:
                raise NotAuthenticated
            spent = store.spend(digest, expires_at, now)
            return Plan(
                (*spent, *self._tombstone(device.user_id, now)), [row[0] for row in rows[2]]
            )

        reads = [
            store.select_spent(digest),
            store.select_devices_of(device.user_id),
            deletion_store.select_pairings_of(device.user_id),
        ]
        return (await self._master.decide(reads, plan)).outcome

    async def unfinished(self) -> list[Unfinished]:
        """Deletions that were begun and not brought to their end, oldest first."""
        return (await self._master.read([deletion_store.select_unfinished()]))[0]

    async def forget_id(self, deletion: Unfinished) -> None:
        """The record says no more whose it is, once nothing is left that the id is needed for."""
        await self._master.write([deletion_store.drop_id(deletion.account_hash)])

    async def set_erased(self, deletions: Sequence[Unfinished]) -> None:
        """These are done with."""
        hashes = [each.account_hash for each in deletions]
        await self._master.write([deletion_store.set_erased(hashes, int(self._clock()))])

    # --- accounts that nobody uses --------------------------------------------------------------

    async def due(self, limit: int) -> list[str]:
        """Accounts to be looked at: nothing was known to be written when they were last."""
        statement = deletion_store.select_due(int(self._clock()), limit)
        return [row[0] for row in (await self._master.read([statement]))[0]]

    async def look_again(self, user_id: str, *, in_seconds: int | None) -> None:
        """When the account is due next; None: never."""
        at = None if in_seconds is None else int(self._clock()) + in_seconds
        await self._master.write([deletion_store.look_again(user_id, at)])

    async def begin_if_unused(self, user_id: str, read_seq: Statement, is_empty: Statement) -> Use:
        """`deleted` if the account never wrote anything (`is_empty`, a guard in its own database)
        and no device of it was seen for 30 days. Nothing that anybody was told is stored can be
        lost by it. Raises Missing if it has no database.

        First its own database locks everybody out in the very transaction that finds it empty; and
        then the master deletes it, unless a device was let in anew in between. Cut off between the
        two, the next opening lets the devices in again.
        """
        now = int(self._clock())
        seen_before = day_of(now - UNUSED_SECONDS)
        own = self._users.open(user_id)
        # Opening it has made the master's rows and its own agree.
        seen, seq = await own.read([deletion_store.SELECT_LAST_SEEN_DAY, read_seq])
        if seq[0][0]:
            return "used"
        if deletion_store.last_seen_of(seen) >= seen_before:
            return "seen"
        rows = (await self._master.read([store.select_devices_of(user_id)]))[0]
        still = deletion_store.devices_are_still(store.devices_of(rows), user_id)
        try:
            await own.write([is_empty, *deletion_store.lock_out(seen_before)])
            await self._master.write([still, *self._tombstone(user_id, now)])
        except Conflict:
            await self._users.reopen(user_id)
            return "seen"
        return "deleted"

    async def undo_creation(self, user_id: str) -> bool:
        """Whether a registration that was cut off before it had a database is deleted."""
        now = int(self._clock())
        made = deletion_store.is_being_created(user_id)
        try:
            await self._master.write([made, *self._tombstone(user_id, now)])
        except Conflict:
            return False
        return True

    def _tombstone(self, user_id: str, now: int) -> list[Statement]:
        return [
            deletion_store.is_not_deleted(known_hashes(self._keys, user_id)),
            deletion_store.insert(account_hash(self._keys.current, user_id), user_id, now),
            *deletion_store.erase_central_rows(user_id),
        ]
