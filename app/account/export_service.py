"""Everything that is stored about an account, as lines: sealed content, devices, sessions, times.

Bounded memory: a page at a time, and no page is read before the one before it has left. No
transaction is held meanwhile, so nobody waits for a slow reader: items are exact as of the place
that the end names (`app/sync/export_service.py`), other rows as of when they were read.
"""

import asyncio
from collections.abc import AsyncIterator

from app import events
from app.account import export_store
from app.account.export_store import SECTIONS, Section
from app.account.tally import FORMAT, Tally
from app.auth.admission import AdmittedDatabase
from app.clock import Clock
from app.database.port import Database, Value
from app.errors import EcholiaError
from app.sync.export_service import ItemExport
from app.sync.service import SyncService

RETENTION = {
    "items": "the newest version of each, and siblings until a device merges them",
    "deleted_items": "a sealed tombstone; the content it replaced is overwritten",
    "devices": "for the life of the account, revoked ones too: clocks name them",
    "sessions": "until they end; then until the device's next log-in",
    "pairings": "an hour after their five minutes; the sealed payload until it is collected",
    "last_seen_day": "the day, nothing finer",
    "addresses": "not kept",
    "logs": "no id of an account, a device or an item is in them",
    "unused_accounts": "deleted when 30 days old, never written to and not seen for 30 days",
    "deleted_accounts": "a keyed hash of the id; backups of the operator are the operator's",
}


class AccountExport:
    """Makes exports."""

    def __init__(
        self, master: Database, sync: SyncService, items: ItemExport, origin: str, clock: Clock
    ) -> None:
        self._master = master
        self._sync = sync
        self._items = items
        self._origin = origin
        self._clock = clock

    async def begin(self, user_id: str, db: AdmittedDatabase) -> AsyncIterator[bytes]:
        """The export's bytes, a page at a time. Raises NotAuthenticated. Whatever stops it later
        cuts it short, and it has no end."""
        tally = Tally()
        header = await self._header(user_id, db, tally)
        return self._whole(user_id, db, tally, header)

    async def _header(self, user_id: str, db: AdmittedDatabase, tally: Tally) -> bytes:
        state = (await self._sync.status(db)).state
        return tally.line(
            type="header",
            format=FORMAT,
            origin=self._origin,
            user_id=user_id,
            exported_at=int(self._clock()),
            epoch=state.epoch.hex(),
            key_epoch=state.key_epoch,
            used_bytes=state.used_bytes,
            retention=RETENTION,
        )

    async def _whole(
        self, user_id: str, db: AdmittedDatabase, tally: Tally, header: bytes
    ) -> AsyncIterator[bytes]:
        reason = "client_left"
        try:
            yield header
            for section in SECTIONS:
                async for text in self._rows(section, user_id, db, tally):
                    yield text
                yield tally.close_section(section.name)
            async for text in self._all_items(db, tally):
                yield text
            reason = ""
        except EcholiaError as error:
            reason = error.code
        finally:
            if reason:
                events.export_cut(reason=reason)
            else:
                events.account_exported(lines=tally.lines)

    async def _rows(
        self, section: Section, user_id: str, db: AdmittedDatabase, tally: Tally
    ) -> AsyncIterator[bytes]:
        source: Database | AdmittedDatabase = self._master if section.is_central else db
        after: tuple[Value, ...] = ()
        while True:
            lines = (await source.read([export_store.select_page(section, user_id, after)]))[0]
            if lines:
                after = lines[-1].key
                yield await asyncio.to_thread(tally.rows, [line.text for line in lines])
            if len(lines) < export_store.PAGE_ROWS:
                return

    async def _all_items(self, db: AdmittedDatabase, tally: Tally) -> AsyncIterator[bytes]:
        seq, cursor = 0, None
        while cursor is None:
            page = await self._items.page(db, seq)
            seq, cursor = page.seq, page.cursor
            yield await asyncio.to_thread(tally.rows, page.lines)
        yield tally.close_section("item")
        yield tally.line(type="position", seq=seq, cursor=cursor)
        yield tally.end()
