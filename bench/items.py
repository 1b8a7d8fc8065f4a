"""What is pushed: random content in the published shape, as request bodies built beforehand."""

import os
import uuid
from base64 import b64encode
from dataclasses import dataclass, field

import orjson

ITEM_BYTES = 1024


@dataclass
class Batches:
    """Bodies of pushes, and the items they hold: base64 content by id."""

    bodies: list[bytes] = field(default_factory=list)
    contents: dict[str, str] = field(default_factory=dict)


def batches(device_id: str, count: int, size: int) -> Batches:
    """`count` pushes of `size` new items of 1 KiB each, written by one device."""
    made = Batches()
    for _ in range(count):
        contents = {str(uuid.uuid4()): _random() for _ in range(size)}
        changes = [_change(device_id, *each) for each in contents.items()]
        made.contents.update(contents)
        made.bodies.append(orjson.dumps({"changes": changes}))
    return made


def _change(device_id: str, item_id: str, data: str) -> dict[str, object]:
    return {
        "collection": "entries",
        "id": item_id,
        "vector_clock": {device_id: 1},
        "key_epoch": 1,
        "is_deleted": False,
        "encrypted_data": data,
    }


def _random() -> str:
    return b64encode(os.urandom(ITEM_BYTES)).decode()
