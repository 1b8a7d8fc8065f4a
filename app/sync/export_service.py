"""All items of an account, page by page, for whoever exports it.

A page is what a pull from the same place gives. Items that change meanwhile come again, later, and
the later line counts: so when the last page says that there is no more, the lines are exactly what
the account held at that page's place in the sequence. No transaction is held between pages.
"""

from dataclasses import dataclass

from app.auth.admission import AdmittedDatabase
from app.database.port import Statement, guard
from app.sync import store
from app.sync.cursor import Position, seal
from app.sync.lines import item_lines
from app.sync.versions import COLLECTIONS

PAGE_VERSIONS = 200
PAGE_BYTES = 512 * 1024
"""`encrypted_data` in one page, or one item that is larger."""

READ_SEQ = Statement("SELECT seq FROM sync_state")
IS_EMPTY = guard("(SELECT seq FROM sync_state) = 0")
"""Nothing was ever written to this account."""


@dataclass(frozen=True, slots=True)
class ItemPage:
    """Some items as lines; the place behind them; and on the last page the cursor that goes on
    from there."""

    lines: list[bytes]
    seq: int
    cursor: str | None


class ItemExport:
    """Reads items for exports."""

    def __init__(self, cursor_key: bytes) -> None:
        self._cursor_key = cursor_key

    async def page(self, db: AdmittedDatabase, after: int) -> ItemPage:
        """The items that changed last behind the place `after`; 0 is the start."""
        page, ends, _ = store.select_page(COLLECTIONS, after, PAGE_VERSIONS, PAGE_BYTES)
        state_rows, versions, end_rows = await db.read([store.READ_STATE, page, ends])
        lines = list(item_lines(versions))
        last = versions[-1][0] if versions else after
        if versions and any(end is not None and end > last for end in end_rows[0]):
            return ItemPage(lines, last, None)
        state = store.state_of(state_rows[0])
        position = Position(state.seq, state.epoch, state.tag)
        return ItemPage(lines, state.seq, seal(self._cursor_key, db.user_id, position))
