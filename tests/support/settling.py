"""After a load: time passes for every row until nothing is due any more, and a cleaner does its work."""

from collections.abc import Awaitable, Callable, Sequence

import asyncpg

Sql = Callable[..., Awaitable[Sequence[asyncpg.Record]]]
"""Runs a statement with its arguments, and answers its rows."""

DAYS = 30
ROUNDS = 12
"""A draft needs four: given back, expired, purged, purged again."""

_INSTANTS = """
    SELECT column_name FROM information_schema.columns
    WHERE table_schema = 'metadata' AND table_name = $1 AND data_type = 'timestamp with time zone'"""

_DUE = """
    SELECT (SELECT count(*) FROM metadata.drafts
        WHERE purge_due_at IS NOT NULL OR state NOT IN ('confirmed', 'purged'))
        + (SELECT count(*) FROM metadata.object_keys WHERE state IN ('reserved', 'garbage'))
        + (SELECT count(*) FROM metadata.confirmations WHERE state IN ('working', 'prepared')) AS due"""


async def settle(sql: Sql, clean: Callable[[], Awaitable[object]]) -> tuple[int, int]:
    """Age and clean until nothing is due, or for `ROUNDS` rounds: how many it took, and how many rows are left."""
    left = await _due(sql)
    for number in range(ROUNDS):
        if left == 0:
            return number, 0
        for table in ("drafts", "object_keys", "confirmations"):
            await _age(sql, table)
        await clean()
        left = await _due(sql)
    return ROUNDS, left


async def _due(sql: Sql) -> int:
    (row,) = await sql(_DUE)
    return int(row["due"])


async def _age(sql: Sql, table: str) -> None:
    columns = [str(row["column_name"]) for row in await sql(_INSTANTS, table)]
    moved = ", ".join(f"{column} = {column} - make_interval(days => {DAYS})" for column in columns)
    await sql(f"UPDATE metadata.{table} SET {moved}")  # noqa: S608  names of columns
