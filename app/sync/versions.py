"""Items and versions as values: named tuples, since a push makes hundreds."""

import hashlib
from typing import Literal, NamedTuple, TypeAlias

from app.sync.clock import VectorClock

Collection: TypeAlias = Literal["entries", "memories", "tags"]
COLLECTIONS: tuple[Collection, ...] = ("entries", "memories", "tags")

ItemKey: TypeAlias = tuple[Collection, str]
"""Collection and id: what names an item within an account."""


class Change(NamedTuple):
    """One change of a push, structurally sound; `author` is the device that wrote the version."""

    collection: Collection
    id: str
    author: str
    vector_clock: VectorClock
    key_epoch: int
    is_deleted: bool
    encrypted_data: bytes
    entry_id: str | None

    @property
    def key(self) -> ItemKey:
        return (self.collection, self.id)

    def digest(self) -> bytes:
        """SHA-256 of the ciphertext, by which content is told apart without being read."""
        return hashlib.sha256(self.encrypted_data).digest()


class Version(NamedTuple):
    """A version as stored, without its ciphertext; `change` holds that while it is new. `slot` is
    its place in storage among the item's versions."""

    author: str
    vector_clock: VectorClock
    key_epoch: int
    is_deleted: bool
    entry_id: str | None
    received_at: int
    size: int
    digest: bytes
    slot: int = 0
    change: Change | None = None

    @property
    def counter(self) -> int:
        """The author's own counter, which with its id names a version of an item."""
        return self.vector_clock.get(self.author, 0)

    def is_content_of(self, change: Change) -> bool:
        """Whether a change with the same clock says the same."""
        return (
            self.digest == change.digest()
            and self.is_deleted == change.is_deleted
            and self.key_epoch == change.key_epoch
            and self.entry_id == change.entry_id
            and self.author == change.author
        )
