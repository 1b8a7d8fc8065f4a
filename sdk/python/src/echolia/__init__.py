"""Echolia for Python: a private journal that works offline and syncs as ciphertext.

from echolia import Client

with Client.create("~/.echolia", server="https://journal.example", passphrase="...") as me:
    me.entries.add("Dear diary, today was fine.")
    me.sync()
"""

from typing import TYPE_CHECKING, Any

from ._account import Account, erase_device
from ._client import Client, Invite, Join, LocalStatus
from ._clocks import VectorClock
from ._devices import Device, Overview, RecoveryStatus, SecurityEvent
from ._errors import (
    AlreadySetUp,
    AmbiguousId,
    AnswerInvalid,
    CannotOpen,
    EcholiaError,
    EntitlementRequired,
    ExportDamaged,
    ItemNotFound,
    KeyringError,
    KeysNeeded,
    LinkInvalid,
    MassDelete,
    NotAuthenticated,
    NotSetUp,
    Offline,
    OtherAccount,
    PairingCancelled,
    PairingConflict,
    PairingError,
    PairingExpired,
    PairingForged,
    PayloadInvalid,
    PhraseInvalid,
    QuotaExceeded,
    RateLimited,
    RecoveryDelayed,
    RecoveryError,
    RecoveryForged,
    RecoveryRefused,
    Refused,
    ServerError,
    StoreError,
    WrongCode,
    WrongPassphrase,
)
from ._export import ExportSummary, check_export
from ._follow import Update
from ._home import Options
from ._import import AccountImport
from ._journal import Entries, Entry, Memories, Memory, Tag, Tags
from ._merge import MergePolicy, Sibling, keep_both
from ._phrase import new_phrase
from ._report import HeldBack, SyncReport
from ._sealing import ItemContext, open_envelope, padded_length, seal
from ._session import Session
from ._version import __version__

if TYPE_CHECKING:
    from ._auth import DeviceAuth

__all__ = [
    "Account",
    "AccountImport",
    "AlreadySetUp",
    "AmbiguousId",
    "AnswerInvalid",
    "CannotOpen",
    "Client",
    "Device",
    "DeviceAuth",
    "EcholiaError",
    "EntitlementRequired",
    "Entries",
    "Entry",
    "ExportDamaged",
    "ExportSummary",
    "HeldBack",
    "Invite",
    "ItemContext",
    "ItemNotFound",
    "Join",
    "KeyringError",
    "KeysNeeded",
    "LinkInvalid",
    "LocalStatus",
    "MassDelete",
    "Memories",
    "Memory",
    "MergePolicy",
    "NotAuthenticated",
    "NotSetUp",
    "Offline",
    "Options",
    "OtherAccount",
    "Overview",
    "PairingCancelled",
    "PairingConflict",
    "PairingError",
    "PairingExpired",
    "PairingForged",
    "PayloadInvalid",
    "PhraseInvalid",
    "QuotaExceeded",
    "RateLimited",
    "RecoveryDelayed",
    "RecoveryError",
    "RecoveryForged",
    "RecoveryRefused",
    "RecoveryStatus",
    "Refused",
    "SecurityEvent",
    "ServerError",
    "Session",
    "Sibling",
    "StoreError",
    "SyncReport",
    "Tag",
    "Tags",
    "Update",
    "VectorClock",
    "WrongCode",
    "WrongPassphrase",
    "__version__",
    "check_export",
    "erase_device",
    "keep_both",
    "new_phrase",
    "open_envelope",
    "padded_length",
    "seal",
]


def __getattr__(name: str) -> Any:
    """`DeviceAuth` on first use: it needs the HTTP client, which is slow to import."""
    if name != "DeviceAuth":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from ._auth import DeviceAuth

    return DeviceAuth
