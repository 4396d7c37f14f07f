"""The form of an API key, and where it may be used from: what gateway and identity must judge alike.

`ds_{live,test,admin}_`, 32 random base62 characters (190 bits), then 6 of a CRC-32 over all before them. The checksum
tells a mistyped or cut key from an unknown one without asking anybody, and lets scanners of leaked secrets find keys.
"""

import re
import secrets
import string
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Literal, cast
from zlib import crc32

Label = Literal["live", "test", "admin"]
Network = IPv4Network | IPv6Network

_BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
_RANDOM = 32
_CHECKSUM = 6
_SHOWN = 4
_FORM_OF_PREFIX = re.compile("ds_(live|test|admin)_")
_FORM = re.compile(rf"(ds_(?:live|test|admin)_)[0-9A-Za-z]{{{_RANDOM + _CHECKSUM}}}")


def make(label: Label) -> str:
    """A new key from the system's secure random source."""
    body = f"ds_{label}_" + "".join(secrets.choice(_BASE62) for _ in range(_RANDOM))
    return body + _checksum(body)


def is_well_formed(secret: str) -> bool:
    """Whether this has the form of a key and its checksum is right. Says nothing of whether it opens anything."""
    return _FORM.fullmatch(secret) is not None and _checksum(secret[:-_CHECKSUM]) == secret[-_CHECKSUM:]


def mask(text: str) -> str:
    """The text with each key in it cut to the part that may be shown."""
    return _FORM.sub(lambda found: f"{prefix(found[0])}***", text)


def is_admin(secret: str) -> bool:
    """Whether a well-formed key claims to be an admin key."""
    return secret.startswith("ds_admin_")


def prefix(secret: str) -> str:
    """The part of a well-formed key that may be shown, so that its owner recognises it: `ds_live_` and 4 more."""
    return secret[: len(secret) - _RANDOM - _CHECKSUM + _SHOWN]


def label(shown_prefix: str) -> Label:
    """What kind of key says so in its prefix."""
    found = _FORM_OF_PREFIX.match(shown_prefix)
    assert found is not None  # noqa: S101  only keys of this form are ever stored
    return cast("Label", found[1])


def last4(secret: str) -> str:
    """The last four characters, part of the checksum: they tell keys apart and give nothing away."""
    return secret[-_SHOWN:]


def allows(cidrs: Sequence[Network], client_ip: str | None) -> bool:
    """Whether a key with this allow-list may be used from this address. An empty list allows every address.

    An address that is absent or none is outside every list; an IPv4 address mapped into IPv6 counts as IPv4.
    """
    if not cidrs:
        return True
    address = _address(client_ip)
    return address is not None and any(address in network for network in cidrs)


def _address(text: str | None) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text or "")
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def _checksum(body: str) -> str:
    value, digits = crc32(body.encode()), ""
    for _ in range(_CHECKSUM):
        value, digit = divmod(value, 62)
        digits = _BASE62[digit] + digits
    return digits
