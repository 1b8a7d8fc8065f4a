"""Where a page of a pull ends. Pure."""

from collections.abc import Sequence
from typing import TypeAlias

Head: TypeAlias = Sequence[tuple[int, int]]
"""Sequence number and size of the next versions, in order; an item's versions share a number."""


def page_end(head: Head, limit: int, max_bytes: int) -> int:
    """The sequence number that a page ends with: it holds whole items, those that begin within
    `limit` versions and stay within `max_bytes` together, and at least one. The head must hold all
    versions of every item that begins within `limit`, and must not be empty."""
    if sum([size for _, size in head]) <= max_bytes:  # nearly always
        return head[min(limit, len(head)) - 1][0]
    end, _ = head[0]
    so_far = 0
    for place, (seq, size) in enumerate(head):
        is_next = place > 0 and seq != head[place - 1][0]
        if is_next:
            end = head[place - 1][0]
            if place >= limit:
                return end
        so_far += size
        if so_far > max_bytes:
            return end
    return end
