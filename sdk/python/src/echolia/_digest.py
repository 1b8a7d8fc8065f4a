"""A collection in 256 sums (spec/protocol.md, GET /sync/digest): pure."""

from __future__ import annotations

from collections.abc import Iterable

from ._answers import Answer
from ._canonical import id_bytes, lp, sha256, u32
from ._errors import AnswerInvalid
from ._versions import Version

BUCKETS = 256
_MODULUS = 2**256

Sums = list[tuple[int, int]]
"""For each bucket, how many versions and the sum of their hashes."""


def bucket_of(item_id: str) -> int:
    return sha256(id_bytes(item_id))[0]


def version_hash(version: Version) -> bytes:
    """Over everything that both sides must agree on."""
    return sha256(
        lp(
            version.key.collection.encode(),
            id_bytes(version.key.item_id),
            id_bytes(version.device_id),
            version.clock.encode(),
            u32(version.key_epoch),
            bytes([version.is_deleted]),
            sha256(version.envelope),
        )
    )


def sums_of(versions: Iterable[Version]) -> Sums:
    counts, sums = [0] * BUCKETS, [0] * BUCKETS
    for version in versions:
        bucket = bucket_of(version.key.item_id)
        counts[bucket] += 1
        sums[bucket] = (sums[bucket] + int.from_bytes(version_hash(version), "big")) % _MODULUS
    return list(zip(counts, sums, strict=True))


def read_sums(answer: Answer) -> Sums:
    """AnswerInvalid unless there are 256 of them, in the form of the specification."""
    read = [_read_bucket(each) for each in answer.objects("buckets")]
    if len(read) != BUCKETS:
        raise AnswerInvalid("the server's answer has another number of buckets")
    return read


def _read_bucket(bucket: Answer) -> tuple[int, int]:
    digits = bucket.text("sum")
    if len(digits) != 64 or not set(digits) <= set("0123456789abcdef"):
        raise AnswerInvalid("the server's answer has a bad sum")
    return bucket.number("count"), int(digits, 16)
