"""An answer's head and body in one write: each one alone is a call of the kernel, and wakes up who reads."""

import asyncio
from typing import Any

SMALL = 64 * 1024
"""Bytes that are cheaper to copy than to write apart."""


class OneWrite:
    """A transport for one answer. What is written first waits for what follows, until the loop's next turn at most."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._head: bytes | None = None
        self._begun = False

    def write(self, data: bytes) -> None:
        """As the transport's, in the same order."""
        if not self._begun:
            self._begun, self._head = True, data
            self._loop.call_soon(self._flush)
        elif self._head is not None and len(data) <= SMALL:
            head, self._head = self._head, None
            self._transport.write(head + data)
        else:
            self._flush()
            self._transport.write(data)

    def close(self) -> None:
        """As the transport's: after what was written."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._head is not None:
            head, self._head = self._head, None
            if not self._transport.is_closing():  # the connection was cut meanwhile
                self._transport.write(head)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
