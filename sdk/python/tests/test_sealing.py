"""Envelopes under random treatment."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from echolia import CannotOpen, ItemContext, VectorClock, open_envelope, padded_length, seal
from echolia._canonical import new_id

KEY = os.urandom(32)
ME = new_id()
CONTEXT = ItemContext(new_id(), "entries", new_id(), ME, VectorClock.of({ME: 1}), False, 1)


@given(plaintext=st.binary(max_size=3000))
def test_what_is_sealed_opens(plaintext: bytes) -> None:
    envelope = seal(KEY, CONTEXT, plaintext)
    assert open_envelope({1: KEY}, CONTEXT, envelope) == plaintext
    assert len(envelope) == 89 + padded_length(4 + len(plaintext))


@given(at=st.integers(0), bit=st.integers(0, 7), plaintext=st.binary(max_size=40))
def test_no_flipped_bit_goes_unseen(at: int, bit: int, plaintext: bytes) -> None:
    envelope = bytearray(seal(KEY, CONTEXT, plaintext))
    envelope[at % len(envelope)] ^= 1 << bit
    with pytest.raises(CannotOpen):
        open_envelope({1: KEY}, CONTEXT, bytes(envelope))


@given(data=st.binary(max_size=400))
def test_noise_never_opens_and_never_surprises(data: bytes) -> None:
    with pytest.raises(CannotOpen):
        open_envelope({1: KEY}, CONTEXT, b"ECH1\x01\x00\x00\x00\x01" + data)


def test_the_same_text_never_seals_to_the_same_bytes() -> None:
    assert len({seal(KEY, CONTEXT, b"hello") for _ in range(50)}) == 50


@given(length=st.integers(257, 2**20))
def test_padding_costs_little_and_never_cuts(length: int) -> None:
    assert length <= padded_length(length) <= length * 1.064
