"""What the server takes in one request, as it says itself (spec/protocol.md, Limits)."""

from __future__ import annotations

import json
from collections.abc import Generator
from dataclasses import asdict, dataclass

from ._answers import Answer
from ._calls import Call
from ._store import Store

_META = "limits"
_EXPECTED, _FETCHED = "expected", "fetched"
_COLLECTIONS = ("entries", "memories", "tags")
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
    """The server's own numbers, which are in the store afterwards; and what is to be expected of
    a pull from the start."""
    status = yield Call("GET", "/sync/status")
    limits = Limits.read(status.object("limits"))
    store.set_meta(_META, json.dumps(asdict(limits)).encode())
    if status.has("items"):
        items = status.object("items")
        expect(store, sum(items.number(name) for name in _COLLECTIONS if items.has(name)))
    return limits


# -- how far a pull from the start has come, for whoever watches


def expect(store: Store, items: int) -> None:
    """So many items are there to be fetched, as far as the server told."""
    store.set_meta(_EXPECTED, str(items).encode())


def expect_more(store: Store, items: int) -> None:
    """So many went to the server meanwhile, and come back in a pull from the start."""
    expected = _number(store, _EXPECTED)
    if expected is not None:
        expect(store, expected + items)


def fetched(store: Store, items: int, *, from_start: bool, more: bool) -> tuple[int, int] | None:
    """Items fetched by now and in all, over every process that had a part in it, once so many more
    are there; None when this is no pull from the start."""
    before = 0 if from_start else _number(store, _FETCHED)
    if before is None:
        return None
    done = before + items
    total = max(_number(store, _EXPECTED) or 0, done + 1) if more else done
    store.set_meta(_FETCHED, str(done).encode() if more else None)
    if not more:
        store.set_meta(_EXPECTED, None)
    return done, total


def _number(store: Store, name: str) -> int | None:
    stored = store.meta(name)
    return None if stored is None else int(stored)
