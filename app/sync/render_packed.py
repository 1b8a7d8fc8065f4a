"""Answers that carry ciphertext as MessagePack, put together from parts as in `render`.

Content goes through as it is stored, untouched. Ids and clocks are in the one spelling they were
checked in, so their lengths are known.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import get_args

import orjson

from app.http.messagepack import binary_head, integer, list_head, map_head, text
from app.sync.plan import Rejection, Result, Verdict
from app.sync.render import Found, Rendering, SealedVersion
from app.sync.versions import COLLECTIONS, Collection, ItemKey

_ID = b"\xd9\x24"
"""What stands before the 36 characters of an id."""
_NULL = b"\xc0"
_BOOLEANS = (b"\xc2", b"\xc3")
_NAMED = {name: text("collection") + text(name) + text("id") + _ID for name in COLLECTIONS}
"""What an item's id stands behind."""
_ITEM = {name: map_head(3) + _NAMED[name] for name in COLLECTIONS}
_VERSIONS = text("versions")
_ONE_VERSION = _VERSIONS + list_head(1)
_VERDICT = {name: text("verdict") + text(name) for name in get_args(Verdict)}
_CODE = {name: text("code") + text(name) for name in get_args(Rejection)}
_AUTHOR = map_head(6) + text("device_id") + _ID
_TAG_AUTHOR = map_head(7) + text("device_id") + _ID
_CLOCK = text("vector_clock")
_KEY_EPOCH = text("key_epoch")
_IS_DELETED = tuple(text("is_deleted") + each + text("received_at") for each in _BOOLEANS)
_DATA = text("encrypted_data")
_ENTRY_ID = text("entry_id")
_CURSOR = text("cursor")
_SERVER_TIME = text("server_time")


def _sealed_version(
    seq: int,
    collection: Collection,
    item_id: str,
    device_id: str,
    vector_clock: str,
    key_epoch: int,
    is_deleted: int,
    received_at: int,
    encrypted_data: bytes,
    entry_id: str | None,
) -> SealedVersion:
    is_tag = collection == "tags"
    begin = _begin(is_tag, device_id, vector_clock, key_epoch, is_deleted)
    head = begin + integer(received_at) + _DATA + binary_head(len(encrypted_data))
    tail = _ENTRY_ID + _id_or_null(entry_id) if is_tag else b""
    return (seq, collection, item_id, head, encrypted_data, tail)


@lru_cache(512)
def _begin(
    is_tag: bool, device_id: str, vector_clock: str, key_epoch: int, is_deleted: int
) -> bytes:
    """A version up to its date, remembered: most entries of a journal have one of few clocks."""
    return b"".join(
        (
            _TAG_AUTHOR if is_tag else _AUTHOR,
            device_id.encode(),
            _CLOCK,
            _clock(vector_clock),
            _KEY_EPOCH,
            integer(key_epoch),
            _IS_DELETED[is_deleted],
        )
    )


def _clock(stored: str) -> bytes:
    """A clock as a map, from the JSON it is stored as."""
    clock: dict[str, int] = orjson.loads(stored)
    parts = [map_head(len(clock))]
    for device_id, counter in clock.items():
        parts += (_ID, device_id.encode(), integer(counter))
    return b"".join(parts)


def _page(versions: Sequence[SealedVersion], cursor: str, has_more: bool, now: int) -> bytes:
    parts: list[bytes] = [b""]
    items = held = place = 0
    last: tuple[int, Collection, str] | None = None
    for seq, collection, item_id, head, data, tail in versions:
        if last == (seq, collection, item_id):
            held += 1
            parts[place] = _VERSIONS + list_head(held)
            parts += (head, data, tail)
            continue
        last = (seq, collection, item_id)
        items, held, place = items + 1, 1, len(parts) + 2
        parts += (_ITEM[collection], item_id.encode(), _ONE_VERSION, head, data, tail)
    parts[0] = map_head(4) + text("changes") + list_head(items)
    more = text("has_more") + _BOOLEANS[has_more]
    parts += (_CURSOR, text(cursor), more, _SERVER_TIME, integer(now))
    return b"".join(parts)


def _pushed(results: Sequence[Result], found: Found, cursor: str, now: int) -> bytes:
    versions = {key: packed for each in found for key, packed in _by_item(each).items()}
    parts = [map_head(3), text("results"), list_head(len(results))]
    for result in results:
        change = result.change
        fields = [_VERDICT[result.verdict]]
        if result.code is not None:
            fields.append(_CODE[result.code])
        if result.shows_versions:
            fields.append(_VERSIONS + versions.get(change.key, _NULL))
        parts += (map_head(2 + len(fields)), _NAMED[change.collection], change.id.encode(), *fields)
    parts += (_CURSOR, text(cursor), _SERVER_TIME, integer(now))
    return b"".join(parts)


def _by_item(versions: Iterable[SealedVersion]) -> dict[ItemKey, bytes]:
    """Each item's versions as a list."""
    items: dict[ItemKey, list[bytes]] = {}
    for _, collection, item_id, head, data, tail in versions:
        items.setdefault((collection, item_id), []).append(b"".join((head, data, tail)))
    return {key: list_head(len(each)) + b"".join(each) for key, each in items.items()}


def _id_or_null(entry_id: str | None) -> bytes:
    return _NULL if entry_id is None else _ID + entry_id.encode()


PACKED = Rendering(_sealed_version, _page, _pushed)
