"""The world that a story happens in, and what must hold in it."""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from itertools import count
from pathlib import Path

from echolia import Entry, ItemNotFound, Offline
from echolia._report import SyncReport
from echolia._versions import Version
from tests.kit.sync import Key, Tables, tables_of
from tests.model.device import SHARED, Device
from tests.model.link import Link
from tests.model.server import START, Server
from tests.model.story import DAY, Step, Story
from tests.model.truth import Digest, Truth

_WORD = re.compile(r"<[^<>]*>")
_MOST_ROUNDS = 12


@dataclass(frozen=True)
class Seen:
    """An item in sight of somebody who is about to change it."""

    id: str
    words: frozenset[str]


class World:
    """A server, a few devices, and the truth about them."""

    def __init__(self, server: Server, homes: Path, story: Story) -> None:
        self.server = server
        self.story = story
        self.trace: list[str] = []
        self.truth = Truth()
        self.link = Link(server, self.trace.append)
        self.texts: dict[str, str] = {}
        """What every device shows in the end."""
        self._numbers = count(1)
        self._ids: list[str] = []
        self._is_rewound = False
        self.devices = [self._device(homes / str(number)) for number in range(story.devices)]
        self._begin()

    def _device(self, home: Path) -> Device:
        def on_kept(version: Version) -> None:
            key = (version.key.collection, version.key.item_id)
            author = version.device_id
            self.truth.see(made.id, key, author, version.is_deleted, version.envelope)

        made = Device(home, self.link, self.server.clock, on_kept)
        return made

    def _begin(self) -> None:
        """What all devices hold from before is part of the truth; the first one wrote it."""
        for device in self.devices:
            ((key, (one,)),) = device.view().items()
            self.truth.see(device.id, key, one.device_id, one.is_deleted, one.envelope)
            self._ids = [key[1]]
        self.truth.add_word(("entries", self._ids[0]), SHARED)

    def close(self) -> None:
        for device in self.devices:
            device.client.close()
        self.server.stop()

    @property
    def digest(self) -> str:
        """The same for stories that went the same way."""
        return sha256("\n".join(self.trace).encode()).hexdigest()

    # -- what happens

    def play(self) -> None:
        for number, step in enumerate(self.story.steps):
            self.trace.append(f"-- {number} {step}")
            self.link.step(number)
            self._happen(step)
            self.server.clock.advance(seconds=1)
        self.link.step(len(self.story.steps) + 1000)
        self._quieten()
        self._check()

    def _happen(self, step: Step) -> None:
        device = self.devices[step.who % len(self.devices)]
        happens: Mapping[str, Callable[[Step, Device], None]] = {
            "add": self._add,
            "append": self._append,
            "rewrite": self._rewrite,
            "delete": self._delete,
            "open": self._open,
            "save": self._save,
            "sync": self._sync,
            "reopen": lambda _, device: device.die(),
            "kill": lambda *_: self._kill(),
            "stop": lambda *_: self._restart(),
            "backup": lambda *_: self.server.save(),
            "put back": lambda step, _: self._put_back(step),
            "days": lambda step, _: self.server.clock.advance(seconds=step.amount),
            "hours": lambda step, _: self.server.clock.advance(seconds=step.amount),
            "device clock": self._set_clock,
            "season": lambda step, _: self._season(step),
        }
        happens[step.what](step, device)

    def _set_clock(self, step: Step, device: Device) -> None:
        device.ahead += step.amount

    def _add(self, step: Step, device: Device) -> None:
        word = self._word()
        before = set(device.texts())
        device.lives(lambda: _ignore(device.client.entries.add(word)), step.dies)
        for item_id in device.texts():
            if item_id not in before:
                self._ids.append(item_id)
                self.truth.add_word(("entries", item_id), word)

    def _append(self, step: Step, device: Device) -> None:
        if (seen := self._seen(step, device)) is not None:
            entry = device.client.entries.get(seen.id)
            self._write(step, device, seen.id, entry.text, frozenset())

    def _rewrite(self, step: Step, device: Device) -> None:
        if (seen := self._seen(step, device)) is not None:
            self._write(step, device, seen.id, "", seen.words)

    def _write(
        self, step: Step, device: Device, item_id: str, text: str, removed: frozenset[str]
    ) -> None:
        key, word = ("entries", item_id), self._word()
        self.truth.remove_words(key, removed)
        device.lives(lambda: _ignore(device.client.entries.edit(item_id, text + word)), step.dies)
        if word in device.texts().get(item_id, ""):
            self.truth.add_word(key, word)

    def _delete(self, step: Step, device: Device) -> None:
        if (seen := self._seen(step, device)) is not None:
            self.truth.remove_words(("entries", seen.id), seen.words)
            device.lives(lambda: device.client.entries.delete(seen.id), step.dies)

    def _open(self, step: Step, device: Device) -> None:
        """Somebody begins to write on what they see now, and saves it later."""
        if (seen := self._seen(step, device)) is not None:
            device.opened = device.client.entries.get(seen.id)

    def _save(self, step: Step, device: Device) -> None:
        """Whoever began to write is done now: the one that the story means, or another."""
        for each in (device, *self.devices):
            if each.opened is not None:
                self._save_opened(step, each, each.opened)
                return

    def _save_opened(self, step: Step, device: Device, opened: Entry) -> None:
        device.opened = None
        key, word = ("entries", opened.id), self._word()
        if step.at == 0:
            self.truth.remove_words(key, _words(opened.text))
        text = word if step.at == 0 else opened.text + word

        def save() -> None:
            with _as_it_may_be_deleted():
                device.client.entries.edit(opened, text)

        device.lives(save, step.dies)
        if word in device.texts().get(opened.id, ""):
            self.truth.add_word(key, word)

    def _sync(self, step: Step, device: Device) -> None:
        self.link.expect(step.fates)
        compares = step.at == 0
        device.lives(lambda: self._try_to_sync(device, verify=compares), step.dies)
        self.link.expect(())

    def _try_to_sync(self, device: Device, *, verify: bool = False) -> None:
        try:
            report = device.sync(is_eager=self.story.is_eager, verify=verify)
        except Offline:
            self.trace.append("offline")
        else:
            self.trace.append(_told(report))

    def _season(self, step: Step) -> None:
        """Long enough to forget deletions: everybody comes before it and after it, but for one who
        stays away, if the story says so. Each time the chores come round."""
        for seconds in (DAY, step.amount):
            self.server.clock.advance(seconds=seconds)
            for number, device in enumerate(self.devices):
                if number != step.at:
                    self._try_to_sync(device)
            self.server.do_chores()

    def _kill(self) -> None:
        self.server.kill()
        self._check_kept()

    def _restart(self) -> None:
        self.server.stop()
        self.server.start()
        self._check_kept()

    def _put_back(self, step: Step) -> None:
        what = (("user",), ("master",), ("user", "master"), ("user",))[step.at]
        if self.server.put_back(user="user" in what, master="master" in what) and "user" in what:
            self.link.forget()
            self._is_rewound = True

    def _word(self) -> str:
        return f"<{next(self._numbers)}>"

    def _seen(self, step: Step, device: Device) -> Seen | None:
        """The item that the step is about, if the device shows it."""
        if not self._ids:
            return None
        item_id = self._ids[step.at % len(self._ids)]
        text = device.texts().get(item_id)
        return None if text is None else Seen(item_id, _words(text))

    # -- quiet

    def _quieten(self) -> None:
        """Everything arrives from now on, and everybody syncs until nothing is new."""
        self.trace.append("-- quiet")
        for device in self.devices:
            device.ahead = 0.0
        self._settle()
        if self._is_rewound:  # the next day, devices compare the whole
            for device in self.devices:
                self.trace.append(_told(device.sync(verify=True)))
            self._settle()

    def _settle(self) -> None:
        """Whoever has not synced since anything was new syncs, until nobody is left."""
        places: dict[Device, object] = {}
        for _ in range(_MOST_ROUNDS * len(self.devices)):
            place = self.server.position()
            behind = [each for each in self.devices if places.get(each) != place]
            if not behind:
                return
            report = behind[0].sync()
            self.trace.append(_told(report))
            if report.complete:
                places[behind[0]] = self.server.position()
        raise AssertionError("the devices never come to rest")

    # -- what must hold

    def tables(self) -> Tables:
        found = tables_of(self.server.data, self.devices[0].client.vault.user_id)
        found.check()
        return found

    def _check_kept(self) -> None:
        """After a kill, everything acknowledged is there."""
        tables = self.tables()
        stored = {key: [each.vector_clock for each in held] for key, held in tables.items.items()}
        self.link.check_kept(stored, self._may_be_purged)

    def _may_be_purged(self, key: Key) -> bool:
        return any(each.key == key and each.is_deleted for each in self.truth.written.values())

    def _check(self) -> None:
        """All devices and the server hold the same, and it is what was written."""
        views = [_digests(device.view()) for device in self.devices]
        stored = {key: {each.digest for each in held} for key, held in self.tables().items.items()}
        self._check_newest(stored)
        for view in views:
            assert self._without_dead(view) == self._without_dead(stored), "a device differs"
        texts = [device.texts() for device in self.devices]
        assert all(each == texts[0] for each in texts), "devices show different texts"
        self._check_words(texts[0])
        self.texts = texts[0]
        self.trace.extend(f"{item_id} {text}" for item_id, text in sorted(self.texts.items()))

    def _check_newest(self, stored: Mapping[Key, set[Digest]]) -> None:
        newest = self.truth.newest()
        for key, expected in newest.items():
            found = stored.get(key, set())
            assert found <= expected, f"what was replaced or deleted came back: {key}"
            lost = {each for each in expected - found if not self.truth.written[each].is_deleted}
            assert not lost, f"a version that nobody replaced is gone: {key}"
            is_purged = not found and self.truth.is_dead(expected)
            assert expected == found or is_purged or self._lacks_old_deletions(expected, found)
        assert stored.keys() <= newest.keys()

    def _lacks_old_deletions(self, expected: set[Digest], found: set[Digest]) -> bool:
        return self.truth.is_dead(expected - found) and self.server.clock() - START > 90 * DAY

    def _check_words(self, texts: Mapping[str, str]) -> None:
        for item_id in self._ids:
            shown = _words(texts.get(item_id, ""))
            lost = self.truth.promised(("entries", item_id)) - shown
            assert not lost, f"words are gone: {sorted(lost)}"

    def _without_dead(self, held: Mapping[Key, set[Digest]]) -> dict[Key, set[Digest]]:
        """Deletions alone may be forgotten by one before another."""
        return {key: found for key, found in held.items() if not self.truth.is_dead(found)}


def _digests(view: Mapping[Key, list[Version]]) -> dict[Key, set[Digest]]:
    return {
        key: {sha256(each.envelope).digest() for each in versions} for key, versions in view.items()
    }


def _words(text: str) -> frozenset[str]:
    return frozenset(_WORD.findall(text))


def _told(report: SyncReport) -> str:
    return (
        f"synced: pushed {report.pushed}, pulled {report.pulled}, merged {report.merged},"
        f" dropped {report.dropped}, mended {report.mended}, pending {report.pending},"
        f" reset {report.reset}"
    )


def _ignore(_value: object) -> None:
    """What was done is looked at later."""


@contextmanager
def _as_it_may_be_deleted() -> Iterator[None]:
    """Nothing is saved into an item that is gone by now."""
    try:
        yield
    except ItemNotFound:
        return
