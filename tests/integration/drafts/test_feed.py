"""The feed of events skips nothing, whoever is still at work in a transaction."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from support.installation import Installation, site
from support.servers import Postgres, Store

WRITERS = 20
EACH = 4
WRITE_AN_EVENT = """
    INSERT INTO metadata.events (tenant_id, draft_id, object_name, type, actor)
    SELECT tenant_id, id, object_name, 'draft.noted', 'service:tests' FROM metadata.drafts WHERE id = $1"""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def whole(postgres: Postgres, store: Store) -> AsyncIterator[Installation]:
    """A suite whose feed nobody else writes to."""
    async with site(postgres.url, store) as ground, ground.running() as running:
        yield running


class Reader:
    """Polls the feed from where it is."""

    def __init__(self, whole: Installation, limit: int) -> None:
        self._whole = whole
        self._limit = limit
        self._cursor: str | None = None
        self.seen: list[int] = []

    async def poll(self) -> int:
        """How many events came."""
        after = "" if self._cursor is None else f"&after={self._cursor}"
        page = await self._whole.door.get("GET", f"/events?limit={self._limit}{after}")
        self.seen += [event["id"] for event in page["items"]]
        self._cursor = page["next_cursor"] or self._cursor
        return len(page["items"])

    async def poll_until(self, done: asyncio.Event) -> None:
        """Poll on; end with the first empty page that was asked for after the event."""
        while True:
            last = done.is_set()
            if not await self.poll() and last:
                return


async def write(whole: Installation, writer: int) -> None:
    """Some changes of one caller, one transaction each."""
    for number in range(EACH):
        draft = await whole.new(f"feed/{writer}/{number}")
        await whole.door.ask("DELETE", f"/drafts/{draft['id']}")


async def everything(whole: Installation) -> list[int]:
    """Every event there is, as the rows have it."""
    return [row["id"] for row in await whole.database.rows("SELECT id FROM metadata.events ORDER BY txid, id")]


async def write_slowly(whole: Installation, draft: Any, begun: asyncio.Event, may_end: asyncio.Event) -> None:
    """A writer that has written and takes its time to commit."""
    async with whole.database.transaction() as connection:
        await connection.execute(WRITE_AN_EVENT, draft["id"])
        begun.set()
        await may_end.wait()


@pytest.mark.parametrize("limit", [1, 7, 1000])
async def test_polling_misses_nothing_while_twenty_write_and_one_takes_its_time(
    whole: Installation, limit: int
) -> None:
    slow = await whole.new("feed/slow")
    begun, may_end, done = asyncio.Event(), asyncio.Event(), asyncio.Event()
    holding = asyncio.create_task(write_slowly(whole, slow, begun, may_end))
    await begun.wait()
    readers = [Reader(whole, limit), Reader(whole, 1000)]
    polling = [asyncio.create_task(reader.poll_until(done)) for reader in readers]
    await asyncio.gather(*(write(whole, writer) for writer in range(WRITERS)))
    may_end.set()
    await holding
    done.set()
    await asyncio.gather(*polling)
    assert readers[0].seen == readers[1].seen == await everything(whole)


async def test_polling_misses_nothing_when_transactions_end_out_of_order(whole: Installation) -> None:
    draft = await whole.new("feed/order")
    reader, done = Reader(whole, 3), asyncio.Event()
    polling = asyncio.create_task(reader.poll_until(done))

    async def note(number: int) -> None:
        async with whole.database.transaction() as connection:
            await connection.execute(WRITE_AN_EVENT, draft["id"])
            await asyncio.sleep(0.02 * (number % 5))  # those that began first end last, or not
            await connection.execute(WRITE_AN_EVENT, draft["id"])

    await asyncio.gather(*(note(number) for number in range(40)))
    done.set()
    await polling
    assert reader.seen == await everything(whole)


async def test_an_abandoned_transaction_leaves_no_gap(whole: Installation) -> None:
    draft = await whole.new("feed/abandoned")
    holding = asyncio.create_task(write_slowly(whole, draft, begun := asyncio.Event(), asyncio.Event()))
    await begun.wait()
    holding.cancel()
    await asyncio.wait([holding])
    reader, done = Reader(whole, 5), asyncio.Event()
    done.set()
    await write(whole, 99)
    await reader.poll_until(done)
    assert reader.seen == await everything(whole)
