"""Makes spec/vectors/msgpack.json: bodies and answers in MessagePack, what they mean in JSON, and
bodies to refuse. Nothing in it is random.

Run it as `python -m tests.make_vectors.msgpack`.
"""

import json
import math
import struct
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack

from app.sync import render
from app.sync.plan import Result
from app.sync.render import Rendering
from app.sync.render_packed import PACKED
from app.sync.versions import Change

VECTORS = Path(__file__).parents[2] / "spec" / "vectors" / "msgpack.json"
COMMENT = (
    "`bodies` are sent as application/msgpack, in hex, to `path`; `json` is the body that says the"
    " same in JSON, if there is one. Where `path` is /sync/push the request carries an access"
    " token, and the 36 characters $device-, padded with dots, stand for that device's id: put it"
    " in before sending. The status is 400 where the bytes have no one meaning, 422 where they do"
    " not fit; `paths` are those of `errors`. `answers` are what a server says, in hex, and `json`"
    " the same in JSON; they are in the shortest form, as a server writes them."
)
DEVICE = "$device-".ljust(36, ".")
ITEM = "8c9f1f6e-2f0e-4c58-9a55-0a0c5f6d7e8f"
OTHER = "0f4e2a9c-7b1d-4f63-8e25-9d3c6b5a4f10"
THUMBPRINT = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
CURSOR = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

Entry = dict[str, Any]


def main() -> None:
    entries = {"comment": COMMENT, "bodies": list(_bodies()), "answers": list(_answers())}
    VECTORS.write_text(json.dumps(entries, indent=1, ensure_ascii=False) + "\n")


def _bodies() -> Iterator[Entry]:
    yield from _taken()
    yield from _malformed()
    yield from _misfits()


def _body(name: str, body: bytes, status: int, path: str = "/auth/challenge", **more: Any) -> Entry:
    return {"name": name, "path": path, "body": body.hex(), **more, "status": status}


def _change(**fields: Any) -> Entry:
    return {
        "collection": "entries",
        "id": ITEM,
        "vector_clock": {DEVICE: 1},
        "key_epoch": 1,
        "is_deleted": False,
        "encrypted_data": b"\x00\xff sealed",
    } | fields


def _taken() -> Iterator[Entry]:
    known = {"key_thumbprint": THUMBPRINT}
    yield _body("the plainest body", msgpack.packb(known), 200, json=known)
    spelled = b"\xdf\x00\x00\x00\x01\xdb\x00\x00\x00\x0ekey_thumbprint\xda\x00\x2b"
    yield _body("longer heads than needed", spelled + THUMBPRINT.encode(), 200, json=known)
    yield _body("no fields", b"\x80", 200, "/auth/register/challenge", json={})
    pushed = {"changes": [_change(), _change(id=OTHER, collection="tags", entry_id=None)]}
    told = {"changes": [_in_json(each) for each in pushed["changes"]]}
    yield _body("a push", msgpack.packb(pushed), 200, "/sync/push", json=told)
    wide = msgpack.packb(pushed).replace(
        b"\xa9key_epoch\x01", b"\xa9key_epoch\xcf" + bytes(7) + b"\x01"
    )
    yield _body("the same, with numbers of 64 bits", wide, 200, "/sync/push", json=told)
    large = {"changes": [_change(vector_clock={DEVICE: 2**64 - 1})]}
    body = msgpack.packb(large)
    yield _body("a counter that is rejected for its item alone", body, 200, "/sync/push")


