"""Who counts as one stranger, and who asks when proxies stand between."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.rates.addresses import DailyHashes, client_address, group_of, parse_address
from tests.kit.clock import SetClock

TRUSTED = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))
addresses = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6))


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.0.2.1", "192.0.2.1"),
        (" 192.0.2.1 ", "192.0.2.1"),
        ("192.0.2.1:4711", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:db8::1]:4711", "2001:db8::1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("[::ffff:192.0.2.1]:1", "192.0.2.1"),
        ("fe80::1%eth0", "fe80::1"),
    ],
)
def test_an_address_is_read_however_a_proxy_writes_it(text: str, address: str) -> None:
    assert parse_address(text) == ip_address(address)


@pytest.mark.parametrize(
    "text", ["", "unknown", "_hidden", "192.0.2", "192.0.2.256", "01.2.3.4", "[", "[]", ":", "1"]
)
def test_what_is_no_address_is_none(text: str) -> None:
    assert parse_address(text) is None


@given(st.text(max_size=60), st.lists(st.text(max_size=60), max_size=4))
def test_garbage_never_raises_and_never_hides_the_peer(peer: str, lines: list[str]) -> None:
    assert client_address(peer, lines, ()) == parse_address(peer)
    found = client_address("10.0.0.1", lines, TRUSTED)
    assert isinstance(found, IPv4Address | IPv6Address)


@pytest.mark.parametrize(
    ("peer", "lines", "client"),
    [
        pytest.param("10.0.0.1", [], "10.0.0.1", id="no header"),
        pytest.param("10.0.0.1", ["192.0.2.7"], "192.0.2.7", id="one proxy"),
        pytest.param("192.0.2.9", ["192.0.2.7"], "192.0.2.9", id="a stranger sends one"),
        pytest.param("10.0.0.1", ["1.1.1.1, 192.0.2.7"], "192.0.2.7", id="a made-up one before"),
        pytest.param("10.0.0.1", ["192.0.2.7, 10.2.2.2"], "192.0.2.7", id="two proxies"),
        pytest.param("10.0.0.1", ["192.0.2.7", "10.2.2.2"], "192.0.2.7", id="two lines"),
        pytest.param("10.0.0.1", ["10.3.3.3, 10.2.2.2"], "10.3.3.3", id="all are trusted"),
        pytest.param("10.0.0.1", ["192.0.2.7, junk, 10.2.2.2"], "10.2.2.2", id="junk between"),
        pytest.param("10.0.0.1", ["192.0.2.7, "], "10.0.0.1", id="an empty last one"),
        pytest.param("fd00::1", ["[2001:db8::7]:9"], "2001:db8::7", id="IPv6"),
        pytest.param("::ffff:10.0.0.1", ["192.0.2.7"], "192.0.2.7", id="a mapped proxy"),
        pytest.param("10.0.0.1", ["10.9.9.9," * 100 + "10.1.1.1"], "10.9.9.9", id="a long way"),
    ],
)
def test_the_rightmost_address_that_is_not_ours_asks(
    peer: str, lines: list[str], client: str
) -> None:
    assert client_address(peer, lines, TRUSTED) == ip_address(client)


@given(st.lists(addresses, max_size=6), st.ip_addresses(v=4, network="198.51.100.0/24"))
def test_nothing_that_a_stranger_writes_changes_who_it_is(
    written: list[IPv4Address | IPv6Address], real: IPv4Address
) -> None:
    line = ", ".join([*map(str, written), str(real)])
    assert client_address("10.0.0.1", [line], TRUSTED) == real


def test_a_socket_without_an_address_is_one_stranger() -> None:
    hashes = DailyHashes(SetClock())
    assert client_address(None, ["192.0.2.7"], TRUSTED) is None
    assert hashes.stranger(None) == hashes.stranger(None)


@given(st.ip_addresses(v=4), st.ip_addresses(v=4))
def test_each_ipv4_address_is_one(one: IPv4Address, other: IPv4Address) -> None:
    hashes = DailyHashes(SetClock())
    assert (hashes.stranger(one) == hashes.stranger(other)) == (one == other)
    assert hashes.stranger(one).site is None


@given(st.integers(0, 2**128 - 1), st.integers(0, 127))
def test_an_ipv6_address_counts_by_its_64_and_its_48(number: int, bit: int) -> None:
    hashes = DailyHashes(SetClock())
    one = hashes.stranger(IPv6Address(number))
    other = hashes.stranger(IPv6Address(number ^ 1 << bit))
    if parse_address(str(IPv6Address(number))) != IPv6Address(number):
        return  # one that is IPv4 within
    assert (one.one == other.one) == (bit < 64)
    assert (one.site == other.site) == (bit < 80)
    assert one.one != one.site


def test_a_stranger_cannot_be_followed_from_one_day_to_the_next() -> None:
    clock = SetClock()
    hashes, address = DailyHashes(clock), ip_address("2001:db8::1")
    today = hashes.stranger(address)
    assert hashes.stranger(address) == today
    clock.advance(days=1)
    tomorrow = hashes.stranger(address)
    assert {today.one, today.site}.isdisjoint({tomorrow.one, tomorrow.site})


def test_no_hash_is_told_by_another_process() -> None:
    clock, address = SetClock(), ip_address("192.0.2.1")
    assert DailyHashes(clock).stranger(address) != DailyHashes(clock).stranger(address)


def test_a_connection_counts_for_its_address_or_its_64() -> None:
    texts = ["192.0.2.1", "2001:db8::1", "2001:db8::2", "::ffff:192.0.2.1"]
    groups = [group_of(parse_address(each)) for each in texts]
    assert groups == ["192.0.2.1", "2001:db8::/64", "2001:db8::/64", "192.0.2.1"]
    assert group_of(None) is None
