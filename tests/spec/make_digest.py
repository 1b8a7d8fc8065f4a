"""Makes spec/vectors/digest.json: versions, their hashes, and the sums of their buckets.

Written from the page alone, with nothing of the application, and from a fixed seed.

Run it as `python -m tests.spec.make_digest`.
"""

import hashlib
import json
import random
import struct
import uuid
from pathlib import Path
from typing import Any

VECTORS = Path(__file__).parents[2] / "spec" / "vectors" / "digest.json"


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def part(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data


def hash_of(version: dict[str, Any]) -> bytes:
    """As section 12 of the protocol says it, word for word."""
    clock = b""
    for device in sorted(version["vector_clock"], key=lambda each: uuid.UUID(each).bytes):
        clock += uuid.UUID(device).bytes + struct.pack(">Q", version["vector_clock"][device])
    encoded = part(version["collection"].encode("utf-8"))
    encoded += part(uuid.UUID(version["id"]).bytes)
    encoded += part(uuid.UUID(version["device_id"]).bytes)
    encoded += part(clock)
    encoded += part(struct.pack(">I", version["key_epoch"]))
    encoded += part(b"\1" if version["is_deleted"] else b"\0")
    encoded += part(sha256(bytes.fromhex(version["encrypted_data"])))
    return sha256(encoded)


def versions() -> list[dict[str, Any]]:
    draw = random.Random("echolia digest vectors")
    ids = [str(uuid.UUID(bytes=draw.randbytes(16), version=4)) for _ in range(6)]
    devices = [str(uuid.UUID(bytes=draw.randbytes(16), version=4)) for _ in range(3)]
    one, two, three = devices
    clocks: list[tuple[str, str, dict[str, int], int, bool]] = [
        (ids[0], one, {one: 1}, 1, False),
        (ids[1], two, {two: 2**53 - 1, one: 7}, 1, False),
        (ids[2], one, {one: 2}, 2**32 - 1, True),
        (ids[3], one, {one: 2, three: 1}, 2, False),
        (ids[3], two, {two: 1, three: 1}, 2, False),
        (ids[3], three, {three: 2}, 2, True),
        (ids[4], three, {one: 1, two: 256, three: 65536}, 3, False),
        (ids[5], two, {two: 1}, 1, False),
    ]
    return [
        {
            "collection": "memories",
            "id": item_id,
            "device_id": author,
            "vector_clock": clock,
            "key_epoch": epoch,
            "is_deleted": is_deleted,
            "encrypted_data": draw.randbytes(16).hex(),
        }
        for item_id, author, clock, epoch, is_deleted in clocks
    ]


def main() -> None:
    cases, buckets = versions(), [{"count": 0, "sum": 0} for _ in range(256)]
    for case in cases:
        found = hash_of(case)
        case["bucket"] = sha256(uuid.UUID(case["id"]).bytes)[0]
        case["hash"] = found.hex()
        bucket = buckets[case["bucket"]]
        bucket["count"] += 1
        bucket["sum"] = (bucket["sum"] + int.from_bytes(found, "big")) % 2**256
    shown = {
        str(at): {"count": each["count"], "sum": format(each["sum"], "064x")}
        for at, each in enumerate(buckets)
        if each["count"]
    }
    comment = (
        "Section 12 of protocol.md. Bytes are hex. `bucket` and `hash` are those of each version;"
        " `buckets` holds what all of them add up to, those that are empty left out."
    )
    told = {"comment": comment, "versions": cases, "buckets": shown}
    VECTORS.write_text(json.dumps(told, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
