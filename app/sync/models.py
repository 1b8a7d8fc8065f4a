"""Wire shapes of `/sync`."""

from typing import Annotated

from pydantic import Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from app.http.fields import Base64, In, Out, Uuid
from app.sync.cursor import MAX_LENGTH
from app.sync.versions import Change, Collection

MAX_EPOCH = 2**32 - 1

Cursor = Annotated[str, StringConstraints(max_length=MAX_LENGTH)]


class ChangeIn(In):
    """One version to store. Counters, sizes and clock rules are judged per item, not here."""

    collection: Collection
    id: Uuid
    vector_clock: dict[Uuid, int]
    key_epoch: Annotated[int, Field(ge=1, le=MAX_EPOCH)]
    is_deleted: bool
    encrypted_data: Base64
    entry_id: Uuid | None = None
    device_id: Uuid | None = None

    @model_validator(mode="after")
    def _only_tags_name_an_entry(self) -> "ChangeIn":
        if self.entry_id is not None and self.collection != "tags":
            raise PydanticCustomError(
                "has_an_entry_id_that_only_tags_may_have", "only tags have an entry_id"
            )
        return self

    def change(self, pusher: str) -> Change:
        return Change(
            collection=self.collection,
            id=self.id,
            author=self.device_id or pusher,
            vector_clock=self.vector_clock,
            key_epoch=self.key_epoch,
            is_deleted=self.is_deleted,
            encrypted_data=self.encrypted_data,
            entry_id=self.entry_id,
        )


class PushIn(In):
    """A push: applied in order, in one transaction."""

    changes: Annotated[list[ChangeIn], Field(min_length=1)]
    atomic: bool = False
    confirm_deletes: Annotated[int, Field(ge=0)] | None = None
    reset_from: Cursor | None = None

    @property
    def is_reset(self) -> bool:
        """Whether `reset_from` was sent at all; null has a meaning of its own."""
        return "reset_from" in self.model_fields_set


class ItemsOut(Out):
    entries: int
    memories: int
    tags: int


class StorageOut(Out):
    used: int
    limit: int


class StatusOut(Out):
    epoch: str
    cursor: str
    key_epoch: int
    items: ItemsOut
    conflicts: int
    storage: StorageOut
    devices: int
    limits: dict[str, int]
    entitlements: list[str]
