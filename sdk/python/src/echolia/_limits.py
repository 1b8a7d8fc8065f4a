"""What the server takes in one request, as it says itself (spec/protocol.md, Limits)."""

from __future__ import annotations

import json
from collections.abc import Generator
from dataclasses import asdict, dataclass

from ._answers import Answer
from ._calls import Call
from ._store import Store

_META = "limits"
# More than any server needs to offer, and still safe to count, allocate and bind with.
_MOST = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Limits:
    """The protocol's defaults until the server says otherwise."""

    max_push_changes: int = 500
    max_push_bytes: int = 8 * 1024 * 1024
    max_item_bytes: int = 1024 * 1024
    max_pull_limit: int = 500

    @classmethod
    def read(cls, answer: Answer) -> Limits:
        names = [name for name in asdict(cls()) if answer.has(name)]
        return cls(**{name: min(max(1, answer.number(name)), _MOST) for name in names})


def are_known(store: Store) -> bool:
    return store.meta(_META) is not None


def known_limits(store: Store) -> Limits:
    """Those that were learnt last."""
    stored = store.meta(_META)
    return Limits(**json.loads(stored)) if stored else Limits()


def learn_limits(store: Store) -> Generator[Call, Answer, Limits]:
    """The server's own numbers, which are in the store afterwards."""
    status = yield Call("GET", "/sync/status")
    limits = Limits.read(status.object("limits"))
    store.set_meta(_META, json.dumps(asdict(limits)).encode())
    return limits
