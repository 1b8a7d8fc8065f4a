"""Reading the server's files as a stranger."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demo.server_files import ENVELOPE_BYTES, is_padded
from echolia import padded_length


@given(st.integers(0, 4 * 1024 * 1024))
def test_what_the_client_pads_counts_as_padded(length: int) -> None:
    assert is_padded(ENVELOPE_BYTES + padded_length(length))


@pytest.mark.parametrize("padded", [0, 12, 255, 257, 1000, 1025])
def test_a_length_as_it_was_written_does_not(padded: int) -> None:
    assert not is_padded(ENVELOPE_BYTES + padded)


def test_few_sizes_are_left_below_a_megabyte() -> None:
    sizes = [size for size in range(1024 * 1024 + 1) if is_padded(size + ENVELOPE_BYTES)]
    assert len(sizes) == 257
