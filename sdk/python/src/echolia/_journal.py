"""Entries, memories and tags as typed values over the vault (spec/journal.md)."""

from __future__ import annotations

import re
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any, Generic, TypeVar

from ._canonical import is_id, new_id
from ._errors import AmbiguousId, ItemNotFound
from ._merge import Sibling
from ._payload import FORMAT, KINDS, Payload
from ._vault import Vault
from ._versions import ItemKey
from ._view import View

_HEADING = re.compile(r"#{1,6}[ \t]+(.+?)[ \t#]*$")
_TITLE_LENGTH = 80
# From the year 6 to the year 9986, so that no time zone leads out of what dates can hold.
_CALENDAR = range(-62_000_000_000, 253_000_000_000)


@dataclass(frozen=True, slots=True)
class Entry:
    """A journal entry. Times are Unix seconds; `day` is the writer's calendar date.

    With `in_conflict`, `text` holds what several devices wrote at once. `front_matter` is
    what stood above the text in an imported file, to the byte. `seen` are the versions that
    this value shows: an edit or deletion of it replaces no others.
    """

    id: str
    text: str
    title: str
    day: date
    created_at: int
    edited_at: int
    front_matter: str
    source: Mapping[str, Any] | None
    in_conflict: bool
    outlived_delete: bool
    seen: tuple[Sibling, ...] = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Memory:
    """Something worth remembering, and the entries it came from."""

    id: str
    text: str
    entry_ids: tuple[str, ...]
    created_at: int
    edited_at: int
    in_conflict: bool
    seen: tuple[Sibling, ...] = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Tag:
    """A name given to one entry. The link is inside the envelope: the server sees none."""

    id: str
    name: str
    entry_id: str | None
    created_at: int
    edited_at: int
    in_conflict: bool
    seen: tuple[Sibling, ...] = field(repr=False, compare=False)


T = TypeVar("T", Entry, Memory, Tag)


class Collection(ABC, Generic[T]):
    """One collection of the journal. Everything works without the network."""

    name: str

    def __init__(self, vault: Vault, now: Callable[[], float] = time.time) -> None:
        self._vault = vault
        self._now = now

    def __iter__(self) -> Any:
        return iter(self.list())

    def list(self) -> list[T]:
        """Everything not deleted, newest first."""
        live = [self._read(view) for view in self._vault.views(self.name) if not view.is_deleted]
        return sorted(live, key=lambda item: (-item.created_at, item.id))

    def get(self, item_id: str) -> T:
        """By id or by any unique beginning of one; ItemNotFound or AmbiguousId."""
        return self._read(self._live(item_id))

    def delete(self, item: T | str) -> None:
        """Gone here at once, elsewhere after sync, unless somebody edits it meanwhile.

        Given the item itself and not its id, what came in since it was read is kept.
        """
        view, seen = self._found(item)
        self._vault.delete(view.key, seen=seen)

    def is_known(self, item_id: str) -> bool:
        """Whether the id was ever used here, deleted items included."""
        return self._vault.view(ItemKey(self.name, item_id)) is not None

    def _add(self, fields: Payload, created_at: int | None, item_id: str | None) -> T:
        now = int(self._now())
        created = now if created_at is None else created_at
        payload = {
            "v": FORMAT,
            "kind": KINDS[self.name],
            **fields,
            "created_at": created,
            "edited_at": now,
        }
        key = ItemKey(self.name, item_id or new_id())
        self._vault.put(key, payload, seen=())
        return self._required(key)

    def _found(self, item: T | str) -> tuple[View, tuple[Sibling, ...]]:
        """The item as it is now, and what of it the caller has had in sight."""
        if isinstance(item, str):
            view = self._live(item)
            return view, view.siblings
        return self._live(item.id), item.seen

    def _change(self, item: T | str, fields: Payload) -> T:
        view, seen = self._found(item)
        payload = {**view.content.payload, **fields, "edited_at": int(self._now())}
        self._vault.put(view.key, payload, seen=seen)
        return self._required(view.key)

    def _required(self, key: ItemKey) -> T:
        view = self._vault.view(key)
        if view is None:
            raise ItemNotFound("no item has this id")
        return self._read(view)

    def _live(self, item_id: str) -> View:
        view = self._vault.view(ItemKey(self.name, item_id)) if is_id(item_id) else None
        view = view or self._by_prefix(item_id.lower())
        if view.is_deleted:
            raise ItemNotFound("no item has this id")
        return view

    def _by_prefix(self, prefix: str) -> View:
        if not re.fullmatch(r"[0-9a-f-]{1,36}", prefix):
            raise ItemNotFound("no item has this id")
        keys = [
            ItemKey(self.name, found) for found in self._vault.store.item_ids(self.name, prefix)
        ]
        views = [view for key in keys if (view := self._vault.view(key)) and not view.is_deleted]
        if not views:
            raise ItemNotFound("no item has this id")
        if len(views) > 1:
            raise AmbiguousId(f"{len(views)} items begin with this id: give more of it")
        return views[0]

    @abstractmethod
    def _read(self, view: View) -> T: ...


