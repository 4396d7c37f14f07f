"""Connections to PostgreSQL are shared fairly: however many want one, nobody is overtaken."""

import asyncio

from draftstore_common.kit.database import Database

CALLERS = 200


async def test_whoever_waits_for_a_connection_has_it_in_turn(postgres_url: str) -> None:
    served: list[int] = []

    async def ask(caller: int) -> None:
        async with database.connection():
            served.append(caller)
            await asyncio.sleep(0)

    async with Database(postgres_url, size=1) as database, asyncio.TaskGroup() as callers:
        for caller in range(CALLERS):
            callers.create_task(ask(caller))
            await asyncio.sleep(0)  # the next one comes a turn later, while others are served
    assert served == sorted(served)
