"""A batch of a hundred drafts, beside one INSERT of the same hundred rows and their events."""

import asyncio
from collections.abc import Iterator, Sequence
from time import monotonic
from typing import Any

import asyncpg

from bench.harness import in_turn, timed
from bench.load.requests import batches
from bench.results import Figures
from bench.site import SETTLING, Site
from draftstore_common.kit.ids import uuid7

SIZE = 100
CONNECTIONS = 8

_SCRATCH = """
    DROP SCHEMA IF EXISTS bench CASCADE;
    CREATE SCHEMA bench;
    CREATE TABLE bench.drafts (LIKE metadata.drafts INCLUDING ALL);
    CREATE TABLE bench.events (LIKE metadata.events INCLUDING ALL)"""

_COLUMNS = """
    SELECT column_name, udt_name FROM information_schema.columns
    WHERE table_schema = 'metadata' AND table_name = 'drafts' ORDER BY ordinal_position"""

_MODELS = "SELECT * FROM metadata.drafts WHERE state = 'open' ORDER BY id DESC LIMIT $1"


class Insert:
    """The same rows by the leanest way there is: arrays in one prepared statement, which is one transaction.

    Rows are copies of drafts the product made; ids and keys are new, and made before the clock starts.
    """

    def __init__(self, columns: Sequence[tuple[str, str]], models: Sequence[asyncpg.Record]) -> None:
        names = ", ".join(name for name, _ in columns)
        arrays = ", ".join(f"${number}::{kind}[]" for number, (_, kind) in enumerate(columns, 1))
        self.statement = f"""
            WITH d AS (INSERT INTO bench.drafts ({names}) SELECT * FROM unnest({arrays}) RETURNING *)
            INSERT INTO bench.events (tenant_id, draft_id, object_name, type, to_state, actor)
            SELECT tenant_id, id, object_name, 'draft.open', 'open', created_by FROM d"""  # noqa: S608  names of columns
        self._names = [name for name, _ in columns]
        self._same = {name: [row[name] for row in models] for name in self._names}
        self._tenant = models[0]["tenant_id"]

    def arguments(self) -> list[list[Any]]:
        """One statement's worth of new rows, by column."""
        ids = [uuid7() for _ in range(SIZE)]
        new: dict[str, list[Any]] = {"id": ids, "storage_key": [f"{self._tenant}/{draft_id.hex}" for draft_id in ids]}
        return [new.get(name, self._same[name]) for name in self._names]


async def _inserted(pool: asyncpg.Pool, insert: Insert, seconds: float) -> float:
    """Rows per second over all connections."""
    waiting: Iterator[list[list[Any]]] = iter([insert.arguments() for _ in range(int(seconds * 600))])
    done, deadline = 0, monotonic() + seconds

    async def work() -> None:
        nonlocal done
        async with pool.acquire() as connection:
            for arguments in waiting:
                await connection.execute(insert.statement, *arguments)
                done += SIZE
                if monotonic() > deadline:
                    return

    with timed() as took:
        await asyncio.gather(*(work() for _ in range(pool.get_size())))
    return done / took()


async def measure(site: Site) -> list[Figures]:
    """Drafts per second, both with as many connections."""
    seconds = site.bench.scale.seconds

    async def batch(seconds: float = seconds) -> float:
        requests = batches(int(seconds * 150), SIZE, site.key)
        load = await site.send(requests, connections=CONNECTIONS, seconds=seconds, again=True)
        site.bench.say(f"batch: {load.all_are(201).rate * SIZE:,.0f} drafts/s")
        return load.rate * SIZE

    await batch(SETTLING)
    async with asyncpg.create_pool(site.stack.database_url, min_size=CONNECTIONS, max_size=CONNECTIONS) as pool:
        await pool.execute(_SCRATCH)
        columns = [(row["column_name"], row["udt_name"]) for row in await pool.fetch(_COLUMNS)]
        insert = Insert(columns, await pool.fetch(_MODELS, SIZE))

        async def reference() -> float:
            rate = await _inserted(pool, insert, seconds)
            site.bench.say(f"INSERT: {rate:,.0f} drafts/s")
            return rate

        own, other = await in_turn(site.bench.scale.rounds, batch, reference)
        await pool.execute("DROP SCHEMA bench CASCADE")
    return [Figures("batch", own, other)]
