"""Common statements: a tenant whose statements are stuck stops nobody else's."""

import asyncio
from uuid import uuid4

from draftstore_common.kit.database import Database
from draftstore_metadata.store import names
from support.metadata import Metadata, claim, create, publish, reserve


async def test_a_tenant_whose_publications_wait_for_a_lock_keeps_no_other_tenant_waiting(
    metadata: Metadata, postgres_url: str
) -> None:
    slow, other = uuid4(), uuid4()
    ready = []
    for number, tenant in enumerate((slow, slow, slow, other)):
        claimed = await claim(metadata, await create(metadata, f"lanes/{number}", tenant))
        ready.append((claimed, await reserve(metadata, claimed)))
    async with Database(postgres_url, size=1) as elsewhere, elsewhere.transaction() as holder:
        await names.alone(holder, slow)  # as a prepare of a large bundle does
        stuck = []
        for claimed, key in ready[:3]:
            stuck.append(asyncio.create_task(publish(metadata, claimed, key)))
            await asyncio.sleep(0.05)  # so that each leaves in a statement of its own while there are lanes
        async with asyncio.timeout(3):
            receipt = await publish(metadata, *ready[3])
        assert not any(task.done() for task in stuck)
    assert receipt.object_name == "lanes/3"
    await asyncio.gather(*stuck)


async def test_a_draft_whose_row_is_locked_keeps_no_other_tenants_claims_waiting(
    metadata: Metadata, postgres_url: str
) -> None:
    drafts = [await create(metadata, f"locked/{number}", uuid4()) for number in range(3)]
    async with Database(postgres_url, size=1) as elsewhere, elsewhere.transaction() as holder:
        await holder.fetch("SELECT FROM metadata.drafts WHERE id = ANY($1) FOR UPDATE", [d.id for d in drafts[:2]])
        stuck = []
        for draft in drafts[:2]:
            stuck.append(asyncio.create_task(claim(metadata, draft)))
            await asyncio.sleep(0.05)
        async with asyncio.timeout(3):
            assert (await claim(metadata, drafts[2])).outcome == "claimed"
    await asyncio.gather(*stuck)
