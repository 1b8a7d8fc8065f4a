"""spec/vectors/digest.json against the code that hashes and sums."""

import hashlib
import json
from typing import Any

import pytest

from app.sync import digest
from app.sync.digest import Digest, HashedVersion
from tests.spec import make_digest
from tests.spec.vectors import vectors

VECTORS = vectors("digest")
VERSIONS = VECTORS["versions"]


def hash_of(told: Any) -> bytes:
    return digest.version_hash(
        told["collection"],
        told["id"],
        told["device_id"],
        json.dumps(told["vector_clock"]),
        told["key_epoch"],
        told["is_deleted"],
        hashlib.sha256(bytes.fromhex(told["encrypted_data"])).digest(),
    )


@pytest.mark.parametrize("told", VERSIONS, ids=lambda told: told["hash"][:8])
def test_a_version_has_this_bucket_and_this_hash(told: Any) -> None:
    assert (digest.bucket_of(told["id"]), hash_of(told).hex()) == (told["bucket"], told["hash"])


def test_the_versions_add_up_to_these_buckets_in_any_order() -> None:
    for order in (VERSIONS, VERSIONS[::-1]):
        summed = Digest()
        for told in order:
            summed.add(HashedVersion(1, told["bucket"], bytes.fromhex(told["hash"])))
        found = {str(at): each for at, each in enumerate(summed.shown()) if each["count"]}
        assert found == VECTORS["buckets"]


def test_a_sum_that_passes_2_256_begins_anew() -> None:
    summed = Digest()
    for _ in range(2):
        summed.add(HashedVersion(1, 0, b"\xff" * 32))
    assert summed.shown()[0] == {"count": 2, "sum": "f" * 63 + "e"}
    assert summed.shown()[255] == {"count": 0, "sum": "0" * 64}


def test_the_file_is_what_the_program_that_stands_beside_it_makes() -> None:
    """That program was written from the page, and shares nothing with the application."""
    for told in VERSIONS:
        assert make_digest.hash_of(told).hex() == told["hash"]
