"""Networks as a lender writes them: read strictly, kept in one form."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from obligor.core.errors import InvalidInputError
from obligor.security.networks import MOST_NETWORKS, NOWHERE, Networks, address_of, read_networks, sender_of


@given(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)), st.integers(0, 128))
def test_a_network_holds_its_own_addresses_and_reads_back_as_it_is_written(
    address: IPv4Address | IPv6Address, bits: int
) -> None:
    kind = IPv4Network if isinstance(address, IPv4Address) else IPv6Network
    network = kind((int(address), min(bits, address.max_prefixlen)), strict=False)
    read = read_networks([str(network)])
    assert read_networks(str(it) for it in read) == read
    if network.version == 4 or not str(network).startswith("::ffff:"):
        assert read == (network,)
        assert address in Networks(read)


def test_networks_are_kept_once_and_in_one_order_however_they_are_written() -> None:
    written = ["2001:DB8:0::/32", "10.0.0.0/8", "192.0.2.7", "::ffff:10.0.0.0/104", "::ffff:192.0.2.7", "2001:db8::/32"]
    told = ["10.0.0.0/8", "192.0.2.7/32", "2001:db8::/32"]
    assert [str(it) for it in read_networks(written)] == told
    assert read_networks(reversed(written)) == read_networks(written)
    assert read_networks([]) == ()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("10.0.0.1/8", "network 2: got '10.0.0.1/8'; wanted 10.0.0.0/8, the network that it is of, or an address alone"),
        ("2001:db8::1/32", "wanted 2001:db8::/32, the network"),
        ("::ffff:10.0.0.1/104", "wanted 10.0.0.0/8, the network"),
        ("10.0.0.0/33", "network 2: got '10.0.0.0/33'; wanted an address or a network such as 10.0.0.0/8 or 2001:db8::/32"),
        ("10.0.0.0/255.0.0.0", "wanted an address or a network"),
        ("10.0.0.0/-1", "network 2: wanted an address or a network"),
        ("10.0.0/8", "wanted an address or a network"),
        ("010.0.0.0/8", "wanted an address or a network"),
        ("10.0.0.0/8/8", "wanted an address or a network"),
        ("1\u0660.0.0.0/8", "network 2: wanted an address or a network"),
        ("fe80::%eth0/64", "network 2: wanted an address or a network"),
        ("10.0.0.0/8 ", "network 2: wanted an address or a network"),
        ("10.0.0.0/8,10.0.0.0/8", "network 2: wanted an address or a network"),
        ("10", "wanted an address or a network"),
        ("", "network 2: wanted an address or a network"),
        ("bank.example", "network 2: wanted an address or a network"),
    ],
)  # fmt: skip
def test_what_is_no_network_is_refused_by_its_place(text: str, told: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        read_networks(["192.0.2.0/24", text])
    assert told in str(caught.value)


def test_what_may_be_a_secret_is_not_repeated() -> None:
    with pytest.raises(InvalidInputError) as caught:
        read_networks([f"obl_0123456789ab_{'A' * 43}"])
    assert "AAA" not in str(caught.value)


def test_networks_of_one_address_stand_the_wider_first_and_the_longest_text_is_read() -> None:
    assert [str(it) for it in read_networks(["10.0.0.0/16", "10.0.0.0/8"])] == ["10.0.0.0/8", "10.0.0.0/16"]
    assert read_networks(["10.0.0.0/8", "10.0.0.0/16"]) == read_networks(["10.0.0.0/16", "10.0.0.0/8"])
    longest = "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255/128"
    assert [it.prefixlen for it in read_networks([longest])] == [128]
    with pytest.raises(InvalidInputError) as caught:
        read_networks(["1" * len(longest) + "1"])
    assert "got" not in str(caught.value)


def test_a_key_is_bound_to_so_many_networks_and_no_more() -> None:
    texts = [f"10.{place}.0.0/16" for place in range(MOST_NETWORKS + 1)]
    assert len(read_networks(texts[1:])) == MOST_NETWORKS
    with pytest.raises(InvalidInputError, match=f"got {MOST_NETWORKS + 1} networks, wanted at most {MOST_NETWORKS}"):
        read_networks(texts)


def test_all_of_one_kind_of_address_holds_none_of_the_other() -> None:
    four, six = Networks(read_networks(["0.0.0.0/0"])), Networks(read_networks(["::/0"]))
    home, away = ip_address("192.0.2.7"), ip_address("2001:db8::7")
    assert [home in four, away in four, home in six, away in six] == [True, False, False, True]
    assert None not in six


PROXIES = Networks(read_networks(["10.0.0.0/8", "2001:db8::/32"]))
WITHIN = st.one_of(st.ip_addresses(network="10.0.0.0/8"), st.ip_addresses(network="2001:db8::/32")).map(str)
OUTSIDE = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)).filter(lambda it: address_of(str(it)) not in PROXIES)
CLAIMED = st.one_of(
    WITHIN, OUTSIDE.map(str), st.text(st.characters(codec="latin-1", exclude_characters=","), max_size=20)
)


@given(st.lists(CLAIMED, max_size=4), OUTSIDE.map(str), st.lists(WITHIN, min_size=1, max_size=3), st.integers(0, 6))
def test_the_sender_is_whom_the_first_proxy_saw_whatever_a_client_claims(
    claimed: list[str], sender: str, hops: list[str], cut: int
) -> None:
    """Each proxy adds its own other end; the last of them is the other end of the connection itself."""
    said = [*claimed, sender, *hops[:-1]]
    lines = [", ".join(said[:cut]), ",".join(said[cut:])] if 0 < cut < len(said) else [", ".join(said)]
    assert sender_of(hops[-1], lines, PROXIES) == sender
    assert sender_of(sender, lines, PROXIES) == sender
    assert sender_of(hops[-1], lines, NOWHERE) == hops[-1]


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ([], "10.0.0.1"),
        ([""], "10.0.0.1"),
        (["192.0.2.7, unknown"], "10.0.0.1"),
        (["192.0.2.7, _hidden, 10.0.0.2"], "10.0.0.2"),
        (["192.0.2.7, 10.0.0.2"], "192.0.2.7"),
        (["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        (["192.0.2.7:4711"], "192.0.2.7:4711"),
        (["[2001:db9::7]:4711"], "[2001:db9::7]:4711"),
        (["192.0.2.7,"], "10.0.0.1"),
    ],
)
def test_who_is_not_told_by_an_address_is_the_nearest_proxy_that_is(said: list[str], found: str) -> None:
    assert sender_of("10.0.0.1", said, PROXIES) == found
    assert sender_of("ipv4:10.0.0.1:5000", said, PROXIES) == ("ipv4:10.0.0.1:5000" if found == "10.0.0.1" else found)
