"""All items of an account, page by page, for whoever exports it.

A page is what a pull from the same place gives. Items that change meanwhile come again, later, and
the later line counts: so when the last page says that there is no more, the lines are exactly what
the account held at that page's place in the sequence. No transaction is held between pages.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from app.auth.admission import AdmittedDatabase
from app.database.port import Rows, Statement, guard
from app.sync import store
from app.sync.cursor import Position, seal
from app.sync.lines import item_lines
from app.sync.page import page_end
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

        def then(rows: list[Rows]) -> Sequence[Statement]:
            head = rows[1]
            if not head:
                return ()
            return [
                store.select_page(COLLECTIONS, after, page_end(head, PAGE_VERSIONS, PAGE_BYTES))
            ]

        reads = [store.READ_STATE, store.select_head(COLLECTIONS, after, PAGE_VERSIONS)]
        state_rows, head, *pages = await db.read(reads, then=then)
        versions = pages[0] if pages else []
        lines = list(item_lines(versions))
        if versions and head[-1][0] > versions[-1][0]:
            return ItemPage(lines, versions[-1][0], None)
        state = store.state_of(state_rows[0])
        position = Position(state.seq, state.epoch, state.tag)
        return ItemPage(lines, state.seq, seal(self._cursor_key, db.user_id, position))
