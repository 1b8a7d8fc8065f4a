"""Cursors: what was given out opens, and nothing else does."""

import base64

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from app.sync.cursor import MAX_LENGTH, Position, open_cursor, seal
from app.sync.errors import CursorInvalid
from tests.kit.sync import new_id

unhurried = settings(deadline=None)
KEY, OLD_KEY = b"k" * 32, b"o" * 32
USER = new_id()
EPOCH, TAG = b"epoch123", b"tag45678"
GIVEN = seal(KEY, USER, Position(12345, EPOCH, TAG))

positions = st.builds(
    Position,
    st.integers(1, 2**63 - 1),
    st.binary(min_size=8, max_size=8),
    st.binary(min_size=8, max_size=8),
)


@unhurried
@given(positions)
def test_a_cursor_opens_to_the_place_it_was_made_for(position: Position) -> None:
    cursor = seal(KEY, USER, position)
    assert open_cursor((KEY,), USER, cursor) == position
    assert len(cursor) <= MAX_LENGTH


def test_the_start_has_a_cursor_too() -> None:
    start = Position(0, EPOCH, b"")
    assert open_cursor((KEY,), USER, seal(KEY, USER, start)) == start


def test_a_cursor_of_the_previous_secret_still_opens() -> None:
    place = Position(7, EPOCH, TAG)
    assert open_cursor((KEY, OLD_KEY), USER, seal(OLD_KEY, USER, place)) == place


def test_a_cursor_of_a_forgotten_secret_is_refused() -> None:
    with pytest.raises(CursorInvalid):
        open_cursor((KEY,), USER, seal(OLD_KEY, USER, Position(7, EPOCH, TAG)))


@unhurried
@given(positions)
def test_another_account_cannot_use_a_cursor(position: Position) -> None:
    with pytest.raises(CursorInvalid):
        open_cursor((KEY,), new_id(), seal(KEY, USER, position))


def test_no_flipped_bit_goes_unnoticed() -> None:
    for at, character in enumerate(GIVEN):
        for bit in range(7):
            flipped = GIVEN[:at] + chr(ord(character) ^ (1 << bit)) + GIVEN[at + 1 :]
            with pytest.raises(CursorInvalid):
                open_cursor((KEY,), USER, flipped)


def test_no_missing_end_goes_unnoticed() -> None:
    for length in range(len(GIVEN)):
        with pytest.raises(CursorInvalid):
            open_cursor((KEY,), USER, GIVEN[:length])


@unhurried
@given(
    st.integers(0, len(GIVEN)),
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=MAX_LENGTH),
)
def test_nothing_may_be_added_anywhere(at: int, extra: str) -> None:
    with pytest.raises(CursorInvalid):
        open_cursor((KEY,), USER, GIVEN[:at] + extra + GIVEN[at:])


@unhurried
@given(st.text(max_size=2 * MAX_LENGTH))
def test_text_is_no_cursor(text: str) -> None:
    with pytest.raises(CursorInvalid):
        open_cursor((KEY,), USER, text)


@unhurried
@given(st.binary(max_size=96))
def test_bytes_without_our_seal_are_no_cursor(raw: bytes) -> None:
    assume(raw != base64.urlsafe_b64decode(GIVEN + "="))
    with pytest.raises(CursorInvalid):
        open_cursor((KEY,), USER, base64.urlsafe_b64encode(raw).rstrip(b"=").decode())


def test_a_cursor_has_one_spelling() -> None:
    raw = base64.urlsafe_b64decode(GIVEN + "=")
    spellings = {
        base64.urlsafe_b64encode(raw).decode(),
        base64.b64encode(raw).decode(),
        GIVEN + "=",
        GIVEN + "\n",
        " " + GIVEN,
    }
    for spelling in spellings - {GIVEN}:
        with pytest.raises(CursorInvalid):
            open_cursor((KEY,), USER, spelling)


@unhurried
@given(positions)
def test_a_cursor_shows_no_more_than_it_must(position: Position) -> None:
    """It travels in a query, so it is short and made of characters that need no escaping."""
    cursor = seal(KEY, USER, position)
    assert len(cursor) == 55
    assert set(cursor) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
