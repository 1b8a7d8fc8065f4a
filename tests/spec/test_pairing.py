"""What the server can check of spec/vectors/pairing.json; the rest is between devices."""

import hashlib
import uuid
from typing import Any

import pytest

from app.auth import signed_bytes
from app.auth.pairing import EXISTING_NONCE_BYTES, NEW_NONCE_BYTES
from app.auth.public_key import parse_thumbprint, validate_public_key, validate_wrapping_key
from tests.spec.vectors import name_of, vectors

VECTORS = vectors("pairing")
WRAPPING = VECTORS["wrapping_key"]


def raw(text: str) -> bytes:
    return bytes.fromhex(text)


@pytest.mark.parametrize("case", VECTORS["agreements"], ids=name_of)
def test_both_transcripts_and_the_approval_are_those_of_the_devices(case: Any) -> None:
    transcript = signed_bytes.pairing_transcript(
        case["origin"],
        uuid.UUID(case["pairing_id"]).bytes,
        raw(case["existing_thumbprint"]),
        raw(case["new_thumbprint"]),
        raw(case["new_nonce"]),
    )
    revealed = signed_bytes.revealed_transcript(transcript, raw(case["existing_nonce"]))
    handed_over = (raw(case["wrapped_cek"]), raw(case["ciphertext"]))
    assert transcript.hex() == case["transcript"]
    assert revealed.hex() == case["transcript2"]
    approval = signed_bytes.pairing_approval(revealed, *handed_over)
    assert approval.hex() == case["approval_statement"]


@pytest.mark.parametrize("case", VECTORS["agreements"], ids=name_of)
def test_the_server_takes_nonces_of_these_lengths_and_this_commitment(case: Any) -> None:
    existing_nonce = raw(case["existing_nonce"])
    assert len(raw(case["new_nonce"])) in NEW_NONCE_BYTES
    assert len(existing_nonce) == EXISTING_NONCE_BYTES
    assert hashlib.sha256(existing_nonce).hexdigest() == case["commitment"]


@pytest.mark.parametrize("case", WRAPPING["signatures"], ids=name_of)
def test_a_wrapping_key_is_vouched_for_by_exactly_the_valid_signatures(case: Any) -> None:
    key = validate_public_key(WRAPPING["public_key"])
    wrapping = validate_wrapping_key(WRAPPING["wrapping_key"])
    assert key.thumbprint == parse_thumbprint(WRAPPING["thumbprint"])
    message = signed_bytes.wrapping_key_message(WRAPPING["origin"], key.thumbprint, wrapping.der)
    assert message.hex() == WRAPPING["statement"]
    assert key.verify(raw(case["signature"]), message) is case["valid"]
