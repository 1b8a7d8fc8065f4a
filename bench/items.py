"""What is pushed: random content in the published shape, as request bodies built beforehand."""

import os
import uuid
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import msgpack
import orjson

Form: TypeAlias = Literal["json", "msgpack"]
MEDIA_TYPES: Mapping[Form, str] = {"json": "application/json", "msgpack": "application/msgpack"}

ITEM_BYTES = 1024


@dataclass
class Batches:
    """Bodies of pushes, and the items they hold: content by id, as the form has it (base64 text in
    JSON, bytes in MessagePack)."""

    bodies: list[bytes] = field(default_factory=list)
    contents: dict[str, str | bytes] = field(default_factory=dict)


def packed(value: object, form: Form) -> bytes:
    """A body in one of the forms."""
    return orjson.dumps(value) if form == "json" else bytes(msgpack.packb(value))


def unpacked(body: bytes, form: Form) -> Any:
    """What a body holds."""
    return orjson.loads(body) if form == "json" else msgpack.unpackb(body)


def batches(device_id: str, count: int, size: int, form: Form = "json") -> Batches:
    """`count` pushes of `size` new items of 1 KiB each, written by one device."""
    made = Batches()
    for _ in range(count):
        contents = {str(uuid.uuid4()): _random(form) for _ in range(size)}
        changes = [_change(device_id, *each) for each in contents.items()]
        made.contents.update(contents)
        made.bodies.append(packed({"changes": changes}, form))
    return made


def _change(device_id: str, item_id: str, data: str | bytes) -> dict[str, object]:
    return {
        "collection": "entries",
        "id": item_id,
        "vector_clock": {device_id: 1},
        "key_epoch": 1,
        "is_deleted": False,
        "encrypted_data": data,
    }


def _random(form: Form) -> str | bytes:
    content = os.urandom(ITEM_BYTES)
    return b64encode(content).decode() if form == "json" else content
