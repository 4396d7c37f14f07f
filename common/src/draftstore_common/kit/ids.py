"""Identifiers: time-ordered UUIDs for rows, random base62 for keys."""

import secrets
import string
import time
from uuid import UUID

BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase


def uuid7() -> UUID:
    """A UUID version 7 (RFC 9562 §5.7): 48 bits of Unix milliseconds, then 74 random bits."""
    milliseconds = time.time_ns() // 1_000_000
    value = (milliseconds & 0xFFFF_FFFF_FFFF) << 80 | secrets.randbits(80)
    value = value & ~(0xF000 << 64) | 0x7000 << 64
    value = value & ~(0xC000 << 48) | 0x8000 << 48
    return UUID(int=value)


def random_base62(length: int) -> str:
    """`length` characters, each of 5.95 bits from the system's secure source."""
    return "".join(secrets.choice(BASE62) for _ in range(length))
