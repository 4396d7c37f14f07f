"""Connections to PostgreSQL are shared fairly: however many want one, nobody is overtaken."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from draftstore_common.kit.context import set_timeout
from draftstore_common.kit.database import Database, DatabaseUnavailable

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


async def test_the_wait_for_a_connection_is_part_of_the_time_a_request_has(postgres_url: str) -> None:
    async def ask() -> None:
        set_timeout(1.5)
        with pytest.raises(DatabaseUnavailable):
            await database.row("SELECT pg_sleep(30)")

    async with Database(postgres_url, size=1) as database:
        async with database.connection():
            asked = asyncio.create_task(ask())
            await asyncio.sleep(1.2)
        ended, _ = await asyncio.wait([asked], timeout=1)  # if it began with the statement, it would end in 1.5
        await asked
    assert ended


async def test_a_request_whose_time_is_over_asks_for_nothing_any_more(postgres_url: str) -> None:
    async def late() -> None:
        set_timeout(0)
        await database.row("CREATE TABLE too_late ()")

    async with Database(postgres_url) as database:
        with pytest.raises(DatabaseUnavailable):
            await asyncio.create_task(late())
        found = await database.row("SELECT to_regclass('too_late') AS table")
    assert found is not None
    assert found["table"] is None


async def test_callers_that_leave_at_any_moment_take_no_connection_along(postgres_url: str) -> None:
    async def ask() -> None:
        await database.row("SELECT pg_sleep(0.002)")

    async with Database(postgres_url, size=3) as database:
        for turns in range(60):
            tasks = [asyncio.create_task(ask()) for _ in range(12)]
            for _ in range(turns):
                await asyncio.sleep(0)
            for task in tasks[:: 1 + turns % 3]:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        async with asyncio.timeout(5), asyncio.TaskGroup() as group:
            for _ in range(9):
                group.create_task(ask())
        async with AsyncExitStack() as stack:
            held = [await stack.enter_async_context(database.connection()) for _ in range(3)]
            assert len({connection.get_server_pid() for connection in held}) == 3