def _malformed() -> Iterator[Entry]:
    thumbprint = msgpack.packb({"key_thumbprint": THUMBPRINT})
    field = thumbprint[1:]
    cases = {
        "nothing": b"",
        "a byte after it": thumbprint + b"\xc0",
        "cut": thumbprint[:-1],
        "a type that is none": b"\xc1",
        "a key twice": b"\x82" + field + field,
        "a key twice, in two spellings": b"\x82" + field + b"\xd9\x0e" + field[1:],
        "a key that is a number": b"\x82" + field + b"\x01\xc0",
        "a key that is bytes": b"\x82" + field + b"\xc4\x01a\xc0",
        "an extension type": b"\x82" + field + b"\xa1x\xd4\x05\x00",
        "a timestamp": b"\x82" + field + b"\xa1x\xd6\xff\x00\x00\x00\x01",
        "NaN": b"\x82" + field + b"\xa1x\xcb" + struct.pack(">d", math.nan),
        "infinity": b"\x82" + field + b"\xa1x\xca" + struct.pack(">f", math.inf),
        "text that is not UTF-8": b"\x81\xaekey_thumbprint\xa1\xff",
        "a surrogate": b"\x81\xaekey_thumbprint\xa3\xed\xa0\x80",
        "a noncharacter": msgpack.packb({"key_thumbprint": "\uffff"}),
        "nesting of 201": b"\x81\xa1x" + b"\x91" * 200 + b"\xc0",
        "nesting of 10,000": b"\x91" * 10_000 + b"\xc0",
        "lengths that nobody keeps": b"\xdc\x00\x10" * 40,
    }
    for name, body in cases.items():
        yield _body(name, body, 400, code="malformed")


def _misfits() -> Iterator[Entry]:
    invalid = {"code": "invalid"}
    known: Entry = {"key_thumbprint": THUMBPRINT}
    for name, body, paths in (
        ("no map", [], [""]),
        ("an unknown field", known | {"x": 1}, [""]),
        ("bytes for a text", {"key_thumbprint": THUMBPRINT.encode()}, ["key_thumbprint"]),
        ("a number for a text", {"key_thumbprint": 1}, ["key_thumbprint"]),
        ("more fields than any body has", {f"{n:02}": n for n in range(65)}, [""]),
    ):
        yield _body(name, msgpack.packb(body), 422, **invalid, paths=paths)
    for name, fields in (
        ("base64 for bytes", {"encrypted_data": "AP8gc2VhbGVk"}),
        ("bytes for an id", {"id": ITEM.encode()}),
        ("the 16 bytes of an id", {"id": bytes.fromhex(ITEM.replace("-", ""))}),
        ("a float for an integer", {"key_epoch": 1.0}),
        ("a number for a truth", {"is_deleted": 0}),
    ):
        body = msgpack.packb({"changes": [_change(**fields)]})
        paths = [f"changes/0/{next(iter(fields))}"]
        yield _body(name, body, 422, "/sync/push", **invalid, paths=paths)


def _answers() -> Iterator[Entry]:
    rows = [
        (7, "entries", ITEM, OTHER, f'{{"{OTHER}":1}}', 1, 0, 1_800_000_000, b"\x00\xff", None),
        (8, "tags", OTHER, OTHER, f'{{"{OTHER}":{2**53 - 1}}}', 2, 1, 9, b"t" * 300, ITEM),
        (8, "tags", OTHER, ITEM, f'{{"{ITEM}":200,"{OTHER}":70000}}', 2, 0, 5, b"u", None),
    ]  # fmt: skip
    now = 1_800_000_002

    def page(rendering: Rendering) -> bytes:
        return rendering.page([rendering.sealed_version(*row) for row in rows], CURSOR, True, now)

    def empty(rendering: Rendering) -> bytes:
        return rendering.page([], CURSOR, False, now)

    def pushed(rendering: Rendering) -> bytes:
        found = [[rendering.sealed_version(*row) for row in rows]]
        return rendering.pushed(list(_results()), found, CURSOR, now)

    for name, made in {"a page": page, "an empty page": empty, "a push": pushed}.items():
        told = json.loads(made(render.JSON))
        yield {"name": name, "packed": made(PACKED).hex(), "json": told}


def _results() -> Iterator[Result]:
    def of(collection: Any, item_id: str) -> Change:
        return Change(collection, item_id, OTHER, {}, 1, False, b"", None)

    yield Result(of("entries", ITEM), "applied")
    yield Result(of("tags", OTHER), "conflict")
    yield Result(of("entries", OTHER), "stale")
    yield Result(of("memories", ITEM), "rejected", "clock_invalid")


def _in_json(change: Entry) -> Entry:
    return change | {"encrypted_data": b64encode(change["encrypted_data"]).decode()}


if __name__ == "__main__":
    main()
