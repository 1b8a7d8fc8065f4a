"""Who is in the account, what happened there, and the way back by words."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ._devices import Device, Overview, SecurityEvent, overview, revoke_device
from ._errors import Refused
from ._keyring import Keyring, KeyringFile
from ._phrase import entropy_of, new_phrase
from ._recovery import KeptRecovery, RecoveryKeys
from ._recovery_flow import cancel_recovery, put_recovery, remove_recovery
from ._store import Store
from ._vault import Vault

if TYPE_CHECKING:
    from ._driver import Driver

_IN_BUNDLE = "epochs in bundle"
_EVENTS_SEEN = "events seen"


class SafetyCalls:
    """The part of a client that is about its account's devices and its recovery phrase."""

    vault: Vault
    _file: KeyringFile
    _keyring: Keyring
    _store: Store

    if TYPE_CHECKING:

        @property
        def _driver(self) -> Driver: ...

    def devices(self) -> list[Device]:
        return self.overview().devices

    def security_events(self) -> list[SecurityEvent]:
        """What happened to the account's devices lately, oldest first."""
        return self.overview().events

    def overview(self) -> Overview:
        """Devices, security events and the recovery phrase's state, in one call."""
        return self._driver.run(overview(self.vault))

    def unseen(self, events: Sequence[SecurityEvent]) -> list[SecurityEvent]:
        """Those that this device has not asked for yet; from now on it has."""
        stored = json.loads(self._store.meta(_EVENTS_SEEN) or b"[]")
        seen = {SecurityEvent(*each) for each in stored}
        kept = [[event.kind, event.at, event.device_id] for event in events]
        self._store.set_meta(_EVENTS_SEEN, json.dumps(kept).encode())
        return [event for event in events if event not in seen]

    def revoke(self, device_id: str) -> None:
        """The device is locked out from now on. What it has already read it keeps."""
        self._driver.run(revoke_device(device_id))

    def create_recovery(self, words: int = 24, *, delay_seconds: int = 0) -> str:
        """A new recovery phrase of 12 or 24 words, the account's only one. If this raises, it is
        not known which phrase is in force: call it again.

        `delay_seconds` (at most a week) is how long other devices may object before it opens.
        """
        phrase = new_phrase(words)
        self.set_recovery(phrase, delay_seconds=delay_seconds)
        return phrase

    def set_recovery(self, phrase: str, *, delay_seconds: int = 0) -> None:
        """As `create_recovery`, with a phrase that the user has already written down."""
        kept = RecoveryKeys.of(entropy_of(phrase)).kept()
        self._driver.run(put_recovery(self._keyring, kept, delay_seconds=delay_seconds))
        self._store.set_meta(_IN_BUNDLE, self._epochs)
        self._save(replace(self._keyring, recovery=kept.to_json()))

    def remove_recovery(self) -> None:
        """No phrase opens the account any more."""
        self._driver.run(remove_recovery())
        self._save(replace(self._keyring, recovery=None))

    def cancel_recovery(self) -> None:
        """Whoever waits to come in by the phrase has to begin anew. To shut them out, make a new
        phrase or remove it."""
        self._driver.run(cancel_recovery())

    def renew_bundle(self) -> None:
        """The phrase opens the vault keys of today, if this device made it or came in by it; `sync`
        sees to that."""
        if self._keyring.recovery is None or self._store.meta(_IN_BUNDLE) == self._epochs:
            return
        kept = KeptRecovery.from_json(self._keyring.recovery)
        try:
            self._driver.run(put_recovery(self._keyring, kept, delay_seconds=None, only_renew=True))
        except Refused as refusal:
            if refusal.code != "recovery_replaced":
                raise
            self._save(replace(self._keyring, recovery=None))
        self._store.set_meta(_IN_BUNDLE, self._epochs)

    @property
    def _epochs(self) -> bytes:
        return ",".join(map(str, sorted(self._keyring.key_epochs))).encode()

    def _save(self, keyring: Keyring) -> None:
        self._file.save(keyring)
        self._keyring = keyring
