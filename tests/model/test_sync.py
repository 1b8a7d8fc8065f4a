"""Whatever happens to devices, link and server, nothing that was written is lost, nothing that was
deleted comes back, and in the end all hold the same.

Each sequence has a seed. `ECHOLIA_MODEL_SEED` names one to play alone: it goes exactly as it went.
"""

import os
import random
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.sync import plan, service
from echolia._pull import Pull
from echolia._view import View
from tests.model.server import Server
from tests.model.story import DAY, Step, Story, shortened, story_of
from tests.model.world import World
from tests.model.worlds import Worlds

VARIABLE = "ECHOLIA_MODEL_SEED"
SEQUENCES = 500
SOAK_SEQUENCES = 10_000
TOLD_EVERY = 250
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def worlds() -> Iterator[Worlds]:
    with Worlds() as made:
        yield made


def played(worlds: Worlds, seed: int) -> World:
    """The sequence of that seed. One that fails is shown as short as it can be, and how to have it
    again."""
    story = story_of(random.Random(seed))
    try:
        return worlds.play(story, seed)
    except Exception as error:
        fails = _fails_alike(worlds, seed, error)
        print(f"seed {seed}; the same sequence again: {VARIABLE}={seed}")
        print(f"as short as it can be: {shortened(story, fails)}")
        raise


def _fails_alike(worlds: Worlds, seed: int, error: Exception) -> Callable[[Story], bool]:
    def fails(story: Story) -> bool:
        try:
            worlds.play(story, seed)
        except Exception as other:
            return str(other) == str(error)
        return False

    return fails


def seeds(count: int, first: int) -> range:
    """So many from the first; only the one that is asked for, if one is."""
    named = os.environ.get(VARIABLE)
    return range(first, first + count) if named is None else range(int(named), int(named) + 1)


def test_nothing_is_lost_and_nothing_comes_back(worlds: Worlds) -> None:
    for seed in seeds(SEQUENCES, 0):
        played(worlds, seed)


@pytest.mark.soak
def test_nothing_is_lost_in_thousands_of_sequences(
    worlds: Worlds, capsys: pytest.CaptureFixture[str]
) -> None:
    first = secrets.randbits(32)
    began = time.monotonic()
    for number, seed in enumerate(seeds(SOAK_SEQUENCES, first), 1):
        played(worlds, seed)
        if number % TOLD_EVERY == 0:
            rate = number / (time.monotonic() - began)
            with capsys.disabled():
                print(f"\n{number} sequences from seed {first}, {rate:.1f} a second", flush=True)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(chance=st.randoms(use_true_random=False))
def test_sequences_that_hypothesis_thinks_of_hold_as_well(
    worlds: Worlds, chance: random.Random
) -> None:
    worlds.play(story_of(chance))


# --- the same again -----------------------------------------------------------------------------

_PLAY = """
import random
from tests.model.story import story_of
from tests.model.worlds import Worlds

with Worlds() as worlds:
    for seed in (7, 8, 9):
        print(worlds.play(story_of(random.Random(seed)), seed).digest)
"""


def test_a_seed_is_the_whole_story(worlds: Worlds) -> None:
    """Another process, other sequences before it, another order of sets: every message, verdict
    and text is the same."""
    worlds.play(story_of(random.Random(1)), 1)
    here = [worlds.play(story_of(random.Random(seed)), seed).digest for seed in (7, 8, 9)]
    again = [worlds.play(story_of(random.Random(seed)), seed).digest for seed in (7, 8, 9)]
    done = subprocess.run(
        [sys.executable, "-c", _PLAY],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": "42"},
    )
    assert here == again == done.stdout.split()
    assert len(set(here)) == 3


# --- faults that it finds -----------------------------------------------------------------------


def _keeps_the_last_writer_only(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(plan, "_undominated", lambda _versions, _change: [])


def _stores_what_it_knows_already(patch: pytest.MonkeyPatch) -> None:
    real = plan._judge

    def judged(*asked: Any) -> plan.Result:
        result = real(*asked)
        return plan.Result(result.change, "applied") if result.verdict == "replayed" else result

    patch.setattr(plan, "_judge", judged)
    patch.setattr(plan, "_undominated", lambda _versions, _change: [])


def _acknowledges_what_it_does_not_store(patch: pytest.MonkeyPatch) -> None:
    real = plan.plan_push

    def planned(*asked: Any, **named: Any) -> plan.PushPlan:
        made = real(*asked, **named)
        return replace(made, after=dict(list(made.after.items())[1:]))

    patch.setattr(service, "plan_push", planned)


def _offers_what_was_deleted_meanwhile(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Pull, "_may_drop", lambda _: False)


def _saves_over_what_came_in_meanwhile(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(View, "unseen_by", lambda _view, _seen: [])


def _loses_its_wal(patch: pytest.MonkeyPatch) -> None:
    """As a disk that had not yet got what it said it had."""

    def photograph(server: Server) -> None:
        wal = shutil.ignore_patterns("*-wal", "*-shm", ".lock")
        shutil.copytree(server.data, server._at_death, ignore=wal)

    patch.setattr(Server, "_photograph", photograph)


@pytest.mark.parametrize(
    ("break_it", "said"),
    [
        (_keeps_the_last_writer_only, "a version that nobody replaced is gone"),
        (_stores_what_it_knows_already, "a push sent again changed something"),
        (_acknowledges_what_it_does_not_store, "what was replaced or deleted came back"),
        (_offers_what_was_deleted_meanwhile, "what was replaced or deleted came back"),
        (_saves_over_what_came_in_meanwhile, "words are gone"),
        (_loses_its_wal, "an acknowledged change is gone"),
    ],
)
def test_a_fault_in_the_server_or_the_client_is_found(
    worlds: Worlds,
    monkeypatch: pytest.MonkeyPatch,
    break_it: Callable[[pytest.MonkeyPatch], None],
    said: str,
) -> None:
    break_it(monkeypatch)
    complaints: list[str] = []
    for story, seed in _stories():
        try:
            worlds.play(story, seed)
        except AssertionError as error:
            complaints.append(str(error))
            if said in complaints[-1]:
                return
    pytest.fail(f"nothing of the kind, but {complaints}")


def _stories() -> Iterator[tuple[Story, int]]:
    """Some in which what is rare happens, and then what chance thinks of."""
    add, sync = Step("append", 0), Step("sync", 0, at=1)
    away = Step("season", at=1, amount=181 * DAY)
    rare = (
        (Step("delete", 0), sync, away),
        (add, Step("sync", 0, fates=("twice",))),
        (Step("open", 1), add, sync, Step("sync", 1), Step("save", 1)),
    )
    for steps in rare:
        yield Story(3, False, steps), 0
    for seed in range(80):
        yield story_of(random.Random(seed)), seed
