"""How much work is asked for."""

from hypothesis import given
from hypothesis import strategies as st

from app.auth.proof_of_work import MOST_BITS, Load, bits_for, zero_bits
from tests.kit.clock import SetClock


def test_no_work_is_asked_for_in_quiet_and_a_bit_more_with_each_doubling() -> None:
    found = [bits_for(accounts) for accounts in (0, 19.9, 20, 39, 40, 80, 160, 320, 640, 10**9)]
    assert found == [0, 0, 17, 17, 18, 19, 20, 21, 22, 22]


@given(st.floats(0, 1e12), st.floats(0, 1e12))
def test_more_accounts_never_ask_for_less_work(one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert 0 <= bits_for(low) <= bits_for(high) <= MOST_BITS


@given(st.binary(min_size=32, max_size=32))
def test_zero_bits_are_those_before_the_first_that_is_not(digest: bytes) -> None:
    text = "".join(f"{byte:08b}" for byte in digest)
    assert zero_bits(digest) == len(text) - len(text.lstrip("0"))


def test_a_fixed_number_of_bits_does_not_follow_the_load() -> None:
    load = Load(3, SetClock())
    for _ in range(1000):
        load.add()
    assert load.difficulty() == 3


def test_load_fades_and_a_clock_that_is_set_back_adds_none() -> None:
    clock = SetClock()
    load = Load("auto", clock)
    for _ in range(80):
        load.add()
    assert load.difficulty() == 19
    clock.advance(seconds=-3600)
    assert load.difficulty() == 19
    clock.advance(seconds=3600 + 600)
    assert load.difficulty() == 17
    clock.advance(seconds=600)
    assert load.difficulty() == 0
