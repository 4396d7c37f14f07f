"""Where a request comes from.

X-Forwarded-For is a claim. It is believed only as far as it was written by proxies we trust: from the right, each
trusted hop vouches for the entry before it, and the first untrusted one is the client.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

SAME_MACHINE = IPv4Address("127.0.0.1")
"""The peer of a Unix socket or of a caller in this process."""


def parse_address(text: str) -> Address | None:
    """The address in `1.2.3.4`, `1.2.3.4:80`, `::1` or `[::1]:80`; an IPv4 address inside IPv6 as itself."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        return _plain(ip_address(text.partition("%")[0]))
    except ValueError:
        return None


def _plain(address: Address) -> Address:
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def inside(address: Address, networks: Iterable[Network]) -> bool:
    """Whether one of the networks holds the address."""
    return any(address in network for network in networks)


def bucket(client: str) -> str:
    """What shares one allowance: an IPv4 address, or the /64 an IPv6 host picks its addresses from (RFC 4291)."""
    address = ip_address(client)
    if isinstance(address, IPv4Address):
        return client
    return str(IPv6Network((address, 64), strict=False))


class ClientAddress:
    """Finds the client behind the proxies this installation trusts; without any, the peer itself."""

    def __init__(self, trusted: Sequence[Network]) -> None:
        self._trusted = trusted

    def find(self, peer: str | None, forwarded_for: Sequence[str]) -> str:
        """The client's address. An entry that is none ends the walk: nothing left of it can be believed."""
        client, text = _of_peer(peer)
        if not forwarded_for or not self._trusted:
            return text
        for entry in reversed(",".join(forwarded_for).split(",")):
            if not inside(client, self._trusted):
                break
            claimed = parse_address(entry)
            if claimed is None:
                break
            client = claimed
        return str(client)


@lru_cache(maxsize=1024)  # of few peers come many requests
def _of_peer(peer: str | None) -> tuple[Address, str]:
    address = (parse_address(peer) if peer else None) or SAME_MACHINE
    return address, str(address)
