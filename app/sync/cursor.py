"""Cursors: a place in one account's sequence, opaque and sealed against tampering. Pure.

A cursor names the database's epoch, the last sequence number delivered, and the random tag of the
commit that number belongs to. A database restored from a backup has other tags from some point on,
so its old cursors are noticed however far the new sequence has grown. Within a pull that began at
the start, it also names the floor: what was purged up to there before that pull began was never
part of it, so nothing is missing.
"""

import base64
import hmac
from dataclasses import dataclass
from uuid import UUID

from app.sync.errors import CursorInvalid

MAX_LENGTH = 128
EPOCH_BYTES = 8
TAG_BYTES = 8
_MAC_BYTES = 16
_BODY_BYTES = {
    b"\x01": 1 + 8 + EPOCH_BYTES + TAG_BYTES,
    b"\x02": 1 + 8 + EPOCH_BYTES + TAG_BYTES + 8,
}
"""By layout: the second has the floor at its end, and is made where that says anything."""
_TAG_AT = 9 + EPOCH_BYTES


@dataclass(frozen=True, slots=True)
class Position:
    """A place in the sequence; `seq` 0 is the start and has an empty tag. Of what was purged up to
    `floor`, nothing can be missing."""

    seq: int
    epoch: bytes
    tag: bytes
    floor: int = 0


def seal(key: bytes, user_id: str, position: Position) -> str:
    """The cursor for this place, in this account."""
    tag = position.tag.ljust(TAG_BYTES, b"\0")
    body = b"\x01" + position.seq.to_bytes(8, "big") + position.epoch + tag
    if position.floor > position.seq:
        body = b"\x02" + body[1:] + position.floor.to_bytes(8, "big")
    return _to_text(body + _mac(key, user_id, body))


def open_cursor(keys: tuple[bytes, ...], user_id: str, cursor: str) -> Position:
    """The place a cursor names. Raises CursorInvalid unless one of the keys sealed it for this
    account, and it is spelled as it was given out."""
    raw = _from_text(cursor)
    body, seal_bytes = raw[:-_MAC_BYTES], raw[-_MAC_BYTES:]
    if len(body) != _BODY_BYTES.get(raw[:1]):
        raise CursorInvalid
    if not any(hmac.compare_digest(_mac(key, user_id, body), seal_bytes) for key in keys):
        raise CursorInvalid
    seq = int.from_bytes(body[1:9], "big")
    tag = body[_TAG_AT : _TAG_AT + TAG_BYTES] if seq else b""
    floor = int.from_bytes(body[_TAG_AT + TAG_BYTES :], "big")
    return Position(seq, body[9:_TAG_AT], tag, floor)


def _to_text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _from_text(cursor: str) -> bytes:
    """The decoder knows several spellings of the same bytes (other alphabet, padding, stray bits in
    the last character); a cursor has one."""
    if len(cursor) > MAX_LENGTH:
        raise CursorInvalid
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except ValueError:
        raise CursorInvalid from None
    if _to_text(raw) != cursor:
        raise CursorInvalid
    return raw


def _mac(key: bytes, user_id: str, body: bytes) -> bytes:
    return hmac.digest(key, UUID(user_id).bytes + body, "sha256")[:_MAC_BYTES]
