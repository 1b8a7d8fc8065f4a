"""What the vault hands out: an item as it is shown, and what taking versions in came to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ._merge import Sibling, significant
from ._versions import ItemKey


@dataclass(frozen=True, slots=True)
class View:
    """An item as it is shown: the merged content, and what it was merged from."""

    key: ItemKey
    content: Sibling
    siblings: tuple[Sibling, ...]

    @property
    def is_deleted(self) -> bool:
        return self.content.is_deleted

    @property
    def in_conflict(self) -> bool:
        """Whether more than one version has something of its own to say."""
        return len(significant(self.siblings)) > 1

    def unseen_by(self, seen: Sequence[Sibling]) -> list[Sibling]:
        """What is shown now and was not in sight of whoever had `seen` before them.

        A clock alone does not tell: an edit that replaces one that was never sent keeps it.
        """
        return [
            one
            for one in self.siblings
            if one not in seen and not any(other.clock.dominates(one.clock) for other in seen)
        ]

    @property
    def outlived_delete(self) -> bool:
        """Whether another device deleted this item while it was being edited."""
        return not self.is_deleted and any(one.is_deleted for one in self.siblings)


@dataclass(slots=True)
class Applied:
    """What taking in versions from the server came to."""

    new: int = 0
    unopenable: int = 0
    older: int = 0
    collapsed: list[ItemKey] = field(default_factory=list)
