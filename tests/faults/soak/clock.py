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

# Rows are locked as the product locks them: confirmations first, then drafts in the order of their ids.

# An attempt under way keeps its lease: the draft's time is over all the same. Nobody is warned any more.
_EXPIRE = """
    WITH chosen AS (
        SELECT id FROM metadata.drafts WHERE id = any($1::uuid[]) AND state IN ('open', 'uploaded', 'confirming')
        ORDER BY id FOR UPDATE
    )
    UPDATE metadata.drafts d SET expires_at = now() + $2, warn_at = NULL, purge_due_at =
        CASE WHEN d.state IN ('open', 'uploaded') THEN now() + $2 ELSE d.purge_due_at END
    FROM chosen WHERE d.id = chosen.id RETURNING d.id"""

_END_CLAIMS = """
    WITH owners AS (
        SELECT c.id FROM metadata.confirmations c WHERE c.state IN ('working', 'prepared') AND c.id IN (
            SELECT confirmation_id FROM metadata.drafts WHERE id = any($1::uuid[])) ORDER BY c.id FOR UPDATE
    ), moved AS (
        UPDATE metadata.confirmations c SET lease_expires_at = now() + $2 FROM owners WHERE c.id = owners.id
    ), chosen AS (
        SELECT d.id FROM metadata.drafts d WHERE d.id = any($1::uuid[]) AND d.state = $3
            AND (d.confirmation_id IS NULL OR d.confirmation_id IN (SELECT id FROM owners))
        ORDER BY d.id FOR UPDATE
    )
    UPDATE metadata.drafts d SET lease_expires_at = now() + $2, purge_due_at = now() + $2
    FROM chosen WHERE d.id = chosen.id RETURNING d.id"""


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

    async def expire(self, ids: Sequence[str], seconds: float) -> list[str]:
        """Let the time of drafts be over in so many seconds; those that had not ended before."""
        return [str(row["id"]) for row in await self.run(_EXPIRE, list(ids), timedelta(seconds=seconds))]

    async def lapse(self, ids: Sequence[str]) -> int:
        """Let the leases of attempts run out, as if their processes had slept; how many there were."""
        return len(await self.run(_END_CLAIMS, list(ids), timedelta(), "confirming"))

    async def end_hold(self, ids: Sequence[str], seconds: float) -> None:
        """Let the deadline of what is prepared come in so many seconds."""
        await self.run(_END_CLAIMS, list(ids), timedelta(seconds=seconds), "prepared")

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
