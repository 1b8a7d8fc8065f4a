"""Who may stay connected, and who has to make way."""

from ipaddress import ip_network

from hypothesis import given
from hypothesis import strategies as st

from app.http.crowd import Crowd


class Caller:
    def __init__(self) -> None:
        self.has_made_way = False

    def make_way(self) -> None:
        self.has_made_way = True


def test_at_the_cap_who_rested_longest_makes_way() -> None:
    crowd, callers = Crowd(3, None), [Caller() for _ in range(5)]
    assert all(crowd.enter(caller, "192.0.2.1") for caller in callers[:3])
    crowd.busy(callers[0])
    assert crowd.enter(callers[3], "192.0.2.1")
    assert [each.has_made_way for each in callers[:3]] == [False, True, False]
    crowd.rest(callers[0])
    assert crowd.enter(callers[4], "192.0.2.1")
    assert [each.has_made_way for each in callers[:4]] == [False, True, True, False]
    assert crowd.count == 3


def test_at_the_cap_nobody_whose_request_is_at_work_makes_way() -> None:
    crowd, callers = Crowd(2, None), [Caller() for _ in range(3)]
    for caller in callers[:2]:
        assert crowd.enter(caller, None)
        crowd.busy(caller)
    assert not crowd.enter(callers[2], None)
    crowd.leave(callers[0])
    assert crowd.enter(callers[2], None)


def test_an_address_has_so_many_and_no_more() -> None:
    crowd, callers = Crowd(100, 2), [Caller() for _ in range(4)]
    assert crowd.enter(callers[0], "192.0.2.1")
    assert crowd.enter(callers[1], "192.0.2.1")
    assert not crowd.enter(callers[2], "192.0.2.1")
    assert crowd.enter(callers[2], "192.0.2.2")
    crowd.leave(callers[0])
    crowd.leave(callers[0])
    assert crowd.enter(callers[3], "192.0.2.1")
    assert not any(each.has_made_way for each in callers)


def test_a_network_of_ipv6_counts_as_one_address() -> None:
    crowd = Crowd(100, 1)
    assert crowd.enter(Caller(), "2001:db8::1")
    assert not crowd.enter(Caller(), "2001:db8::2")
    assert crowd.enter(Caller(), "2001:db8:0:1::1")


def test_this_machine_and_trusted_proxies_are_not_counted() -> None:
    crowd = Crowd(100, 1, [ip_network("10.0.0.0/8")])
    for peer in ("127.0.0.1", "::1", "10.1.2.3", "::ffff:10.1.2.3", None):
        assert all(crowd.enter(Caller(), peer) for _ in range(3))


@given(st.lists(st.tuples(st.sampled_from("eblr"), st.integers(0, 9)), max_size=60))
def test_there_are_never_more_than_the_cap_and_each_that_made_way_is_gone(
    steps: list[tuple[str, int]],
) -> None:
    crowd, inside = Crowd(3, 2), dict[int, Caller]()
    for what, number in steps:
        if what == "e" and number not in inside:
            caller = Caller()
            if crowd.enter(caller, f"192.0.2.{number % 3}"):
                inside[number] = caller
        elif number in inside:
            {"b": crowd.busy, "r": crowd.rest, "l": crowd.leave, "e": crowd.rest}[what](
                inside[number]
            )
            if what == "l":
                del inside[number]
        inside = {n: c for n, c in inside.items() if not c.has_made_way}
        assert crowd.count == len(inside) <= 3
