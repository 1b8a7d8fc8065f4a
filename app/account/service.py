"""The end of accounts: one that a device deletes, and those that nobody ever used.

The order of steps, each of which may be the last before a crash:

1. the master's tombstone: nobody gets in any more (`Deletions.begin`);
2. the account's own database goes, with its WAL;
3. the record forgets whose it was;
4. the master's files are rewritten, so that no byte of them names the account;
5. the record says that all of this is done.

What is found undone at the start, or an hour later, goes on from where it was.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from time import monotonic

from app import events
from app.auth.deletion_service import UNUSED_SECONDS, CurrentDevice, Deletions, Unfinished
from app.database.port import Busy, Missing, StorageError, Unavailable, UserDatabases
from app.signals import Signals
from app.sync.export_service import IS_EMPTY, READ_SEQ

MOST_LOOKED_AT = 50
"""Accounts that one round looks at: each may push another one out of those held open."""
CHORE_SECONDS = 3600
FREE_SECONDS = 0.25
REST_FACTOR = 20
"""While the master is rewritten nobody logs in, and anybody may make accounts and delete them: so
for each second beyond the free ones that it took, it is left alone for so many."""


class AccountService:
    """Ends accounts. `forget_erased` leaves no trace of deleted rows in the master's files."""

    def __init__(
        self,
        deletions: Deletions,
        users: UserDatabases,
        forget_erased: Callable[[], Awaitable[None]],
        signals: Signals,
    ) -> None:
        self._deletions = deletions
        self._users = users
        self._forget_erased = forget_erased
        self._signals = signals
        self._finishing = asyncio.Lock()
        self._rests_until = 0.0

    async def created_at(self, user_id: str) -> int:
        """When the account was made, Unix seconds. Raises NotFound."""
        return await self._deletions.created_at(user_id)

    async def delete(
        self, device: CurrentDevice, challenge: bytes, signature: bytes, origins: Sequence[str]
    ) -> None:
        """The account is gone. Raises ChallengeInvalid, SignatureInvalid or NotAuthenticated, and
        then nothing changed."""
        pairings = await self._deletions.begin(device, challenge, signature, origins)
        # What has begun is carried through, even if the client that asked is gone.
        await asyncio.shield(self._end(device.user_id, pairings))

    async def tidy(self) -> None:
        """Deletions that were cut off are carried through, and unused accounts that are due are
        deleted."""
        await self._finish()
        due = await self._deletions.due(MOST_LOOKED_AT)
        if any([await self._ends_unused(user_id) for user_id in due]):
            await self._finish()

    async def _end(self, user_id: str, pairings: Sequence[str]) -> None:
        # Others may be ending just now, which can take a while: nobody gets in meanwhile.
        await self._users.reopen(user_id)
        waiting = await self._finish()
        self._signals.tell(user_id, "ended")
        for pairing_id in pairings:
            self._signals.tell(pairing_id, "pairing")
        if user_id in waiting:
            raise Unavailable("Nobody gets in any more; the files go as soon as storage lets them.")
        events.account_deleted()

    async def _finish(self) -> set[str]:
        """Every deletion that was begun is carried through, but those whose accounts are returned:
        storage would not let go of them. One after another, so that many at once share the last
        steps."""
        waiting = set()
        async with self._finishing:
            deletions = await self._deletions.unfinished()
            for deletion in deletions:
                user_id = deletion.user_id
                if user_id is not None and not await self._is_destroyed(deletion, user_id):
                    waiting.add(user_id)
            done = [each for each in deletions if each.user_id not in waiting]
            if done:
                await self._erase_traces(done)
        return waiting

    async def _is_destroyed(self, deletion: Unfinished, user_id: str) -> bool:
        try:
            await self._users.destroy(user_id)
        except StorageError as error:
            events.erasure_waits(deletions=1, error=type(error).__name__)
            return False
        await self._deletions.forget_id(deletion)
        return True

    async def _erase_traces(self, deletions: Sequence[Unfinished]) -> None:
        began = monotonic()
        try:
            if began < self._rests_until:
                raise Busy
            await self._forget_erased()
            self._rests_until = _rest_after(began, monotonic())
            await self._deletions.set_erased(deletions)
        except StorageError as error:
            # A backup is reading the master, or it was rewritten just now. Nobody gets in either
            # way; the next deletion tries again, and the next hour.
            events.erasure_waits(deletions=len(deletions), error=type(error).__name__)

    async def _ends_unused(self, user_id: str) -> bool:
        """Whether it is deleted; otherwise it is said when it is due next, if ever."""
        try:
            use = await self._deletions.begin_if_unused(user_id, READ_SEQ, IS_EMPTY)
        except Missing:
            use = "deleted" if await self._deletions.undo_creation(user_id) else "seen"
        except StorageError as error:  # of one account, which must not hold up the others
            events.chore_failed(error=type(error).__name__)
            use = "seen"
        if use == "deleted":
            self._signals.tell(user_id, "ended")
            events.account_purged()
            return True
        again = None if use == "used" else UNUSED_SECONDS
        await self._deletions.look_again(user_id, in_seconds=again)
        return False


def _rest_after(began: float, ended: float) -> float:
    """Until when the master is left alone after a rewriting."""
    return ended + REST_FACTOR * max(0.0, ended - began - FREE_SECONDS)
