"""What the devices of an account are told of each other, and how long it is kept."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

SecurityKind: TypeAlias = Literal[
    "device_added",
    "device_revoked",
    "recovery_set",
    "recovery_started",
    "recovery_used",
    "recovery_removed",
    "session_reuse",
]

KEPT_EVENTS = 100
KEPT_SECONDS = 365 * 86400


@dataclass(frozen=True, slots=True)
class SecurityEvent:
    """Something that happened to an account, in Unix seconds; `device_id` is whose deed it was, or
    None while the device that did it is none of the account's yet."""

    kind: SecurityKind
    at: int
    device_id: str | None
