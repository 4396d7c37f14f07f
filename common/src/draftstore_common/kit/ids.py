"""Identifiers: time-ordered UUIDs for rows, random base62 for keys."""

import secrets
import string
import time
from uuid import UUID

BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase


def uuid7() -> UUID:
    """A UUID version 7 (RFC 9562 §5.7 and §6.2, method 3): time to a quarter of a microsecond, then 62 random bits.

    Ids made by one process in sequence sort in that sequence, as far as its clock does not step back.
    """
    milliseconds, nanoseconds = divmod(time.time_ns(), 1_000_000)
    fraction = nanoseconds * 4096 // 1_000_000
    return UUID(int=milliseconds << 80 | 0x7 << 76 | fraction << 64 | 0b10 << 62 | secrets.randbits(62))


def random_base62(length: int) -> str:
    """`length` characters, each of 5.95 bits from the system's secure source."""
    number, characters = secrets.randbelow(62**length), []
    for _ in range(length):
        number, digit = divmod(number, 62)
        characters.append(BASE62[digit])
    return "".join(characters)
