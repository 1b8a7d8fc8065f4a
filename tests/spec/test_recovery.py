"""spec/vectors/recovery.json and wrapping.json: made anew they are the same, and the server sees in
them what it should."""

import hashlib
from typing import Any

import pytest

from app.auth.recovery import AUTHENTICATOR_BYTES, LOCATOR_BYTES, MAX_BUNDLE_BYTES, Recovery, opens
from tests.make_vectors import recovery
from tests.spec.vectors import name_of, vectors

VECTORS = vectors("recovery")
# The list of BIP 39, one word a line, as its authors publish it.
LIST_SHA256 = "2f5eed53a4727b4bf8880d8f3f199efc90e58503646d9ff8eff3a2ed3b24dbda"


def test_the_files_are_what_a_second_writing_of_the_pages_makes() -> None:
    assert recovery.recovery() == VECTORS
    assert recovery.wrapping() == vectors("wrapping")


def test_the_list_of_words_is_the_published_one_and_four_letters_tell_them_apart() -> None:
    words = recovery.list_of_words()
    text = "".join(f"{word}\n" for word in words)
    assert hashlib.sha256(text.encode()).hexdigest() == LIST_SHA256
    assert len({word[:4] for word in words}) == len(words) == 2048


@pytest.mark.parametrize("case", VECTORS["phrases"], ids=name_of)
def test_the_server_opens_to_the_authenticator_it_has_a_hash_of(case: Any) -> None:
    locator, authenticator = (bytes.fromhex(case[name]) for name in ("locator", "authenticator"))
    assert (len(locator), len(authenticator)) == (LOCATOR_BYTES, AUTHENTICATOR_BYTES)
    assert len(bytes.fromhex(case["bundle"]["sealed"])) <= MAX_BUNDLE_BYTES
    kept = Recovery("", locator, bytes.fromhex(case["authenticator_hash"]), 0, 0, "", None)
    assert opens(kept, locator, authenticator)
    assert not opens(kept, locator[::-1], authenticator)
    assert not opens(kept, locator, authenticator[::-1])
