"""Who the client is, behind proxies that are trusted and claims that are not."""

from ipaddress import ip_network

import pytest

from draftstore_gateway.address import ClientAddress, bucket, parse_address

PROXIES = ClientAddress([ip_network("10.0.0.0/8"), ip_network("fd00::/8")])


def test_without_trusted_proxies_the_peer_is_the_client_whatever_it_claims() -> None:
    assert ClientAddress([]).find("1.2.3.4", ["6.6.6.6"]) == "1.2.3.4"


@pytest.mark.parametrize(
    ("peer", "claims", "client"),
    [
        ("10.0.0.1", ["1.2.3.4"], "1.2.3.4"),
        ("10.0.0.1", ["6.6.6.6, 1.2.3.4"], "1.2.3.4"),
        ("10.0.0.1", ["6.6.6.6, 1.2.3.4, 10.0.0.2"], "1.2.3.4"),
        ("10.0.0.1", ["6.6.6.6", "1.2.3.4", "10.0.0.2"], "1.2.3.4"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ("10.0.0.1", ["1.2.3.4, nonsense, 10.0.0.2"], "10.0.0.2"),
        ("10.0.0.1", ["1.2.3.4, "], "10.0.0.1"),
        ("10.0.0.1", ["1.2.3.4:5678"], "1.2.3.4"),
        ("10.0.0.1", ["[2001:db8::1]:5678"], "2001:db8::1"),
        ("fd00::1", ["2001:db8::1"], "2001:db8::1"),
        ("::ffff:10.0.0.1", ["::ffff:1.2.3.4"], "1.2.3.4"),
        ("9.9.9.9", ["1.2.3.4"], "9.9.9.9"),
        (None, ["1.2.3.4"], "127.0.0.1"),
    ],
)
def test_the_walk_goes_from_the_right_to_the_first_address_nobody_vouches_for(
    peer: str | None, claims: list[str], client: str
) -> None:
    assert PROXIES.find(peer, claims) == client


def test_hosts_of_one_ipv6_network_share_an_allowance() -> None:
    assert bucket("2001:db8:1:2::1") == bucket("2001:db8:1:2:ffff::9")
    assert bucket("2001:db8:1:2::1") != bucket("2001:db8:1:3::1")
    assert bucket("1.2.3.4") != bucket("1.2.3.5")


@pytest.mark.parametrize("text", ["", "unknown", "_hidden", "1.2.3", "1.2.3.4.5", "::1::2", "1.2.3.4/8"])
def test_what_is_no_address_is_none(text: str) -> None:
    assert parse_address(text) is None
