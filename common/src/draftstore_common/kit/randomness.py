"""Random bytes of the system's secure source, fetched many at a time: each fetch is a call of the kernel.

Every byte is given out once, in no other process and to nobody else, so it is worth what `os.urandom` is worth. What
differs is that up to `STOCK` bytes wait in this process's memory; whoever can read that has what they are for as well.
"""

import os
from io import BytesIO

STOCK = 4096
"""Bytes fetched at once."""


class _Stock:
    """Random bytes that wait. Reading is one step for the interpreter, so two threads never get the same ones."""

    def __init__(self) -> None:
        self._bytes = BytesIO()
        os.register_at_fork(after_in_child=self._forget)

    def take(self, count: int) -> bytes:
        """So many of them."""
        taken = self._bytes.read(count)
        if len(taken) == count:
            return taken
        if count > STOCK:
            return os.urandom(count)
        fresh = BytesIO(os.urandom(STOCK))
        taken = fresh.read(count)  # before anybody else sees what is left
        self._bytes = fresh
        return taken

    def _forget(self) -> None:
        """A child has its parent's memory, and must not have its parent's numbers."""
        self._bytes = BytesIO()


_STOCK = _Stock()


def random_bytes(count: int) -> bytes:
    """So many random bytes."""
    return _STOCK.take(count)


def random_hex(count: int) -> str:
    """So many random bytes in hexadecimal, two characters each."""
    return _STOCK.take(count).hex()


def random_below(bound: int) -> int:
    """A number from 0 up to, not including, `bound`, every one as likely as another."""
    bits = (bound - 1).bit_length()
    count = (bits + 7) // 8
    while True:
        number = int.from_bytes(_STOCK.take(count)) >> (8 * count - bits)
        if number < bound:
            return number
