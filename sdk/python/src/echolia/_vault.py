"""The local view of the journal: every edit and every pulled version passes through here.

An item is the set of versions of which none has seen another. Each call leaves the store in a
state from which a killed process can go on.
"""

from __future__ import annotations

import hmac
import time
import uuid
from collections.abc import Callable, Iterator, Sequence

from ._canonical import b64
from ._clocks import VectorClock, merge_clocks
from ._errors import CannotOpen
from ._keyring import Keyring
from ._merge import MergePolicy, Sibling, keep_both, merge, sources
from ._payload import Payload, decode, encode, tombstone
from ._sealing import ItemContext, hkdf, open_envelope, seal
from ._store import Store
from ._versions import ItemKey, Kind, Queued, Stored, Version
from ._view import Applied, View

_MOST_EDITS = 2**52


class Vault:
    """Opens, seals and merges. `now` gives Unix seconds for `edited_at`, nothing more."""

    def __init__(
        self,
        store: Store,
        keyring: Keyring,
        policy: MergePolicy = keep_both,
        now: Callable[[], float] = time.time,
    ) -> None:
        if keyring.user_id is None or keyring.device_id is None:
            raise ValueError("a vault needs a keyring that belongs to an account")
        self.store = store
        self.user_id = keyring.user_id
        self.device_id = keyring.device_id
        self._keys = dict(keyring.key_epochs)
        self._epoch = keyring.newest_epoch
        self._policy = policy
        self._now = now

    @property
    def newest_epoch(self) -> int:
        return self._epoch

    # -- reading

    def open(self, version: Version) -> Sibling:
        """The plaintext behind a row; CannotOpen unless row and envelope agree in everything."""
        if not version.clock.counter(version.device_id):
            raise CannotOpen("clock")
        plaintext = open_envelope(self._keys, self._context(version), version.envelope)
        payload = decode(version.key.collection, plaintext)
        return Sibling(version.clock, version.is_deleted, payload)

    def view(self, key: ItemKey) -> View | None:
        return self._view(key, [one.version for one in self.store.versions_of(key)])

    def views(self, collection: str) -> Iterator[View]:
        for key, stored in self.store.items(collection):
            view = self._view(key, [one.version for one in stored])
            if view is not None:
                yield view

    def _view(self, key: ItemKey, versions: Sequence[Version]) -> View | None:
        if not versions:
            return None
        siblings = tuple(self.open(version) for version in versions)
        return View(key, merge(siblings, self._policy), siblings)

    # -- writing

    def put(self, key: ItemKey, payload: Payload, *, seen: Sequence[Sibling]) -> Version:
        """The item holds `payload`, sealed and queued, in place of the versions in `seen`.

        What arrived while the edit was being written is merged in, so that nothing is replaced
        that the writer had not before them.
        """
        own = {name: value for name, value in payload.items() if name != "merged"}
        return self._replace(key, Sibling(VectorClock(), False, own), seen)

    def delete(self, key: ItemKey, *, seen: Sequence[Sibling]) -> Version:
        """A tombstone in place of the versions in `seen`; an edit not among them outlives it."""
        payload = tombstone(key.collection, int(self._now()))
        return self._replace(key, Sibling(VectorClock(), True, payload), seen)

    def _replace(self, key: ItemKey, content: Sibling, seen: Sequence[Sibling]) -> Version:
        with self.store.transaction():
            view = self.view(key)
            unseen = [] if view is None else view.unseen_by(seen)
            return self._write(key, merge([content, *unseen], self._policy), Kind.EDIT)

    def reseal(self, view: View) -> None:
        """An item of another account's view of this store, as an edit of this account's own."""
        with self.store.transaction():
            for queued in self.store.queued_of(view.key):
                self.store.dequeue(queued.position)
            for one in self.store.versions_of(view.key):
                self.store.drop(one.version)
            self._write(view.key, view.content, Kind.EDIT)

    def merge_siblings(self, key: ItemKey) -> None:
        """One version with what the siblings hold, marked as made by a machine."""
        with self.store.transaction():
            view = self.view(key)
            if view is None or len(view.siblings) < 2:
                return
            merged = sorted(sources(view.siblings), key=VectorClock.encode)
            clocks = [clock.as_dict() for clock in merged]
            payload = {**view.content.payload, "merged": clocks}
            content = Sibling(view.content.clock, view.is_deleted, payload)
            self._write(key, content, Kind.MERGE)

    def make_anew(self, key: ItemKey, *, within_held: bool = False) -> None:
        """What is queued for the item becomes one new edit that keeps all texts in sight.

        For the answers that say "not with this clock". `within_held` leaves out counters that
        the server does not know.
        """
        with self.store.transaction():
            queued = [one.version for one in self.store.queued_of(key)]
            stored = [one.version for one in self.store.versions_of(key)]
            self._collapse(key, [*stored, *queued[-1:]], within_held=within_held)

    def _collapse(
        self, key: ItemKey, versions: Sequence[Version], *, within_held: bool = False
    ) -> None:
        unique = {(one.clock, one.digest): one for one in versions}
        view = self._view(key, list(unique.values()))
        if view is None:
            return
        for queued in self.store.queued_of(key):
            self.store.dequeue(queued.position)
        held = [one.version.clock for one in self.store.versions_of(key) if one.held]
        base = merge_clocks(held if within_held else [one.clock for one in unique.values()])
        self._write(key, view.content, Kind.EDIT, base=base)

    def _write(
        self, key: ItemKey, content: Sibling, kind: Kind, base: VectorClock | None = None
    ) -> Version:
        with self.store.transaction():
            seen = [one.version for one in self.store.versions_of(key)]
            queued = self.store.queued_of(key)
            unsent = queued[-1] if queued and _replaceable(queued[-1]) else None
            counter = self._next_counter(key, seen, queued, unsent)
            known = base if base is not None else merge_clocks(one.clock for one in seen)
            clock = known.with_counter(self.device_id, counter)
            version = self._sealed(key, clock, content)
            if unsent is not None:
                self.store.dequeue(unsent.position)
            for one in seen:
                self.store.drop(one)
            self.store.keep(version, held=False)
            self.store.enqueue(version, kind)
            self.store.note_issued(key, counter)
            self.store.forget_merge(key)
            return version

    def _next_counter(
        self, key: ItemKey, seen: Sequence[Version], queued: Sequence[Queued], unsent: Queued | None
    ) -> int:
        """Above every own counter known, or that of the never-sent edit being replaced.

        Keeping the counter there leaves no gap. A store that was copied or put back from a
        backup therefore meets its twin's counter at the server, which says so (`clock_reuse`),
        instead of silently passing it by.
        """
        kept = unsent.version.clock.counter(self.device_id) if unsent else 0
        others = [
            *(one for one in seen if unsent is None or one.clock != unsent.version.clock),
            *(one.version for one in queued if one is not unsent),
            *self.store.aside_of(key),
        ]
        counters = (one.clock.counter(self.device_id) for one in others)
        # No device writes that often. The clock of a version that does not open may be made up,
        # and following one to the end of all counters would leave none for the next edit.
        highest = max((count for count in counters if count < _MOST_EDITS), default=0)
        issued = self.store.issued(key)
        if kept > highest and kept == issued:
            return kept
        return max(highest, issued) + 1

    def _sealed(self, key: ItemKey, clock: VectorClock, content: Sibling) -> Version:
        draft = Version(key, self.device_id, clock, self._epoch, content.is_deleted, b"")
        plaintext = encode(content.payload)
        envelope = seal(self._keys[self._epoch], self._context(draft), plaintext)
        return Version(key, self.device_id, clock, self._epoch, content.is_deleted, envelope)

    # -- taking in what the server sends

    def apply(self, key: ItemKey, versions: Sequence[Version], applied: Applied) -> None:
        """Each version is in the view, or older than what is there, or set aside."""
        with self.store.transaction():
            for version in versions:
                self._apply_one(key, version, applied)

    def _apply_one(self, key: ItemKey, version: Version, applied: Applied) -> None:
        stored = self.store.versions_of(key)
        if any(one.version == version for one in stored):
            self.store.keep(version, held=True)  # our own, most of the time, on its way back
            return
        try:
            self.open(version)
        except CannotOpen as error:
            self.store.set_aside(version, error.reason)
            applied.unopenable += 1
            return
        queued = self.store.queued_of(key)
        stranger = self._is_from_twin(key, version, queued)
        self.store.note_issued(key, version.clock.counter(self.device_id))
        if stranger and queued:
            self.store.keep(version, held=True)
            seen = [one.version for one in stored]
            self._collapse(key, [*seen, queued[-1].version, version])
            applied.collapsed.append(key)
            return
        self._take(version, stored, applied)

    def _is_from_twin(self, key: ItemKey, version: Version, queued: Sequence[Queued]) -> bool:
        """Whether a copy of this very store wrote it: our name, a counter we never gave.

        A clock that covers a queued edit would make that edit look seen and answered; from
        a twin it means no such thing.
        """
        if version.clock.counter(self.device_id) > self.store.issued(key):
            return True
        return any(
            (one.version.clock == version.clock and one.version.envelope != version.envelope)
            or (one.blocked == "clock_reuse" and version.clock.covers(one.version.clock))
            for one in queued
        )

    def _take(self, version: Version, stored: Sequence[Stored], applied: Applied) -> None:
        for one in stored:
            if one.version.clock.dominates(version.clock):
                applied.older += 1
                return
            if version.clock.dominates(one.version.clock):
                self.store.drop(one.version)
        applied.new += 1
        self.store.keep(version, held=True)
        for aside in self.store.aside_of(version.key):
            if version.clock.dominates(aside.clock):
                self.store.take_back(aside)

    def put_back(self, version: Version) -> bool:
        """A version of this account from a copy kept elsewhere is in the view and queued as it was,
        unless what is here knows it already. CannotOpen if it is not genuine."""
        with self.store.transaction():
            stored = [one.version for one in self.store.versions_of(version.key)]
            if any(one.clock.covers(version.clock) for one in stored):
                return False
            self.open(version)
            for one in stored:
                if version.clock.dominates(one.clock):
                    self.store.drop(one)
            self.store.note_issued(version.key, version.clock.counter(self.device_id))
            self.store.keep(version, held=False)
            self.store.enqueue(version, Kind.ABSENT)
            return True

    def acknowledge(self, queued: Queued) -> None:
        """The server holds it: out of the outbox, and surely in the view."""
        with self.store.transaction():
            self.store.dequeue(queued.position)
            version = queued.version
            self._take(version, self.store.versions_of(version.key), Applied())

    def retry_aside(self) -> int:
        """Versions that open by now move into the view; how many do not."""
        still = 0
        for version, _ in self.store.aside():
            try:
                self.open(version)
            except CannotOpen:
                still += 1
                continue
            with self.store.transaction():
                self.store.take_back(version)
                self._apply_one(version.key, version, Applied())
        return still

    # -- values that only devices of this account can compute

    def derive(self, purpose: bytes, data: bytes) -> bytes:
        """16 bytes that every device computes alike and the server cannot guess from `data`."""
        oldest = self._keys[min(self._keys)]
        key = hkdf(oldest, b"", b"echolia/v1/" + purpose, 32)
        return hmac.digest(key, data, "sha256")[:16]

    def derived_id(self, purpose: bytes, data: bytes) -> str:
        """An item id of the usual form (UUIDv4) that follows from `data`."""
        return str(uuid.UUID(bytes=self.derive(purpose, data), version=4))

    # -- names of devices

    def seal_name(self, name: str) -> str:
        """`name` for the server's device list, as text that says nothing to the server."""
        context = self._name_context(self.device_id, self._epoch)
        return b64(seal(self._keys[self._epoch], context, name.encode()))

    def open_name(self, device_id: str, sealed: bytes) -> str:
        epoch = int.from_bytes(sealed[5:9], "big")
        name = open_envelope(self._keys, self._name_context(device_id, epoch), sealed)
        return name.decode("utf-8", "replace")

    def _name_context(self, device_id: str, epoch: int) -> ItemContext:
        return ItemContext(
            self.user_id, "device_names", device_id, device_id, VectorClock(), False, epoch
        )

    def _context(self, version: Version) -> ItemContext:
        return ItemContext(
            user_id=self.user_id,
            collection=version.key.collection,
            item_id=version.key.item_id,
            device_id=version.device_id,
            clock=version.clock,
            is_deleted=version.is_deleted,
            key_epoch=version.key_epoch,
        )


def _replaceable(queued: Queued) -> bool:
    """Never sent, or answered as not stored: nobody else can hold these bytes."""
    return not queued.sent and queued.kind in (Kind.EDIT, Kind.MERGE)
