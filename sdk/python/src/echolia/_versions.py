"""The values that sync moves about."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

from ._answers import Answer
from ._canonical import sha256
from ._clocks import VectorClock
from ._errors import AnswerInvalid

COLLECTIONS = ("entries", "memories", "tags")


@dataclass(frozen=True, slots=True)
class ItemKey:
    collection: str
    item_id: str


@dataclass(frozen=True, slots=True)
class Version:
    """One sealed version of an item, as the server and the outbox hold it."""

    key: ItemKey
    device_id: str
    clock: VectorClock
    key_epoch: int
    is_deleted: bool
    envelope: bytes

    @classmethod
    def read(cls, key: ItemKey, answer: Answer) -> Version:
        try:
            clock = VectorClock.of(dict(answer.object("vector_clock").fields))
        except ValueError:
            raise AnswerInvalid("the server's answer has a bad vector_clock") from None
        epoch = answer.number("key_epoch")
        if not 1 <= epoch < 2**32:
            raise AnswerInvalid("the server's answer has a bad key_epoch")
        return cls(
            key=key,
            device_id=answer.id("device_id"),
            clock=clock,
            key_epoch=epoch,
            is_deleted=answer.flag("is_deleted"),
            envelope=answer.data("encrypted_data"),
        )

    @property
    def digest(self) -> bytes:
        """Tells apart two envelopes under one clock, which only a copied store can make."""
        return sha256(self.envelope)[:16]

    def as_change(self, *, with_author: bool) -> dict[str, Any]:
        change: dict[str, Any] = {
            "collection": self.key.collection,
            "id": self.key.item_id,
            "vector_clock": self.clock.as_dict(),
            "key_epoch": self.key_epoch,
            "is_deleted": self.is_deleted,
            "encrypted_data": self.envelope,
        }
        return {**change, "device_id": self.device_id} if with_author else change


class Kind(Enum):
    """Why a version waits in the outbox."""

    EDIT = "edit"  # a person wrote it
    MERGE = "merge"  # a machine put siblings together; adds nothing of its own
    RESET = "reset"  # the server lost it; pushed again as it was
    ABSENT = "absent"  # the same, where no cursor tells of the loss


@dataclass(frozen=True, slots=True)
class Queued:
    """A version in the outbox. `sent`: the server may have it, and has not answered."""

    position: int
    version: Version
    kind: Kind
    sent: bool
    blocked: str | None


@dataclass(frozen=True, slots=True)
class Stored:
    """A version in the local view. `held`: the server is known to hold it."""

    version: Version
    held: bool
