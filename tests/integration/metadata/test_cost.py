"""Cleaning and tending cost what is due, not what is stored: PostgreSQL finds it by an index and reads nothing else."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from draftstore_metadata.store import due, tend
from support.metadata import Metadata

_MANY = """
    INSERT INTO metadata.drafts (id, tenant_id, bucket, object_name, storage_key, state, upload_type, metadata,
        created_by, expires_at, write_horizon_at, lifetime_ends_at, purge_due_at)
    SELECT gen_random_uuid(), '00000000-0000-7000-8000-000000000000', 'main', 'n' || n, 'k' || n,
        CASE n % 2 WHEN 0 THEN 'open' ELSE 'discarded' END, 'put', '{}', 'key:test',
        now() + interval '1 day', now() + interval '1 day', now() + interval '7 days', now() + interval '1 day'
    FROM generate_series(1, 20000) AS n"""

_MANY_KEYS = """
    INSERT INTO metadata.object_keys (id, storage_key, tenant_id, draft_id, source_etag, state, purge_due_at)
    SELECT gen_random_uuid(), 'k' || n, gen_random_uuid(), gen_random_uuid(), 'e',
        CASE n % 2 WHEN 0 THEN 'published' ELSE 'garbage' END, CASE n % 2 WHEN 1 THEN now() + interval '1 day' END
    FROM generate_series(1, 20000) AS n"""

HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("statement", "arguments", "index"),
    [
        (due._TAKE_DRAFTS, (1000, HOUR), "drafts_to_purge"),
        (due._TAKE_KEYS, (1000, HOUR), "object_keys_purge_due"),
        (tend._TEND, (1000, HOUR, HOUR), "drafts_to_tend"),
    ],
    ids=["drafts to purge", "keys to purge", "drafts to tend"],
)
async def test_what_is_due_is_found_by_its_index_however_much_is_stored(
    metadata: Metadata, statement: str, arguments: tuple[Any, ...], index: str
) -> None:
    await metadata.database.rows(_MANY)
    await metadata.database.rows(_MANY_KEYS)
    await metadata.database.rows("ANALYZE metadata.drafts, metadata.object_keys")
    lines = [row[0] for row in await metadata.database.rows(f"EXPLAIN {statement}", *arguments)]
    assert any(index in line for line in lines), lines
    assert [line for line in lines if "Seq Scan" in line] == []


@pytest.mark.parametrize("statement", [due._PURGED_DRAFTS, due._PURGED_KEYS], ids=["drafts", "keys"])
async def test_what_is_gone_is_noted_row_by_row_whatever_the_statistics_say(metadata: Metadata, statement: str) -> None:
    ids = [uuid4() for _ in range(1000)]
    more = (HOUR, 1000) if statement == due._PURGED_KEYS else ()
    plan = await metadata.database.rows(f"EXPLAIN {statement}", ids, [False] * len(ids), *more)
    lines = [row[0] for row in plan]
    assert [line for line in lines if "Join Filter" in line] == [], lines
    assert any("Index Cond: (id = r.id)" in line for line in lines), lines
