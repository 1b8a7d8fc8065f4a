"""No answer may fill the memory or hold the client for ever, whatever the server sends."""

from __future__ import annotations

import time
from collections.abc import Iterator

import httpx

from ._errors import AnswerInvalid, Offline

# A page of a pull ends at 4 MiB, or behind one item of eight versions of the largest size.
MAX_ANSWER_BYTES = 64 * 1024 * 1024
# A page over a very slow line; each read has a shorter limit of its own.
MAX_ANSWER_SECONDS = 300.0
UNBOUNDED = "echolia.unbounded"
"""In a request's extensions: its answer is read part by part, however long it is."""


class _Bounded(httpx.SyncByteStream):
    def __init__(self, stream: httpx.SyncByteStream) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        left, end = MAX_ANSWER_BYTES, time.monotonic() + MAX_ANSWER_SECONDS
        for part in self._stream:
            left -= len(part)
            if left < 0:
                raise AnswerInvalid("the server's answer is too long")
            if time.monotonic() > end:
                raise Offline("the server's answer does not come to an end")
            yield part

    def close(self) -> None:
        self._stream.close()


def bound(response: httpx.Response) -> None:
    """A response hook: AnswerInvalid or Offline while reading what is beyond the bounds."""
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise AnswerInvalid("the server's answer is packed, which was not asked for")
    if UNBOUNDED in response.request.extensions:
        return  # whoever reads it keeps none of it and has bounds of its own
    if isinstance(response.stream, httpx.SyncByteStream):
        response.stream = _Bounded(response.stream)
