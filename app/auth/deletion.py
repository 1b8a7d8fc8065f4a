"""What is left of a deleted account. Pure.

A keyed hash of its id: enough to refuse a copy of its file that somebody puts back, and nothing to
whoever does not have the id already. It is needed for as long as a token of the account could
verify, and tokens and the hash hang on the same secret.
"""

from uuid import UUID

from app.auth.server_keys import KeySet, ServerKeys, mac

UNUSED_SECONDS = 30 * 86400
"""An account that wrote nothing is looked at after so long, and again after each such time."""


def account_hash(keys: KeySet, user_id: str) -> bytes:
    """The 32 bytes by which a deleted account is known again."""
    return mac(keys.deletion, UUID(user_id).bytes)


def known_hashes(keys: ServerKeys, user_id: str) -> tuple[bytes, ...]:
    """Its hash under each secret that still verifies."""
    return tuple(account_hash(each, user_id) for each in keys.all)
