"""Wire shapes of `/sync`."""

from typing import Annotated, NotRequired

from pydantic import (
    BeforeValidator,
    ConfigDict,
    FailFast,
    Field,
    WithJsonSchema,
    field_validator,
)
from pydantic_core import PydanticCustomError
from typing_extensions import TypedDict

from app.config import Settings
from app.errors import Invalid
from app.http.fields import BASE64_SCHEMA, In, Out, Uuid, decode_base64
from app.limits import MAX_CLOCK_ENTRIES
from app.sync.errors import CursorInvalid, TooManyChanges
from app.sync.plan import Rejection, Verdict
from app.sync.versions import Change, Collection

MAX_EPOCH = 2**32 - 1
MAX_FIELDS = 16
"""Fields of one change, known or not: a fault is kept of each, so there must not be a million."""
MAX_SHOWN_CLOCK_ENTRIES = 16 * MAX_CLOCK_ENTRIES
"""Up to here a clock that is too long is judged as its change's `clock_invalid`."""
PARTS_PER_CHANGE = 2 * MAX_CLOCK_ENTRIES
"""More than a change with a full clock has."""
_NO_PARTS = bytes(set(range(256)) - set(b",[{"))


def check_parts(body: bytes, settings: Settings) -> None:
    """Raises TooManyChanges for a body of more parts than the most changes with full clocks have.
    Parsed, a part weighs a hundred times the two bytes in which it can be spelled."""
    if len(body.translate(None, _NO_PARTS)) > settings.max_push_changes * PARTS_PER_CHANGE:
        raise TooManyChanges(limit=settings.max_push_changes)


def _not_crowded(value: object) -> object:
    """The changes as they came, unless one has so many fields or counters that naming what is
    wrong with them would hold up everybody else."""
    for change in value if isinstance(value, list) else ():
        if not isinstance(change, dict):
            continue
        if len(change) > MAX_FIELDS:
            raise PydanticCustomError("has_too_many_fields", "has too many fields")
        clock = change.get("vector_clock")
        if isinstance(clock, dict) and len(clock) > MAX_SHOWN_CLOCK_ENTRIES:
            raise PydanticCustomError("has_too_many_counters", "has too many counters")
    return value


class ChangeIn(TypedDict):
    """One version to store. Counters, sizes and clock rules are judged per item, not here.

    A dictionary and not a model: a push holds hundreds.
    """

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)  # type: ignore[misc]

    collection: Collection
    id: Uuid
    vector_clock: dict[Uuid, int]
    key_epoch: Annotated[int, Field(ge=1, le=MAX_EPOCH)]
    is_deleted: bool
    encrypted_data: Annotated[str, WithJsonSchema(BASE64_SCHEMA)]
    entry_id: NotRequired[Uuid | None]
    device_id: NotRequired[Uuid | None]


def changes_of(body: "PushIn", pusher: str) -> list[Change]:
    """The changes as values, written by the pusher unless they name another author. Raises Invalid
    for what is no base64, and for an `entry_id` on anything but a tag."""
    return [_change_of(sent, at, pusher) for at, sent in enumerate(body.changes)]


def _change_of(sent: ChangeIn, at: int, pusher: str) -> Change:
    entry_id = sent.get("entry_id")
    if entry_id is not None and sent["collection"] != "tags":
        raise _fault(at, "entry_id", "only tags have one")
    try:
        data = decode_base64(sent["encrypted_data"])
    except ValueError:
        raise _fault(at, "encrypted_data", "must be base64") from None
    return Change(
        sent["collection"],
        sent["id"],
        sent.get("device_id") or pusher,
        sent["vector_clock"],
        sent["key_epoch"],
        sent["is_deleted"],
        data,
        entry_id,
    )


def _fault(at: int, name: str, reason: str) -> Invalid:
    return Invalid(errors=[{"path": f"changes/{at}/{name}", "reason": reason}])


class PushIn(In):
    """A push: applied in order, in one transaction."""

    changes: Annotated[
        list[ChangeIn], Field(min_length=1), FailFast(), BeforeValidator(_not_crowded)
    ]
    atomic: bool = False
    confirm_deletes: Annotated[int, Field(ge=0)] | None = None
    reset_from: str | None = None

    @field_validator("reset_from", mode="before")
    @classmethod
    def _is_text_as_every_cursor_is(cls, value: object) -> object:
        if value is not None and not isinstance(value, str):
            raise CursorInvalid
        return value

    @property
    def is_reset(self) -> bool:
        """Whether `reset_from` was sent at all; null has a meaning of its own."""
        return "reset_from" in self.model_fields_set


class VersionOut(Out):
    """One version. This and what it is part of are put together by hand (`render.py`): here stands
    what comes of it."""

    device_id: str
    vector_clock: dict[str, int]
    key_epoch: int
    is_deleted: bool
    received_at: int
    encrypted_data: Annotated[str, WithJsonSchema(BASE64_SCHEMA)]
    entry_id: Annotated[str | None, Field(description="Tags only.")] = None


class ResultOut(Out):
    """What became of one change. `versions` comes with `stale` and `conflict`; null says that
    they did not fit into the answer."""

    collection: Collection
    id: str
    verdict: Verdict
    code: Rejection | None = None
    versions: list[VersionOut] | None = None


class PushOut(Out):
    results: list[ResultOut]
    cursor: str
    server_time: int


class ItemOut(Out):
    collection: Collection
    id: str
    versions: list[VersionOut]


class PullOut(Out):
    changes: list[ItemOut]
    cursor: str
    has_more: bool
    server_time: int


class BucketOut(Out):
    count: int
    sum: str


class DigestOut(Out):
    collection: Collection
    buckets: list[BucketOut]
    cursor: str
    server_time: int


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
