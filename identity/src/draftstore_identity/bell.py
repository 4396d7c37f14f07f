"""Wakes whoever waits for a change, whichever instance made it: PostgreSQL's LISTEN, on a connection of its own."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Self

import asyncpg

from draftstore_common.kit.errors import chain
from draftstore_identity.tables import CHANGES_CHANNEL

log = logging.getLogger(__name__)

HEARTBEAT = 5.0
"""Seconds between two signs of life from a connection that hears nothing, and seconds one may take."""

RETRY = 1.0
POLL = 1.0

Connect = Callable[[], Awaitable["asyncpg.Connection[asyncpg.Record]"]]


class ChangeBell:
    """Rings after each change that was committed, and when it may have missed one.

    It runs between entering and leaving. While its connection is lost it rings for nothing: `patience` says how long
    silence may be taken for an answer.
    """

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._next = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.listening = False

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    @property
    def next(self) -> asyncio.Event:
        """What the next ring sets. Take it before looking: what happens between looking and waiting has rung it."""
        return self._next

    @property
    def patience(self) -> float:
        """Seconds after which it is better to look than to wait for the bell."""
        return HEARTBEAT if self.listening else POLL

    def ring(self) -> None:
        """Wake everyone who waits."""
        self._next.set()
        self._next = asyncio.Event()

    async def _run(self) -> None:
        warned = False
        while True:
            try:
                await self._listen()
            except Exception as error:  # whatever it was, those who wait look for themselves meanwhile
                if self.listening or not warned:
                    log.warning("not listening for changes", extra={"causes": chain(error)})
                self.listening, warned = False, True
            self.ring()
            await asyncio.sleep(RETRY)

    async def _listen(self) -> None:
        """Listen for as long as the connection lives; raises when it does not any more."""
        connection = await self._connect()
        try:
            closed = asyncio.Event()
            connection.add_termination_listener(lambda _: closed.set())
            await connection.add_listener(CHANGES_CHANNEL, lambda *_: self.ring())
            self.listening = True
            self.ring()  # nobody told us of what happened before
            log.info("listening for changes")
            while not await _set_within(closed, HEARTBEAT):
                await connection.execute("SELECT 1", timeout=HEARTBEAT)
            raise ConnectionError("PostgreSQL closed the connection")
        finally:
            await _close(connection)


async def _set_within(event: asyncio.Event, seconds: float) -> bool:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
    return event.is_set()


async def _close(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    try:
        await connection.close(timeout=1.0)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        log.debug("connection not closed in order", extra={"causes": chain(error)})
        connection.terminate()
