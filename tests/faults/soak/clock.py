"""Time passes for rows: the load moves rows, never a clock, and past every service and proxy."""

import asyncio
import time
from collections.abc import Sequence
from datetime import timedelta
from types import TracebackType
from typing import Any, Self

import asyncpg

from faults.soak.client import PATIENCE, StuckError

_AWAY = (OSError, TimeoutError, asyncpg.InterfaceError, asyncpg.InternalClientError, asyncpg.PostgresConnectionError)
_RESTARTING = (asyncpg.exceptions.OperatorInterventionError,)

# An attempt under way keeps its lease: the draft's time is over all the same.
_EXPIRE = """
    UPDATE metadata.drafts SET expires_at = now() + $2, purge_due_at =
        CASE WHEN state IN ('open', 'uploaded') THEN now() + $2 ELSE purge_due_at END
    WHERE id = any($1) AND state IN ('open', 'uploaded', 'confirming') RETURNING id, state"""

_LAPSE = """
    UPDATE metadata.drafts SET lease_expires_at = now(), purge_due_at = now()
    WHERE id = any($1) AND state = 'confirming' RETURNING id"""


class Rows:
    """Statements that are repeated until PostgreSQL answers."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None

    async def __aenter__(self) -> Self:
        self._pool = await asyncpg.create_pool(self._url, min_size=0, max_size=6, timeout=5, command_timeout=60)
        return self

    async def __aexit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.terminate()

    async def expire(self, ids: Sequence[str], seconds: float) -> dict[str, str]:
        """Let the time of drafts be over in so many seconds; those it could be said of, with their states."""
        rows = await self.run(_EXPIRE, list(ids), timedelta(seconds=seconds))
        return {str(row["id"]): row["state"] for row in rows}

    async def lapse(self, ids: Sequence[str]) -> int:
        """Let the leases of attempts run out, as if their processes had slept; how many there were."""
        return len(await self.run(_LAPSE, list(ids)))

    async def run(self, statement: str, *arguments: Any) -> list[asyncpg.Record]:
        """The rows a repeatable statement answers, however often PostgreSQL is killed meanwhile."""
        assert self._pool is not None, "entered"
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            try:
                return list(await self._pool.fetch(statement, *arguments))
            except (*_AWAY, *_RESTARTING):
                await asyncio.sleep(0.2)
        raise StuckError(f"PostgreSQL did not take: {statement}")