class Entries(Collection[Entry]):
    name = "entries"

    def add(
        self,
        text: str,
        *,
        title: str | None = None,
        day: date | None = None,
        created_at: int | None = None,
        front_matter: str = "",
        source: Mapping[str, Any] | None = None,
        item_id: str | None = None,
    ) -> Entry:
        """Sealed and in the outbox when this returns."""
        moment = self._now() if created_at is None else created_at
        fields: dict[str, Any] = {"text": text, "day": (day or _local_day(moment)).isoformat()}
        optional = {"title": title, "front_matter": front_matter, "source": source}
        fields.update({name: value for name, value in optional.items() if value})
        return self._add(fields, created_at, item_id)

    def edit(self, entry: Entry | str, text: str, **changes: Any) -> Entry:
        """Replace the text. Given an `Entry`, what came in since it was read is kept as well."""
        return self._change(entry, {"text": text, **changes})

    def _read(self, view: View) -> Entry:
        payload = view.content.payload
        created_at = _moment(payload, "created_at")
        text = _text(payload, "text")
        source = payload.get("source")
        return Entry(
            id=view.key.item_id,
            text=text,
            title=_text(payload, "title") or title_of(text),
            day=_day(payload, created_at),
            created_at=created_at,
            edited_at=_moment(payload, "edited_at"),
            front_matter=_text(payload, "front_matter"),
            source=source if isinstance(source, dict) else None,
            in_conflict=view.in_conflict,
            outlived_delete=view.outlived_delete,
            seen=view.siblings,
        )


class Memories(Collection[Memory]):
    name = "memories"

    def add(
        self, text: str, *, entry_ids: tuple[str, ...] = (), created_at: int | None = None
    ) -> Memory:
        return self._add({"text": text, "entry_ids": list(entry_ids)}, created_at, None)

    def edit(self, memory: Memory | str, text: str) -> Memory:
        return self._change(memory, {"text": text})

    def _read(self, view: View) -> Memory:
        payload = view.content.payload
        listed = payload.get("entry_ids")
        return Memory(
            id=view.key.item_id,
            text=_text(payload, "text"),
            entry_ids=tuple(str(one) for one in listed) if isinstance(listed, list) else (),
            created_at=_moment(payload, "created_at"),
            edited_at=_moment(payload, "edited_at"),
            in_conflict=view.in_conflict,
            seen=view.siblings,
        )


class Tags(Collection[Tag]):
    name = "tags"

    def add(self, name: str, *, entry_id: str | None = None) -> Tag:
        return self._add({"name": name, "entry_id": entry_id}, None, None)

    def rename(self, tag: Tag | str, name: str) -> Tag:
        return self._change(tag, {"name": name})

    def _read(self, view: View) -> Tag:
        payload = view.content.payload
        return Tag(
            id=view.key.item_id,
            name=_text(payload, "name"),
            entry_id=_text(payload, "entry_id") or None,
            created_at=_moment(payload, "created_at"),
            edited_at=_moment(payload, "edited_at"),
            in_conflict=view.in_conflict,
            seen=view.siblings,
        )


def title_of(text: str) -> str:
    """The first heading, else the first line with words in it, cut to 80 characters."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        return ""
    headings = (match.group(1) for line in lines if (match := _HEADING.match(line)))
    return next(headings, lines[0])[:_TITLE_LENGTH]


def _text(payload: Payload, name: str) -> str:
    value = payload.get(name)
    return value if isinstance(value, str) else ""


def _moment(payload: Payload, name: str) -> int:
    """Unix seconds that a calendar can show; 0 for anything else."""
    value = payload.get(name)
    return value if type(value) is int and value in _CALENDAR else 0


def _day(payload: Payload, created_at: int) -> date:
    try:
        return date.fromisoformat(_text(payload, "day"))
    except ValueError:
        return _local_day(created_at)


def _local_day(moment: float) -> date:
    try:
        return datetime.fromtimestamp(moment).date()  # noqa: DTZ006 - the writer's own calendar
    except (OverflowError, OSError, ValueError):
        return datetime.fromtimestamp(0, UTC).date()
