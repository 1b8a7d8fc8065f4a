"""Answers that carry ciphertext, as bytes put together from parts: what both formats share, and
JSON. MessagePack is in `render_packed`.

Each version becomes its bytes on the wire while its row is read. What is spliced in is safe by
where it comes from: ids and clocks are stored in the one spelling they were checked in, and the
rest are numbers and base64.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import orjson
import pybase64

from app.sync.plan import Result
from app.sync.versions import Collection, ItemKey

_BOOLEANS = ("false", "true")


SealedVersion: TypeAlias = tuple[int, Collection, str, bytes, bytes, bytes]
"""A version in its wire form: sequence number, collection and id of its item, and then the three
parts that are joined once. A plain tuple, since a page makes hundreds."""

Found: TypeAlias = Iterable[Sequence[SealedVersion]]


@dataclass(frozen=True, slots=True)
class Rendering:
    """How answers are put together in one format.

    `sealed_version` makes of a content row its wire form; `page(versions, cursor, has_more, now)`
    is the answer to a pull, `pushed(results, found, cursor, now)` that to a push, where versions
    that did not fit are null.
    """

    sealed_version: Callable[..., SealedVersion]
    page: Callable[[Sequence[SealedVersion], str, bool, int], bytes]
    pushed: Callable[[Sequence[Result], Found, str, int], bytes]


def sealed_version(
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
    """A content row in its wire form; `vector_clock` is stored as the JSON it is sent as."""
    head = (
        f'{{"device_id":"{device_id}","vector_clock":{vector_clock},"key_epoch":{key_epoch},'
        f'"is_deleted":{_BOOLEANS[is_deleted]},"received_at":{received_at},"encrypted_data":"'
    ).encode()
    tail = b'"}'
    if collection == "tags":
        tail = f'","entry_id":{_text_or_null(entry_id)}}}'.encode()
    return (seq, collection, item_id, head, pybase64.b64encode(encrypted_data), tail)


def _page(versions: Sequence[SealedVersion], cursor: str, has_more: bool, now: int) -> bytes:
    parts: list[bytes] = []
    before = b'{"changes":['
    last: tuple[int, Collection, str] | None = None
    for seq, collection, item_id, head, data, tail in versions:
        if last == (seq, collection, item_id):
            parts += (b",", head, data, tail)
            continue
        last = (seq, collection, item_id)
        opening = f'{{"collection":"{collection}","id":"{item_id}","versions":['
        parts += (before, opening.encode(), head, data, tail)
        before = b"]},"
    end = f'],"cursor":"{cursor}","has_more":{_BOOLEANS[has_more]},"server_time":{now}}}'
    parts += (b"]}" if parts else before, end.encode())
    return b"".join(parts)


def _pushed(results: Sequence[Result], found: Found, cursor: str, now: int) -> bytes:
    shown = results_with_versions(results, found)
    return orjson.dumps({"results": shown, "cursor": cursor, "server_time": now})


def results_with_versions(results: Sequence[Result], found: Found) -> list[dict[str, object]]:
    """Each result, in request order, with the item's versions where the client needs them."""
    versions = {key: b"".join(parts) for each in found for key, parts in _by_item(each).items()}
    return [_result(result, versions) for result in results]


def _result(result: Result, versions: Mapping[ItemKey, bytes]) -> dict[str, object]:
    change = result.change
    shown: dict[str, object] = {
        "collection": change.collection,
        "id": change.id,
        "verdict": result.verdict,
    }
    if result.code is not None:
        shown["code"] = result.code
    if result.shows_versions:
        joined = versions.get(change.key)
        shown["versions"] = None if joined is None else orjson.Fragment(b"[%b]" % joined)
    return shown


def _by_item(versions: Iterable[SealedVersion]) -> dict[ItemKey, list[bytes]]:
    """The parts of each item's versions, with commas between them."""
    items: dict[ItemKey, list[bytes]] = {}
    for _, collection, item_id, head, data, tail in versions:
        parts = items.setdefault((collection, item_id), [])
        parts += (b",", head, data, tail) if parts else (head, data, tail)
    return items


def _text_or_null(text: str | None) -> str:
    return "null" if text is None else f'"{text}"'


JSON = Rendering(sealed_version, _page, _pushed)
