"""Identifiers: time-ordered UUIDs for rows, random base62 for keys."""

import string
import time
from uuid import UUID

from draftstore_common.kit.randomness import random_below, random_bytes

BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase


_EVEN = 256 - 256 % len(BASE62)
_DIGITS = bytes(ord(BASE62[byte % len(BASE62)]) for byte in range(256))
_UNEVEN = bytes(range(_EVEN, 256))
"""Bytes that would make some characters likelier than others."""


def uuid7() -> UUID:
    """A UUID version 7 (RFC 9562 §5.7 and §6.2, method 3): time to a quarter of a microsecond, then 62 random bits.

    Ids made by one process in sequence sort in that sequence, as far as its clock does not step back.
    """
    return UUID(int=_first(1))


def uuid7_run(count: int) -> list[UUID]:
    """`count` of them in a row: each is the one before plus one, so the first and the count say all of them."""
    return following(UUID(int=_first(count)), count)


def following(first: UUID, count: int) -> list[UUID]:
    """The run of `count` ids that begins with `first`."""
    return [UUID(int=number) for number in range(first.int, first.int + count)]


def random_base62(length: int) -> str:
    """`length` characters, each of 5.95 bits from the system's secure source."""
    text = b""
    while len(text) < length:
        text += random_bytes(length + 4).translate(_DIGITS, _UNEVEN)
    return text[:length].decode()


def _first(count: int) -> int:
    """The number of an id that `count - 1` others can follow."""
    milliseconds, nanoseconds = divmod(time.time_ns(), 1_000_000)
    fraction = nanoseconds * 4096 // 1_000_000
    return milliseconds << 80 | 0x7 << 76 | fraction << 64 | 0b10 << 62 | random_below(2**62 - count)
