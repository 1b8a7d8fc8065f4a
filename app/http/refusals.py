"""What a call may refuse, and who may make it: said beside the code, shown in the document.

A mark on a route's function or on a dependency; `openapi.py` gathers them along the tree of
dependencies. Marks cost a request nothing.
"""

from collections.abc import Callable, Iterator
from typing import TypeVar

from app import errors
from app.errors import EcholiaError

Refusal = type[EcholiaError]
Ways = tuple[frozenset[str], ...]
"""Alternatives, each a set of credentials that come together."""

Marked = TypeVar("Marked", bound=Callable[..., object])

BEARER = "bearer"
PROOF = "proof"


def refuses(*refusals: Refusal) -> Callable[[Marked], Marked]:
    """The function may raise these, or leaves of them."""

    def mark(call: Marked) -> Marked:
        call.refuses = refusals  # type: ignore[attr-defined]
        return call

    return mark


def admits(*ways: frozenset[str]) -> Callable[[Marked], Marked]:
    """Only who shows the credentials of one of these ways gets past the function."""

    def mark(call: Marked) -> Marked:
        call.admits = ways  # type: ignore[attr-defined]
        return call

    return mark


def refusals_of(call: object) -> tuple[Refusal, ...]:
    found: tuple[Refusal, ...] = getattr(call, "refuses", ())
    return found


def ways_of(call: object) -> Ways:
    found: Ways = getattr(call, "admits", ())
    return found


def with_leaves(refusal: Refusal) -> Iterator[Refusal]:
    """The refusal and every leaf of it; a kind from the tree's own page stands for itself alone,
    since half of all errors hang on it."""
    yield refusal
    if refusal.__module__ == errors.__name__:
        return
    for leaf in refusal.__subclasses__():
        yield from with_leaves(leaf)
