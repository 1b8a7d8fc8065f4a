"""A device whose account the server has deleted as unused begins anew (spec/protocol.md, Account).

Only one that never had anything stored: nothing can be lost by it, and nobody else can be waiting
for what it writes. Ids change, so what waits here is sealed anew. Killed at any point, the next
start goes on with the old account or with the new one, whole.
"""

from __future__ import annotations

import json
from dataclasses import replace

from ._answers import Answer
from ._errors import NotAuthenticated, OtherAccount, ServerError
from ._keyring import Keyring, KeyringFile
from ._merge import MergePolicy
from ._session import Session
from ._store import Store
from ._vault import Vault
from ._versions import COLLECTIONS

_MOVED = "moved"
_OF_THE_OLD_ACCOUNT = ("session", "cursor", "reset", "reset_from", "named", "synced_at")


def is_of_another_account(refusal: ServerError) -> bool:
    """Whether the server knows this key no more, or (a move was cut off) under a new account."""
    return isinstance(refusal, OtherAccount) or (
        isinstance(refusal, NotAuthenticated) and refusal.code == "login_failed"
    )


def move(store: Store, keyring: Keyring, session: Session, policy: MergePolicy) -> Keyring:
    """The store belongs to the session's account; the keyring that fits it, still to be saved."""
    moved = replace(keyring, user_id=session.user_id, device_id=session.device_id)
    old, new = Vault(store, keyring, policy), Vault(store, moved, policy)
    with store.transaction():
        for collection in COLLECTIONS:
            for view in list(old.views(collection)):
                new.reseal(view)
        for name in _OF_THE_OLD_ACCOUNT:
            store.set_meta(name, None)
        ids = {"user_id": session.user_id, "device_id": session.device_id}
        store.set_meta(_MOVED, json.dumps(ids).encode())
    return moved


def settled(file: KeyringFile, keyring: Keyring, store: Store) -> Keyring:
    """The keyring of the account that the store belongs to, saved if a move was cut off."""
    note = store.meta(_MOVED)
    if note is None:
        return keyring
    ids = Answer.of(json.loads(note))
    moved = replace(keyring, user_id=ids.id("user_id"), device_id=ids.id("device_id"))
    file.save(moved)
    store.set_meta(_MOVED, None)
    return moved
