"""Sequences that once did not hold, as short as they could be made; and some that must go a way
that chance seldom takes."""

from collections.abc import Iterator

import pytest

from tests.model.story import DAY, Step, Story
from tests.model.worlds import Worlds

NOBODY = 9


@pytest.fixture(scope="module")
def worlds() -> Iterator[Worlds]:
    with Worlds() as made:
        yield made


def test_a_deletion_of_what_the_server_then_lost_stays_one(worlds: Worlds) -> None:
    """It was sealed anew without the lost edit in its clock, which came back with its writer."""
    story = Story(
        3,
        False,
        (
            Step("backup"),
            Step("append", 2),
            Step("sync", 2),
            Step("sync", 0),
            Step("put back", at=0),
            Step("delete", 0),
        ),
    )
    world = worlds.play(story)
    assert any("reset_required cursor_ahead" in line for line in world.trace)
    assert world.texts == {}


def test_an_edit_over_an_edit_that_outlived_a_forgotten_deletion_replaces_it(
    worlds: Worlds,
) -> None:
    """It claimed to have seen the deletion, which the server knew no more, and was sealed anew with
    neither in its clock."""
    story = Story(
        4,
        False,
        (
            Step("delete", 2),
            Step("sync", 2, at=1),
            Step("season", at=0, amount=181 * DAY),
            Step("append", 0),
            Step("sync", 0, at=1),
            Step("sync", 1, at=1),
            Step("rewrite", 1),
        ),
    )
    world = worlds.play(story)
    assert any("reset cursor_expired" in line for line in world.trace)
    (text,) = world.texts.values()
    assert text == "<2>"


def test_a_deletion_comes_back_with_nobody_who_was_away_for_long(worlds: Worlds) -> None:
    away = Step("season", at=1, amount=181 * DAY)
    story = Story(3, False, (Step("delete", 0), Step("sync", 0, at=1), away, Step("sync", 1, at=1)))
    world = worlds.play(story)
    assert any("dropped 1" in line for line in world.trace)
    assert world.texts == {}


def test_a_push_whose_acknowledgement_a_restore_made_void_is_brought_again(
    worlds: Worlds,
) -> None:
    """The device died before the pull that would have shown it the loss."""
    story = Story(
        3,
        False,
        (
            Step("append", 0),
            Step("backup"),
            Step("sync", 0, at=1, fates=("well", "die before")),
            Step("put back", at=2),
        ),
    )
    world = worlds.play(story)
    assert any("mended 2" in line for line in world.trace)
    assert set(world.texts.values()) == {"<shared><1>"}


@pytest.mark.parametrize("at", [0, 1, 2], ids=["the account's file", "master.db", "both"])
def test_whatever_is_put_back_is_healed(worlds: Worlds, at: int) -> None:
    story = Story(
        3,
        False,
        (
            Step("add", 0),
            Step("sync", 0, at=1),
            Step("backup"),
            Step("append", 0, at=1),
            Step("season", at=NOBODY, amount=1),
            Step("delete", 1, at=0),
            Step("sync", 1, at=1),
            Step("put back", at=at),
            Step("add", 2),
        ),
    )
    world = worlds.play(story)
    assert set(world.texts.values()) == {"<1><2>", "<3>"}
