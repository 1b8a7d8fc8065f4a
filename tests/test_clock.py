"""Days as the server remembers them."""

import datetime

from hypothesis import given
from hypothesis import strategies as st

from app.clock import DAY_SECONDS, day_of


@given(st.integers(0, 2**35))
def test_a_moment_belongs_to_the_utc_midnight_before_it(now: int) -> None:
    day = day_of(now)
    assert day <= now < day + DAY_SECONDS
    assert datetime.datetime.fromtimestamp(day, datetime.UTC).time() == datetime.time(0)
