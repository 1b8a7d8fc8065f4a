"""What one sync came to."""

from __future__ import annotations

from dataclasses import dataclass, field

from ._errors import EntitlementRequired, MassDelete, QuotaExceeded
from ._versions import ItemKey


@dataclass(frozen=True, slots=True)
class HeldBack:
    """A change that stays in the outbox, and the server's word for why."""

    key: ItemKey
    code: str


@dataclass(slots=True)
class SyncReport:
    """Counts of one sync; `complete` when nothing is left to send or to fetch. `verified`: both
    sides were compared as a whole, and `mended` versions were missing on one of them."""

    pushed: int = 0
    pulled: int = 0
    merged: int = 0
    conflicts: int = 0
    unopenable: int = 0
    older_than_known: int = 0
    dropped: int = 0
    verified: bool = False
    mended: int = 0
    pending: int = 0
    pending_deletes: int = 0
    held_back: list[HeldBack] = field(default_factory=list)
    reset: str | None = None
    mass_delete: MassDelete | None = None
    quota: QuotaExceeded | None = None
    entitlement: EntitlementRequired | None = None

    @property
    def complete(self) -> bool:
        return not self.pending and not self.unopenable
