"""Whatever the order of edits, syncs, losses and crashes, nobody loses a word."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from echolia import Offline, VectorClock, keep_both
from echolia._calls import Call
from echolia._clocks import merge_clocks
from echolia._keyring import Keyring
from echolia._merge import Sibling, merge, significant
from echolia._payload import Payload

from .conftest import Desk, Desks
from .fake_server import Fault

FAULTS = ("", "", "", "before", "after", "twice", "crash")
ACTIONS = ("edit", "edit", "sync", "sync", "add", "delete")

Step = tuple[int, str, str, int]
steps = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.sampled_from(ACTIONS),
        st.sampled_from(FAULTS),
        st.integers(0, 3),
    ),
    min_size=1,
    max_size=25,
)


class Story:
    """Devices at work; remembers every word that must still be somewhere at the end.

    An edit appends to what the writer sees, as people do. A deletion takes from the promise
    only the words that the deleting device could see.
    """

    def __init__(self, desks: Desks, machine_wait: tuple[float, float] | None) -> None:
        self.desks = desks
        self.people = [desks.add() for _ in range(3)]
        for desk in self.people:
            desk.merge_wait = machine_wait
        self.ids: list[str] = []
        self.promised: dict[str, set[str]] = {}
        self.words = 0

    def word(self) -> str:
        self.words += 1
        return f"<{self.words}>"

    def play(self, who: int, action: str, fault: str, at: int) -> None:
        desk = self.people[who]
        if action == "sync":
            self.sync(desk, fault, at)
        elif action == "add" or not self.ids:
            word = self.word()
            entry = desk.entries.add(word)
            self.ids.append(entry.id)
            self.promised[entry.id] = {word}
        else:
            self.change(desk, action, self.ids[at % len(self.ids)])

    def change(self, desk: Desk, action: str, item_id: str) -> None:
        seen = {entry.id: entry for entry in desk.entries.list()}.get(item_id)
        if seen is None:
            return
        if action == "delete":
            desk.entries.delete(item_id)
            self.promised[item_id] -= {word for word in self.promised[item_id] if word in seen.text}
            return
        word = self.word()
        desk.entries.edit(seen, seen.text + word)
        self.promised[item_id].add(word)

    def sync(self, desk: Desk, fault: str, at: int) -> None:
        def strike(number: int, call: Call) -> str:
            if number != at:
                return ""
            return "after" if fault == "crash" else fault

        injected: Fault | None = strike if fault else None
        try:
            desk.sync(injected)
        except Offline:
            if fault == "crash":
                desk.crash()

    def end(self) -> None:
        self.desks.settle()
        self.desks.settle()
        shown = [{entry.id: entry.text for entry in desk.entries.list()} for desk in self.people]
        assert shown[0] == shown[1] == shown[2]
        for item_id, words in self.promised.items():
            text = shown[0].get(item_id, "")
            assert words <= {word for word in words if word in text}
        assert all(desk.store.count_queued() == 0 for desk in self.people)


def play(keyring: Keyring, story: list[Step], eager: bool) -> None:
    memory = Path("/dev/shm")  # where there is one, hundreds of stores need no disk
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        desks = Desks(Path(folder), keyring)
        played = Story(desks, (0, 0) if eager else None)
        for who, action, fault, at in story:
            played.play(who, action, fault, at)
        played.end()
        desks.close()


quick = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
thorough = settings(quick, max_examples=2000)


@quick
@given(story=steps, eager=st.booleans())
def test_all_devices_end_alike_and_no_word_is_lost(
    keyring: Keyring, story: list[Step], eager: bool
) -> None:
    play(keyring, story, eager)


@pytest.mark.soak
@thorough
@given(story=steps, eager=st.booleans())
def test_all_devices_end_alike_after_thousands_of_stories(
    keyring: Keyring, story: list[Step], eager: bool
) -> None:
    play(keyring, story, eager)


@given(
    texts=st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=5),
    order=st.randoms(use_true_random=False),
)
def test_the_default_policy_is_blind_to_the_order_of_siblings(
    texts: list[str], order: object
) -> None:
    siblings = [_sibling(number, text) for number, text in enumerate(texts)]
    expected = merge(siblings, keep_both).payload
    order.shuffle(siblings)  # type: ignore[attr-defined]
    assert merge(siblings, keep_both).payload == expected


@given(texts=st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=5))
def test_the_default_policy_keeps_every_text(texts: list[str]) -> None:
    merged = merge([_sibling(n, text) for n, text in enumerate(texts)], keep_both)
    assert all(text in merged.payload["text"] for text in texts)


def test_a_merge_of_less_yields_to_a_merge_of_more() -> None:
    one, two, three = (_sibling(n, f"t{n}") for n in (1, 2, 3))
    small = _merged(0, [one, two])
    large = _merged(5, [one, two, three])
    assert significant([small, large]) == [large]
    assert significant([large, small]) == [large]


def _sibling(number: int, text: str, extra: Payload | None = None) -> Sibling:
    device = f"{number:08x}-0000-4000-8000-000000000000"
    payload = {"v": 1, "kind": "entry", "text": text, "edited_at": number % 2, **(extra or {})}
    return Sibling(VectorClock.of({device: 1}), False, payload)


def _merged(number: int, siblings: list[Sibling]) -> Sibling:
    device = f"{number:08x}-0000-4000-8000-000000000000"
    clock = merge_clocks(one.clock for one in siblings).with_counter(device, 1)
    payload = {
        **merge(siblings, keep_both).payload,
        "merged": [one.clock.as_dict() for one in siblings],
    }
    return Sibling(VectorClock.of(clock.as_dict()), False, payload)
