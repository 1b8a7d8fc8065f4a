"""Everything this library raises on purpose.

EcholiaError
├── KeyringError            the file with this device's keys
│   ├── NotSetUp
│   ├── AlreadySetUp
│   ├── WrongPassphrase
│   └── KeysNeeded
├── StoreError              the local store
├── CannotOpen              a sealed item; one error, whatever the cause
├── PayloadInvalid          a plaintext that no device should write
├── ExportDamaged           an account export that is cut off or was changed
├── ItemNotFound
│   └── AmbiguousId
├── PairingError
│   ├── LinkInvalid
│   ├── WrongCode
│   ├── PairingForged       somebody between the two devices changed something
│   ├── PairingConflict
│   ├── PairingCancelled
│   └── PairingExpired
├── RecoveryError
│   ├── PhraseInvalid       the words are not a recovery phrase
│   ├── RecoveryRefused     the phrase opens nothing on this server
│   ├── RecoveryDelayed     other devices may still object
│   └── RecoveryForged      what came was not sealed by this phrase
└── ServerError
    ├── Offline             no answer came
    ├── AnswerInvalid       an answer came that breaks the protocol
    │   └── OtherAccount
    └── Refused             the server said no, with a code
        ├── NotAuthenticated
        ├── EntitlementRequired
        ├── QuotaExceeded
        ├── MassDelete
        └── RateLimited
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class EcholiaError(Exception):
    """The root: catching it catches everything this library raises on purpose."""


class KeyringError(EcholiaError):
    """The keyring file is missing, damaged or closed to us."""


class NotSetUp(KeyringError):
    """This home folder belongs to no account yet."""


class AlreadySetUp(KeyringError):
    """This home folder already belongs to an account."""


class WrongPassphrase(KeyringError):
    """The passphrase does not open the keyring."""


class KeysNeeded(KeyringError):
    """The export is of another account, whose keys are not at hand."""


class StoreError(EcholiaError):
    """The local store cannot be used."""


class CannotOpen(EcholiaError):
    """A sealed item cannot be opened.

    `reason` is for the person at this device. It must never travel: a server that learns
    which check failed has an oracle.
    """

    def __init__(self, reason: str) -> None:
        super().__init__("the sealed item cannot be opened")
        self.reason = reason


class PayloadInvalid(EcholiaError):
    """The plaintext breaks the rules of spec/journal.md."""


class ExportDamaged(EcholiaError):
    """The account export is cut off, was changed, or is none. Nothing was taken from it."""


class ItemNotFound(EcholiaError):
    """No item has this id."""


class AmbiguousId(ItemNotFound):
    """More than one item begins with this short id."""


class PairingError(EcholiaError):
    """The two devices did not come together."""


class LinkInvalid(PairingError):
    """The text is not a pairing link, or was cut off."""


class WrongCode(PairingError):
    """The typed code is not the one the new device shows."""

    def __init__(self, tries_left: int) -> None:
        super().__init__(f"that is not the code the new device shows ({tries_left} tries left)")
        self.tries_left = tries_left


class PairingForged(PairingError):
    """A MAC, signature or fingerprint does not fit: do not go on with this pairing."""


class PairingConflict(PairingError):
    """Two devices answered the same invitation; a new one is needed."""


class PairingCancelled(PairingError):
    """The pairing was cancelled."""


class PairingExpired(PairingError):
    """The invitation is older than it may be."""


class RecoveryError(EcholiaError):
    """The way back by a recovery phrase did not work."""


class PhraseInvalid(RecoveryError):
    """These words are no recovery phrase; `position` counts from 1, None if it is no one word's
    fault."""

    def __init__(self, sentence: str, position: int | None = None) -> None:
        super().__init__(sentence)
        self.position = position


class RecoveryRefused(RecoveryError):
    """The server knows no such phrase: another server, or a phrase that was replaced."""


class RecoveryDelayed(RecoveryError):
    """The account's other devices were told and may object until `available_at` (Unix seconds)."""

    def __init__(self, available_at: int) -> None:
        super().__init__("the account's other devices have been told, and may still object")
        self.available_at = available_at


class RecoveryForged(RecoveryError):
    """What the server gave was not sealed by this phrase: do not trust it."""


class ServerError(EcholiaError):
    """The server did not do what it was asked."""


class Offline(ServerError):
    """No answer came. What was to be sent is still in the outbox."""


class AnswerInvalid(ServerError):
    """The server's answer breaks the protocol."""


class OtherAccount(AnswerInvalid):
    """The server answers for another account than this device's."""


class Refused(ServerError):
    """The server refused: `status`, the stable word `code`, and typed `extras`."""

    def __init__(
        self, status: int, code: str, detail: str = "", extras: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(f"the server refused: {code}" + (f" ({detail})" if detail else ""))
        self.status = status
        self.code = code
        self.detail = detail
        self.extras = dict(extras or {})

    def _whole(self, name: str) -> int:
        value = self.extras.get(name)
        return value if type(value) is int else 0


class NotAuthenticated(Refused):
    """Neither token nor key was accepted: this device may have been revoked."""


class EntitlementRequired(Refused):
    """The account may read but not write until it is paid for."""


class QuotaExceeded(Refused):
    """The account's storage is full: `used` and `limit`, in bytes or, if the code says so, in
    versions."""

    @property
    def used(self) -> int:
        return self._whole("used")

    @property
    def limit(self) -> int:
        return self._whole("limit")


class MassDelete(Refused):
    """The push would delete most items: `deletes` out of `live`, not yet confirmed."""

    @property
    def deletes(self) -> int:
        return self._whole("deletes")

    @property
    def live(self) -> int:
        return self._whole("live")


class RateLimited(Refused):
    """Too many requests; `retry_after` in seconds."""

    @property
    def retry_after(self) -> float:
        return float(self.extras.get("retry_after", 1.0))
