"""The bytes that devices sign, against hand-written layouts and the pairing vectors."""

import hashlib

from hypothesis import given, settings
from hypothesis import strategies as st

from app.auth import signed_bytes

# A machine that is busy elsewhere is no reason to fail.
unhurried = settings(deadline=None)

ORIGIN = "https://sync.example"
CHALLENGE = bytes(range(64))
THUMBPRINT = bytes([0xAB]) * 32
PARTS = st.lists(st.binary(max_size=8), max_size=5)

# Made with two other implementations; their origin predates the rule that it holds a scheme.
PAIRING = {
    "origin": "api.example",
    "pairing_id": bytes(16),
    "existing_thumbprint": b"\1" * 32,
    "new_thumbprint": b"\2" * 32,
    "new_nonce": b"\3" * 16,
}
EXISTING_NONCE = b"\4" * 32
TRANSCRIPT = "f65bad14b3cf6efe623bdf0a26d02c9bd232234e14c5830a2d1e87ce3baacc9f"
REVEALED = "96f82ad8f9a105cb94d2cf748125d77f39d6b7d58d446b73445bec67608b27d3"


def prefix(part: bytes) -> bytes:
    return bytes([0, 0, 0, len(part)]) + part


def test_each_part_follows_its_length_in_four_big_endian_bytes() -> None:
    parts = (b"ab", b"", b"c" * 300)
    assert signed_bytes.length_prefixed(*parts) == (
        b"\0\0\0\2ab" + b"\0\0\0\0" + b"\0\0\1\x2c" + b"c" * 300
    )


@unhurried
@given(PARTS, PARTS)
def test_two_lists_of_parts_never_share_their_bytes(one: list[bytes], other: list[bytes]) -> None:
    same = signed_bytes.length_prefixed(*one) == signed_bytes.length_prefixed(*other)
    assert same == (one == other)


@unhurried
@given(st.binary(max_size=16))
def test_moving_a_byte_between_neighbours_changes_the_bytes(data: bytes) -> None:
    cuts = {signed_bytes.length_prefixed(data[:at], data[at:]) for at in range(len(data) + 1)}
    assert len(cuts) == len(data) + 1


def test_an_answer_to_a_challenge_is_label_origin_challenge_and_thumbprint() -> None:
    labels = {
        b"echolia/register/v1": signed_bytes.register_message,
        b"echolia/login/v1": signed_bytes.login_message,
        b"echolia/recover/v1": signed_bytes.recover_message,
        b"echolia/delete-account/v1": signed_bytes.delete_account_message,
    }
    for label, message in labels.items():
        rest = prefix(b"https://sync.example") + prefix(CHALLENGE) + prefix(THUMBPRINT)
        assert message(ORIGIN, CHALLENGE, THUMBPRINT) == prefix(label) + rest


def test_a_wrapping_key_is_vouched_for_without_a_challenge() -> None:
    message = signed_bytes.wrapping_key_message(ORIGIN, THUMBPRINT, b"SPKI")
    assert message == prefix(b"echolia/wrapping-key/v1") + prefix(ORIGIN.encode()) + prefix(
        THUMBPRINT
    ) + prefix(b"SPKI")


def test_the_origin_is_signed_as_utf_8() -> None:
    message = signed_bytes.login_message("https://tägebuch.example", b"", b"")
    assert prefix("https://tägebuch.example".encode()) in message


def test_both_pairing_transcripts_are_those_of_the_vectors() -> None:
    transcript = signed_bytes.pairing_transcript(**PAIRING)  # type: ignore[arg-type]
    assert transcript.hex() == TRANSCRIPT
    assert signed_bytes.revealed_transcript(transcript, EXISTING_NONCE).hex() == REVEALED


def test_an_approval_covers_the_wrapped_key_and_the_ciphertext() -> None:
    revealed = bytes.fromhex(REVEALED)
    message = signed_bytes.pairing_approval(revealed, b"wrapped", b"ciphertext")
    digest = hashlib.sha256(b"wrappedciphertext").digest()
    assert message == prefix(b"echolia/pair/v1/approve") + prefix(revealed) + prefix(digest)
    assert message != signed_bytes.pairing_approval(revealed, b"wrapped", b"another")
    assert message != signed_bytes.pairing_approval(revealed, b"another", b"ciphertext")


def test_no_purpose_shares_its_message_with_another() -> None:
    messages = [
        signed_bytes.register_message(ORIGIN, CHALLENGE, THUMBPRINT),
        signed_bytes.login_message(ORIGIN, CHALLENGE, THUMBPRINT),
        signed_bytes.recover_message(ORIGIN, CHALLENGE, THUMBPRINT),
        signed_bytes.delete_account_message(ORIGIN, CHALLENGE, THUMBPRINT),
        signed_bytes.wrapping_key_message(ORIGIN, CHALLENGE, THUMBPRINT),
    ]
    assert len(set(messages)) == len(messages)
