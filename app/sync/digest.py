"""A collection in 256 sums, by which two stores find where they differ. Pure.

Each version is hashed over everything that both sides must agree on; a bucket's sum is that of its
versions' hashes modulo 2^256, so order means nothing. spec/protocol.md, section 12, has the bytes.
"""

import hashlib
from typing import NamedTuple

import orjson

from app.sync.versions import Collection

BUCKETS = 256
_MODULUS = 1 << 256


class HashedVersion(NamedTuple):
    """A stored version's place in the sequence, its bucket, and its hash."""

    seq: int
    bucket: int
    hash: bytes


class Digest:
    """Counts and sums of a collection, by bucket."""

    def __init__(self) -> None:
        self.counts = [0] * BUCKETS
        self.sums = [0] * BUCKETS

    def add(self, version: HashedVersion) -> None:
        _, bucket, found = version
        self.counts[bucket] += 1
        self.sums[bucket] = (self.sums[bucket] + int.from_bytes(found, "big")) % _MODULUS

    def shown(self) -> list[dict[str, int | str]]:
        """As on the wire: each sum as 64 hexadecimal digits."""
        return [
            {"count": count, "sum": f"{total:064x}"}
            for count, total in zip(self.counts, self.sums, strict=True)
        ]


def bucket_of(item_id: str) -> int:
    """The first byte of SHA-256 over the sixteen bytes of the id."""
    return hashlib.sha256(_id_bytes(item_id)).digest()[0]


def version_hash(
    collection: Collection,
    item_id: str,
    device_id: str,
    vector_clock: str,
    key_epoch: int,
    is_deleted: int,
    content: bytes,
) -> bytes:
    """SHA-256 of the canonical encoding of a version; `vector_clock` is its JSON, `content` the
    SHA-256 of its `encrypted_data`."""
    clock = b"".join(
        _id_bytes(name) + counter.to_bytes(8, "big")
        for name, counter in sorted(orjson.loads(vector_clock).items())
    )
    parts = (
        collection.encode(),
        _id_bytes(item_id),
        _id_bytes(device_id),
        clock,
        key_epoch.to_bytes(4, "big"),
        b"\x01" if is_deleted else b"\x00",
        content,
    )
    encoded = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    return hashlib.sha256(encoded).digest()


def _id_bytes(text: str) -> bytes:
    return bytes.fromhex(text.replace("-", ""))
