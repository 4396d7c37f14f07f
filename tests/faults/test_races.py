"""Many at once: confirms of one draft, confirms against expiry, cleaners against each other."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from typing import TypeVar

import pytest
import pytest_asyncio

from draftstore_cleaner.service import Report
from support.installation import Installation, site
from support.lives import Life, Point, stalled
from support.promises import Draft, confirmed_once, ended, nothing_is_left_but_objects
from support.proxy import Proxy
from support.servers import Postgres, Store

T = TypeVar("T")

CONFIRMS = 200
RACES = 100
AT_ONCE = 20
"""Races under way together."""

COPY = b"\r\nx-amz-copy-source:"
DAY = 24 * 3600


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def proxy(store: Store) -> AsyncIterator[Proxy]:
    """Between storage-service and the store."""
    async with Proxy(store.endpoint) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def whole(postgres: Postgres, store: Store, proxy: Proxy) -> AsyncIterator[Installation]:
    """A suite that reaches its store through the proxy."""
    async with site(postgres.url, store, store=proxy) as ground, ground.running() as running:
        yield running


@pytest.mark.parametrize("processes", [1, 4])
async def test_200_confirms_of_one_draft_are_one_copy_and_200_equal_receipts(
    whole: Installation, proxy: Proxy, processes: int
) -> None:
    draft = await whole.upload(f"crowd/{processes}.bin", b"wanted by many")
    copies = proxy.watch(COPY)
    async with AsyncExitStack() as stack:
        doors = [await stack.enter_async_context(whole.process(Life())) for _ in range(processes)]
        replies = await asyncio.gather(*(doors[number % processes].confirm(draft) for number in range(CONFIRMS)))
    assert {reply.status for reply in replies} == {200}
    assert len({reply.body for reply in replies}) == 1
    assert copies.seen == 1
    assert await confirmed_once(whole, draft, b"wanted by many") == json.loads(replies[0].body)
    assert copies.seen == 1


async def test_60_equal_bundles_copy_each_draft_once_and_answer_equal_receipts(
    whole: Installation, proxy: Proxy
) -> None:
    drafts = [await whole.upload(f"crowd/bundle-{number}.bin", b"%d" % number) for number in range(5)]
    copies, ids = proxy.watch(COPY), [draft["id"] for draft in drafts]
    async with AsyncExitStack() as stack:
        doors = [await stack.enter_async_context(whole.process(Life())) for _ in range(3)]
        asked = (doors[number % 3].ask("POST", "/confirmations", {"draft_ids": ids}) for number in range(60))
        replies = await asyncio.gather(*asked)
    assert {reply.status for reply in replies} == {200}
    receipts = json.loads(replies[0].body)["receipts"]
    assert [receipt["draft_id"] for receipt in receipts] == ids
    assert all(json.loads(reply.body)["receipts"] == receipts for reply in replies)
    assert copies.seen == len(drafts)


async def test_100_confirms_against_100_expiries_end_each_exactly_one_way(whole: Installation) -> None:
    drafts = [await whole.upload(f"race/{number}.bin", b"%d" % number) for number in range(RACES)]
    confirmed = asyncio.create_task(_in_any_order(drafts, whole.door.confirm))
    expired = asyncio.create_task(_in_any_order(drafts, lambda draft: _overdue_now(whole, draft)))
    while not (confirmed.done() and expired.done()):
        await whole.cleaner.run()
    await expired
    replies = await confirmed
    await whole.clean_up_after(drafts)
    for number, draft in enumerate(drafts):
        reply = replies[draft["id"]]
        if reply.status == 200:
            await confirmed_once(whole, draft, b"%d" % number, reply)
        else:
            assert (reply.status, json.loads(reply.body)["code"]) == (410, "draft_expired")
            await ended(whole, draft, "purged")
    await nothing_is_left_but_objects(whole, drafts)
    assert {reply.status for reply in replies.values()} == {200, 410}


async def _in_any_order(drafts: Sequence[Draft], act: Callable[[Draft], Awaitable[T]]) -> dict[str, T]:
    """Do something to each draft, in an order of its own, some at once; what came of it, by draft."""
    slots = asyncio.Semaphore(AT_ONCE)

    async def one(draft: Draft) -> tuple[str, T]:
        async with slots:
            return draft["id"], await act(draft)

    return dict(await asyncio.gather(*(one(draft) for draft in random.sample(drafts, len(drafts)))))


async def _overdue_now(whole: Installation, draft: Draft) -> None:
    """Let a draft's time be over at this instant, whatever happens to it; a claim's lease is another time."""
    sql = """UPDATE metadata.drafts SET expires_at = now(),
            purge_due_at = CASE WHEN state IN ('open', 'uploaded') THEN now() ELSE purge_due_at END
        WHERE id = $1"""
    await whole.database.rows(sql, draft["id"])


async def test_two_cleaners_at_once_share_the_work_and_count_each_key_once(whole: Installation) -> None:
    drafts = [await whole.upload(f"shared/{number}.bin", b"12345", size=5) for number in range(30)]
    await whole.pass_time(drafts, DAY)
    first_life = Life(freezes=Point(1, "after", "/due/claim"))
    async with (
        whole.another_cleaner(first_life, cleaner_max_items=20) as first,
        whole.another_cleaner(Life(), cleaner_max_items=20) as second,
    ):
        running = await stalled(first_life, first.run())
        reports = [await second.run()]
        first_life.thaw()
        reports.append(await running)
    assert sorted(report.objects for report in reports) == [10, 20]
    assert _sums(reports) == (30, 30 * 5, 0)
    assert await _times_purged(whole, drafts) == {1}
    await whole.clean_up_after(drafts)
    await nothing_is_left_but_objects(whole, drafts)


async def test_many_cleaners_at_once_purge_nothing_twice(whole: Installation) -> None:
    drafts = [await whole.upload(f"many/{number}.bin", b"12345", size=5) for number in range(40)]
    await whole.pass_time(drafts, DAY)
    await whole.cleaner.recover()  # whoever meets drafts that another is just letting expire leaves them to it
    async with AsyncExitStack() as stack:
        made = [whole.another_cleaner(Life(), cleaner_max_items=10) for _ in range(6)]
        cleaners = [await stack.enter_async_context(cleaner) for cleaner in made]
        reports = await asyncio.gather(*(cleaner.run() for cleaner in cleaners))
    assert _sums(reports) == (40, 40 * 5, 0)
    assert await _times_purged(whole, drafts) == {1}


async def test_what_another_holds_when_a_cleaner_comes_is_cleaned_by_the_next(whole: Installation) -> None:
    drafts = [await whole.upload(f"held/{number}.bin", b"12345", size=5) for number in range(5)]
    await whole.pass_time(drafts, DAY)
    async with whole.database.transaction() as other:
        await other.execute(
            "SELECT FROM metadata.drafts WHERE id = ANY ($1::uuid[]) FOR UPDATE", [draft["id"] for draft in drafts]
        )
        assert (await whole.cleaner.run()).objects == 0
    assert (await whole.cleaner.run()).objects == 5
    await whole.clean_up_after(drafts)
    await nothing_is_left_but_objects(whole, drafts)


async def test_what_a_killed_cleaner_had_taken_is_cleaned_by_the_next_once_its_lease_is_over(
    whole: Installation,
) -> None:
    drafts = [await whole.upload(f"killed/{number}.bin", b"12345", size=5) for number in range(5)]
    await whole.pass_time(drafts, DAY)
    killed = Life(dies=Point(1, "after", "/due/claim"))
    async with whole.another_cleaner(killed) as cleaner:
        await asyncio.gather(cleaner.run(), return_exceptions=True)
    assert (killed.dead, (await whole.cleaner.run()).objects) == (True, 0)
    await whole.pass_time(drafts, 301)
    assert (await whole.cleaner.run()).objects == 5
    await whole.clean_up_after(drafts)
    await nothing_is_left_but_objects(whole, drafts)


def _sums(reports: list[Report]) -> tuple[int, int, int]:
    return (
        sum(report.objects for report in reports),
        sum(report.bytes for report in reports),
        sum(report.failed for report in reports),
    )


async def _times_purged(whole: Installation, drafts: Sequence[Draft]) -> set[int]:
    """How often each draft was noted as purged, by its events."""
    sql = """SELECT count(*) FROM metadata.events
        WHERE draft_id = ANY ($1::uuid[]) AND type = 'draft.purged' GROUP BY draft_id"""
    rows = await whole.database.rows(sql, [draft["id"] for draft in drafts])
    assert len(rows) == len(drafts)
    return {int(row[0]) for row in rows}
