"""The exact bytes under every signature of a device, one function for each purpose.

Each message opens with a label of its own, so a signature made for one purpose is worth nothing
for another; each part carries its length, so no two lists of parts give the same bytes. Origins
are those of RFC 6454 section 6.2 (scheme included, no slash at the end), thumbprints the raw 32
bytes of RFC 7638, challenges and nonces the decoded bytes.
"""

import hashlib

REGISTER = b"echolia/register/v1"
LOGIN = b"echolia/login/v1"
RECOVER = b"echolia/recover/v1"
DELETE_ACCOUNT = b"echolia/delete-account/v1"
WRAPPING_KEY = b"echolia/wrapping-key/v1"
PAIR = b"echolia/pair/v1"
PAIR_REVEALED = b"echolia/pair/v1/2"
PAIR_APPROVE = b"echolia/pair/v1/approve"


def length_prefixed(*parts: bytes) -> bytes:
    """LP: each part after its length as 4 bytes, big-endian."""
    return b"".join(len(part).to_bytes(4) + part for part in parts)


def register_message(origin: str, challenge: bytes, thumbprint: bytes) -> bytes:
    """What a new device signs to register its own key."""
    return _answer(REGISTER, origin, challenge, thumbprint)


def login_message(origin: str, challenge: bytes, thumbprint: bytes) -> bytes:
    """What a known device signs to get tokens."""
    return _answer(LOGIN, origin, challenge, thumbprint)


def recover_message(origin: str, challenge: bytes, thumbprint: bytes) -> bytes:
    """What a new device signs with its own key when a recovery phrase brings it in."""
    return _answer(RECOVER, origin, challenge, thumbprint)


def delete_account_message(origin: str, challenge: bytes, thumbprint: bytes) -> bytes:
    """What a device signs to have its whole account deleted."""
    return _answer(DELETE_ACCOUNT, origin, challenge, thumbprint)


def wrapping_key_message(origin: str, signing_thumbprint: bytes, wrapping_der: bytes) -> bytes:
    """What a device's signing key signs to vouch for its wrapping key (SPKI, DER). Other devices
    check it years later, so no challenge is in it."""
    return length_prefixed(WRAPPING_KEY, origin.encode(), signing_thumbprint, wrapping_der)


def pairing_transcript(
    origin: str,
    pairing_id: bytes,
    existing_thumbprint: bytes,
    new_thumbprint: bytes,
    new_nonce: bytes,
) -> bytes:
    """T, the 32 bytes that the joining device signs: who pairs with whom, where, and in which
    attempt. `pairing_id` is the UUID's 16 bytes."""
    return _digest(
        PAIR, origin.encode(), pairing_id, existing_thumbprint, new_thumbprint, new_nonce
    )


def revealed_transcript(transcript: bytes, existing_nonce: bytes) -> bytes:
    """T2, 32 bytes: T and the nonce that the existing device had committed to and then showed."""
    return _digest(PAIR_REVEALED, transcript, existing_nonce)


def pairing_approval(revealed: bytes, wrapped_cek: bytes, ciphertext: bytes) -> bytes:
    """What the existing device signs over the keys it hands to the new one; `revealed` is T2."""
    handed_over = hashlib.sha256(wrapped_cek + ciphertext).digest()
    return length_prefixed(PAIR_APPROVE, revealed, handed_over)


def _answer(label: bytes, origin: str, challenge: bytes, thumbprint: bytes) -> bytes:
    return length_prefixed(label, origin.encode(), challenge, thumbprint)


def _digest(*parts: bytes) -> bytes:
    return hashlib.sha256(length_prefixed(*parts)).digest()
