"""What the library wants of the server, as values; who carries them is another's business.

An `Exchange` is a generator of `Call`s that receives `Answer`s. It knows nothing of waiting,
so one text serves a driver that blocks (`_driver.py`) and one that awaits.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeVar

from ._answers import Answer

T = TypeVar("T")


class Proof(Enum):
    """Who speaks: the device with its session, the bare key, or nobody in particular."""

    DEVICE = "device"
    KEY = "key"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Call:
    """A request. What is bytes in the protocol is bytes in `body`, whatever form carries it."""

    method: str
    path: str
    body: Mapping[str, Any] | None = None
    params: Mapping[str, str | int] | None = None
    proof: Proof = Proof.DEVICE


Exchange = Generator[Call, Answer, T]
