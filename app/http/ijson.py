"""Bytes to values, strictly: I-JSON (RFC 7493), nothing more.

The standard parsers take duplicate keys, NaN or lone surrogates and let two readers of one body
see two different things. Here such a body is refused whole.
"""

import jiter

from app.errors import Malformed


def parse(body: bytes) -> object:
    """The value the body holds. Raises Malformed for anything that is not I-JSON: invalid UTF-8,
    duplicate keys, NaN and infinities, lone surrogates, nesting beyond 200, text after the value.
    """
    try:
        return jiter.from_json(
            body, allow_inf_nan=False, cache_mode="keys", catch_duplicate_keys=True
        )
    except ValueError:
        raise Malformed("The body is not I-JSON (RFC 7493).") from None
