"""Where and why an input does not fit, without a word of the input."""

from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import Any

MAX_FAULTS = 20

_REASONS = {
    "missing": "is required",
    "extra_forbidden": "has a field that is not known",
    "string_type": "must be text",
    "int_type": "must be an integer",
    "int_parsing": "must be an integer",
    "int_from_float": "must be an integer",
    "bool_type": "must be true or false",
    "list_type": "must be a list",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "literal_error": "must be one of the values the protocol names",
    "string_pattern_mismatch": "has the wrong form",
    "string_too_long": "is too long",
    "string_too_short": "is too short",
    "too_long": "has too many elements",
    "too_short": "has too few elements",
    "greater_than_equal": "is too small",
    "less_than_equal": "is too large",
}


def names_in(schema: object) -> frozenset[str]:
    """Every field name of a JSON schema: the words that a path may be made of."""
    if isinstance(schema, list):
        return frozenset().union(*(names_in(each) for each in schema))
    if not isinstance(schema, dict):
        return frozenset()
    own = schema.get("properties")
    inner = frozenset().union(*(names_in(each) for each in schema.values()))
    return inner | (frozenset(own) if isinstance(own, dict) else frozenset())


def faults_of(errors: Sequence[Mapping[str, Any]], names: frozenset[str]) -> list[dict[str, str]]:
    """At most 20 faults as {path, reason}. A name the model does not know is a value too (a client
    could put a secret there, as a field or as a map's key), so paths stop at the last known one."""
    return [_fault(error, names) for error in errors[:MAX_FAULTS]]


def _fault(error: Mapping[str, Any], names: frozenset[str]) -> dict[str, str]:
    kind = str(error["type"])
    known = takewhile(lambda part: isinstance(part, int) or part in names, error["loc"])
    path = "/".join(str(part) for part in known)
    return {"path": path, "reason": _REASONS.get(kind, _own_reason(kind))}


def _own_reason(kind: str) -> str:
    """Our validators name their error types as the reason itself, with underscores."""
    return kind.replace("_", " ") if kind.startswith(("must_", "is_", "has_")) else "does not fit"
