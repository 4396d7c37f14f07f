"""After the load: time passes for every row until nothing is due any more, and cleaners do their work."""

from faults.soak.clock import Rows
from faults.soak.system import Cleaners

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


async def settle(cleaners: Cleaners, rows: Rows) -> tuple[int, int]:
    """Age and clean until nothing is due or it does not get less: how many rounds, and how many rows are left."""
    left = await _due(rows)
    for number in range(ROUNDS):
        if left == 0:
            return number, 0
        for table in ("drafts", "object_keys", "confirmations"):
            await _age(rows, table)
        await cleaners.once()
        left = await _due(rows)
    return ROUNDS, left


async def _due(rows: Rows) -> int:
    (row,) = await rows.run(_DUE)
    return int(row["due"])


async def _age(rows: Rows, table: str) -> None:
    columns = [str(row["column_name"]) for row in await rows.run(_INSTANTS, table)]
    moved = ", ".join(f"{column} = {column} - make_interval(days => {DAYS})" for column in columns)
    await rows.run(f"UPDATE metadata.{table} SET {moved}")  # noqa: S608  names of columns
