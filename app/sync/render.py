"""Answers that carry ciphertext, as JSON bytes. Blocks for as long as the content is large."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any

import orjson

from app.http.fields import encode_base64
from app.sync.plan import Result
from app.sync.versions import ItemKey

Json = dict[str, Any]
Row = tuple[Any, ...]


def page(rows: Sequence[Row], cursor: str, *, has_more: bool, now: int) -> bytes:
    """The answer to a pull."""
    changes = [
        {"collection": first[1], "id": first[2], "versions": [_version(row) for row in group]}
        for first, group in _by_item(rows)
    ]
    return orjson.dumps(
        {"changes": changes, "cursor": cursor, "has_more": has_more, "server_time": now}
    )


def pushed(
    results: Sequence[Result], rows: Iterable[Sequence[Row]], cursor: str, *, now: int
) -> bytes:
    """The answer to a push; versions that did not fit are null."""
    return orjson.dumps(
        {"results": results_with_versions(results, rows), "cursor": cursor, "server_time": now}
    )


def results_with_versions(results: Sequence[Result], rows: Iterable[Sequence[Row]]) -> list[Json]:
    """Each result, in request order, with the item's versions where the client needs them."""
    versions = {
        (first[1], first[2]): [_version(row) for row in group]
        for found in rows
        for first, group in _by_item(found)
    }
    return [_result(result, versions) for result in results]


def _result(result: Result, versions: Mapping[ItemKey, list[Json]]) -> Json:
    change = result.change
    shown: Json = {"collection": change.collection, "id": change.id, "verdict": result.verdict}
    if result.code is not None:
        shown["code"] = result.code
    if result.shows_versions:
        shown["versions"] = versions.get(change.key)
    return shown


def _version(row: Row) -> Json:
    """A version from a content row; its clock is stored as the JSON it is sent as."""
    _, collection, _, device_id, clock, key_epoch, is_deleted, received_at, data, entry_id = row
    version = {
        "device_id": device_id,
        "vector_clock": orjson.Fragment(clock),
        "key_epoch": key_epoch,
        "is_deleted": is_deleted == 1,
        "encrypted_data": encode_base64(data),
        "received_at": received_at,
    }
    if collection == "tags":
        version["entry_id"] = entry_id
    return version


def _by_item(rows: Sequence[Row]) -> Iterator[tuple[Row, list[Row]]]:
    """Content rows grouped into items: the first row, and all of them."""
    for _, group in groupby(rows, key=itemgetter(0, 1, 2)):
        versions = list(group)
        yield versions[0], versions
