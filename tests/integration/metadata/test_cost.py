"""Cleaning and tending cost what is due, not what is stored: PostgreSQL finds it by an index and reads nothing else."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from draftstore_common.contracts.base import DEFAULT_TENANT_ID
from draftstore_metadata.store import claims, due, keys, publish, tend
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


_ONE = [UUID(int=1)]
_GIVEN: list[dict[str, Any]] = [{"draft_id": str(_ONE[0]), "fence": 1}]

_SOME = _MANY.replace("20000", "2000")
"""So few that reading all of them looks cheap to PostgreSQL."""

_CONFIRMING = """
    UPDATE metadata.drafts SET state = 'confirming', lease_expires_at = now() + interval '1 minute'
    WHERE storage_key = 'k2'"""


@pytest.mark.parametrize(
    ("statement", "arguments"),
    [
        (claims._CLAIM, (DEFAULT_TENANT_ID, _ONE, "key:test", "confirm", HOUR, None, None)),
        (claims._CLAIM_EACH, (DEFAULT_TENANT_ID, _ONE, "key:test", "confirm", HOUR, None, None)),
        (claims._RENEW, (DEFAULT_TENANT_ID, _ONE, [1], HOUR)),
        (claims._RELEASE, (DEFAULT_TENANT_ID, _ONE, "key:test", "refused", _GIVEN, HOUR)),
        (keys._RESERVE_ALL, (DEFAULT_TENANT_ID, _ONE, _GIVEN, "confirming", True)),
        (keys._RESERVE_EACH, (DEFAULT_TENANT_ID, _ONE, _GIVEN, "confirming", True)),
        (keys._PUBLISH, (DEFAULT_TENANT_ID, _ONE, _GIVEN, "confirming")),
        (publish._INSERT, ("store", _GIVEN, _ONE)),
        (publish._REPLACE, ("store", _GIVEN, _ONE, _ONE)),
        (publish._CONFIRMED, (DEFAULT_TENANT_ID, _ONE, "key:test", "published", _GIVEN)),
    ],
    ids=[
        "claim",
        "claim each",
        "renew",
        "release",
        "reserve",
        "reserve each",
        "keys",
        "insert",
        "replace",
        "confirmed",
    ],
)
async def test_a_confirm_reads_its_own_rows_however_many_its_tenant_has(
    metadata: Metadata, statement: str, arguments: tuple[Any, ...]
) -> None:
    await metadata.database.rows(_SOME.replace("ELSE 'discarded'", "ELSE 'open'"))
    await metadata.database.rows(_CONFIRMING)
    await metadata.database.rows("ANALYZE metadata.drafts")
    lines = [row[0] for row in await metadata.database.rows(f"EXPLAIN {statement}", *arguments)]
    assert [line for line in lines if "Seq Scan on drafts" in line or "drafts_living_by_name" in line] == []
