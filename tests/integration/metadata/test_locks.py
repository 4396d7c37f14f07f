"""Rows of several drafts are locked in one order, whoever asks: two who want the same never wait for each other."""

import asyncio
from collections.abc import Coroutine
from typing import Any
from uuid import UUID

import pytest

from draftstore_common.contracts import confirm
from draftstore_common.kit.database import Database, DatabaseUnavailable
from support.metadata import PAST, Metadata, age, claim_all, create

_WAITING = """SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock'"""


async def _waiting(database: Database, count: int) -> None:
    async with asyncio.timeout(10):
        while (await database.rows(_WAITING))[0][0] < count:
            await asyncio.sleep(0.01)


async def test_a_late_renewal_and_a_recovery_of_the_same_drafts_do_not_lock_each_other_out(metadata: Metadata) -> None:
    drafts = [await create(metadata, f"locks/{n}") for n in range(20)]
    claimed = (await claim_all(metadata, *drafts)).claimed
    for draft in drafts:
        await age(metadata, draft, lease_expires_at=PAST)
    ids = sorted(draft.id for draft in drafts)
    backwards = sorted(claimed, key=lambda draft: draft.id, reverse=True)
    claims = [confirm.Claim(draft_id=draft.id, fence=draft.fence) for draft in backwards]
    renewal = confirm.RenewClaims(tenant_id=drafts[0].tenant_id, claims=claims, lease_ttl=60)
    steps: list[Coroutine[Any, Any, None]] = [
        metadata.claims.recover(drafts[0].tenant_id, ids),
        metadata.claims.renew(renewal),
    ]
    tasks: list[asyncio.Task[None]] = []
    async with metadata.database.transaction() as connection:
        await connection.execute("SELECT FROM metadata.drafts WHERE id = $1 FOR UPDATE", ids[0])
        for step in steps:
            tasks.append(asyncio.create_task(step))
            await _waiting(metadata.database, len(tasks))
    recovered, renewed = await asyncio.gather(*tasks, return_exceptions=True)
    assert recovered is None
    with pytest.raises(Exception, match="lease_lost"):
        raise renewed or AssertionError("renewed what was given back")


async def test_a_deadlock_is_a_reason_to_try_again_not_an_error_of_ours(metadata: Metadata) -> None:
    one, other = sorted([(await create(metadata, name)).id for name in ("locks/one", "locks/other")])
    locked = asyncio.Barrier(2)

    async def lock(*ids: UUID) -> None:
        async with metadata.database.transaction() as connection:
            await connection.execute("SELECT FROM metadata.drafts WHERE id = $1 FOR UPDATE", ids[0])
            await locked.wait()
            await connection.execute("SELECT FROM metadata.drafts WHERE id = $1 FOR UPDATE", ids[1])

    outcomes = await asyncio.gather(lock(one, other), lock(other, one), return_exceptions=True)
    [failed] = [outcome for outcome in outcomes if outcome is not None]
    assert isinstance(failed, DatabaseUnavailable)
