"""spec/vectors/proof_of_work.json against the server's check."""

from contextlib import nullcontext
from hashlib import sha256
from typing import Any

import pytest

from app.auth import proof_of_work
from app.auth.errors import ProofOfWorkInvalid
from tests.spec.vectors import name_of, vectors


@pytest.mark.parametrize("case", vectors("proof_of_work"), ids=name_of)
def test_work_is_taken_or_refused_as_the_vector_says(case: Any) -> None:
    challenge, solution = bytes.fromhex(case["challenge"]), bytes.fromhex(case["solution"])
    digest = sha256(challenge + solution).digest()
    assert proof_of_work.zero_bits(digest) == case["zero_bits"]
    with nullcontext() if case["valid"] else pytest.raises(ProofOfWorkInvalid):
        proof_of_work.check(challenge, case["difficulty"], solution)
