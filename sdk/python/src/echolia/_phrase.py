"""Recovery phrases as words (BIP 39, English): 12 words hold 128 bits, 24 hold 256."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache

from mnemonic import Mnemonic

from ._errors import PhraseInvalid

ENTROPY_BYTES = {12: 16, 24: 32}
_PREFIX = 4
"""Letters that tell any two words of the list apart."""


@cache
def _list() -> Mnemonic:
    return Mnemonic("english")


@cache
def _by_prefix() -> dict[str, str]:
    return {word[:_PREFIX]: word for word in _list().wordlist}


def new_phrase(words: int = 24) -> str:
    """A phrase that nobody has had before, of 12 or 24 words."""
    if words not in ENTROPY_BYTES:
        raise ValueError("a recovery phrase has 12 or 24 words")
    return words_of(os.urandom(ENTROPY_BYTES[words]))


def words_of(entropy: bytes) -> str:
    """The phrase: lower-case words with a space between them."""
    return str(_list().to_mnemonic(entropy))


def entropy_of(text: str) -> bytes:
    """What the words hold. Case, spaces, and all but the first four letters of a word are free.

    PhraseInvalid says which word is not in the list, or that they do not belong together.
    """
    typed = text.lower().split()
    if len(typed) not in ENTROPY_BYTES:
        raise PhraseInvalid(f"a recovery phrase has 12 or 24 words, and these are {len(typed)}")
    words = [whole_word(word, position) for position, word in enumerate(typed, start=1)]
    try:
        return bytes(_list().to_entropy(words))
    except ValueError:
        raise PhraseInvalid(
            "every word is in the list, but together they are no phrase:"
            " one is another word than was written down, or two are in each other's place"
        ) from None


def whole_word(typed: str, position: int) -> str:
    """The word that begins so; PhraseInvalid, without repeating it, if none does."""
    word = _by_prefix().get(typed[:_PREFIX])
    if word is None or not word.startswith(typed):
        raise PhraseInvalid(f"word {position} is not in the list", position)
    return word


def grid(words: Sequence[str], columns: int = 4) -> list[str]:
    """Numbered lines, to be read downwards."""
    rows = -(-len(words) // columns)
    cells = [f"{number:2}  {word:10}" for number, word in enumerate(words, start=1)]
    return ["".join(cells[row::rows]).rstrip() for row in range(rows)]
