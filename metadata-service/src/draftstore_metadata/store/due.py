"""SQL of cleaning: bytes that are due for removal, taken in leased batches. Costs what is due, not what is stored.

`purge_due_at` says when a row's bytes go, in every state in which they do; taking a row moves it into the future by
the lease, so that a worker that dies gives it back by doing nothing.
"""

from datetime import datetime, timedelta
from uuid import UUID

import asyncpg

from draftstore_common.contracts import metadata as wire
from draftstore_common.contracts.confirm import SLOWEST_COPY
from draftstore_common.kit.database import Database
from draftstore_metadata.domain import COPY_HORIZON
from draftstore_metadata.store.rows import BYTES_GO, CLAIMED, LIVING, TAKES_BYTES, Connection

_ACTOR = "service:cleaner"

_EVENTS = """INSERT INTO metadata.events
    (tenant_id, draft_id, object_name, type, from_state, to_state, actor, reason)"""

# One pass over what is due, oldest first:
#   expired, discarded, or half purged      its bytes go
#   confirmed or purged                     its bytes go once more, for a PUT that landed late
_TAKE_DRAFTS = f"""
    WITH due AS (
        SELECT id, state FROM metadata.drafts WHERE purge_due_at <= now() AND state IN {BYTES_GO}
        ORDER BY purge_due_at LIMIT $1 FOR UPDATE SKIP LOCKED
    ), moved AS (
        UPDATE metadata.drafts d SET
            state = CASE WHEN due.state IN ('expired', 'discarded') THEN 'purging' ELSE due.state END,
            purge_due_at = now() + $2
        FROM due WHERE d.id = due.id
        RETURNING d.tenant_id, d.id, d.object_name, due.state AS from_state, d.state, d.storage_key, d.upload_id,
            coalesce(d.size, d.declared_size) AS size, d.write_horizon_at <= now() AS final
    ), logged AS (
        {_EVENTS}
        SELECT tenant_id, id, object_name, 'draft.purging', from_state, state, '{_ACTOR}', 'due'
        FROM moved WHERE from_state <> state ORDER BY id
    ), dropped AS (
        UPDATE metadata.object_keys k SET state = 'garbage', purge_due_at = now()
        FROM moved WHERE k.draft_id = moved.id AND k.state = 'reserved' AND moved.state = 'purging'
    )
    SELECT 'draft' AS kind, 'draft' AS role, id, storage_key, upload_id, state, size, final FROM moved"""

_TAKE_KEYS = """
    WITH due AS (
        SELECT id FROM metadata.object_keys WHERE purge_due_at <= now()
        ORDER BY purge_due_at LIMIT $1 FOR UPDATE SKIP LOCKED
    )
    UPDATE metadata.object_keys k SET purge_due_at = now() + $2 FROM due WHERE k.id = due.id
    RETURNING 'object_key' AS kind, 'main' AS role, k.id, k.storage_key, k.size, k.purges > 0 AS final"""

# LATERAL: each row is looked up by its id, in their order. A plain join is the planner's choice, and by statistics from
# before a large cleaning it compares every purged row with every reported one: seconds for a thousand.
_PURGED_DRAFTS = f"""
    WITH old AS (
        SELECT d.id, d.state, r.final
        FROM (SELECT * FROM unnest($1::uuid[], $2::bool[]) AS r (id, final) ORDER BY id) AS r
        CROSS JOIN LATERAL (
            SELECT id, state FROM metadata.drafts
            WHERE id = r.id AND state IN ('purging', 'purged', 'confirmed') FOR UPDATE
        ) AS d
    ), moved AS (
        UPDATE metadata.drafts d SET purge_due_at = CASE WHEN old.final THEN NULL ELSE d.write_horizon_at END,
            state = CASE old.state WHEN 'purging' THEN 'purged' ELSE old.state END,
            purged_at = coalesce(d.purged_at, now())
        FROM old WHERE d.id = old.id
        RETURNING d.tenant_id, d.id, d.object_name, old.state AS from_state, d.state
    ), ended AS (SELECT * FROM moved WHERE from_state <> state
    ), logged AS (
        {_EVENTS}
        SELECT tenant_id, id, object_name, 'draft.' || state, from_state, state, '{_ACTOR}', 'bytes removed' FROM ended
    )
    SELECT count(*) FROM moved"""

_PURGED_KEYS = """
    WITH old AS (
        SELECT k.id, r.final
        FROM (SELECT * FROM unnest($1::uuid[], $2::bool[]) AS r (id, final) ORDER BY id) AS r
        CROSS JOIN LATERAL (
            SELECT id FROM metadata.object_keys WHERE id = r.id AND state = 'garbage' FOR UPDATE
        ) AS k
    ), moved AS (
        UPDATE metadata.object_keys k SET purges = k.purges + 1,
            state = CASE WHEN old.final THEN 'deleted' ELSE 'garbage' END,
            purge_due_at = CASE WHEN old.final THEN NULL
                ELSE now() + $3 + make_interval(secs => coalesce(k.size, 0) / $4::float8) END
        FROM old WHERE k.id = old.id RETURNING k.id
    )
    SELECT count(*) FROM moved"""

_PLAN = f"""
    SELECT count(*) FILTER (WHERE goes) AS expired_drafts,
        count(*) FILTER (WHERE state IN ('confirmed', 'purged')) AS leftovers,
        count(*) FILTER (WHERE state IN {CLAIMED}) AS lapsed_claims,
        count(*) FILTER (WHERE state IN {TAKES_BYTES} AND expires_at > now()) AS warnings,
        coalesce(sum(coalesce(size, declared_size)) FILTER (WHERE goes), 0) AS draft_bytes,
        min(purge_due_at) AS oldest_due_at, now() AS now
    FROM (
        SELECT *, state NOT IN ('confirmed', 'purged') AS goes FROM metadata.drafts
        WHERE purge_due_at <= now() AND state IN {BYTES_GO}
        UNION ALL
        SELECT *, state IN {TAKES_BYTES} AND expires_at + $1 <= now() FROM metadata.drafts
        WHERE purge_due_at <= now() AND state IN {LIVING}
    ) AS due"""

_PLAN_KEYS = """
    SELECT count(*) AS object_keys, coalesce(sum(size) FILTER (WHERE purges = 0), 0) AS bytes,
        min(purge_due_at) AS oldest_due_at
    FROM metadata.object_keys WHERE purge_due_at <= now()"""


class DueStore:
    """Leased batches of bytes to remove."""

    def __init__(self, database: Database, restore_grace: timedelta) -> None:
        self._database = database
        self._restore_grace = restore_grace

    async def claim(self, request: wire.ClaimDue) -> wire.DueBatch:
        """Take up to `limit` things whose bytes go; nobody else gets them before the lease is over."""
        lease = timedelta(seconds=request.lease_ttl)
        async with self._database.transaction() as connection:
            drafts = list(await connection.fetch(_TAKE_DRAFTS, request.limit, lease))
            keys = list(await connection.fetch(_TAKE_KEYS, request.limit - len(drafts), lease))
            now: datetime = await connection.fetchval("SELECT now()")
        return wire.DueBatch(items=[wire.DueItem.model_validate(dict(row)) for row in drafts + keys], now=now)

    async def report(self, request: wire.ReportPurged) -> int:
        """Note what is gone. Repeatable; a report about something that moved on changes nothing."""
        async with self._database.transaction() as connection:
            drafts = await connection.fetchval(_PURGED_DRAFTS, *_columns(request, "draft"))
            keys = await connection.fetchval(_PURGED_KEYS, *_columns(request, "object_key"), COPY_HORIZON, SLOWEST_COPY)
        return int(drafts) + int(keys)

    async def plan(self) -> wire.DuePlan:
        """Count what a run would do now; changes nothing."""
        async with self._database.connection() as connection:
            drafts, keys = await _plan_rows(connection, self._restore_grace)
        oldest = min((row["oldest_due_at"] for row in (drafts, keys) if row["oldest_due_at"]), default=None)
        return wire.DuePlan(
            expired_drafts=drafts["expired_drafts"],
            leftovers=drafts["leftovers"],
            lapsed_claims=drafts["lapsed_claims"],
            warnings=drafts["warnings"],
            object_keys=keys["object_keys"],
            bytes=drafts["draft_bytes"] + keys["bytes"],
            oldest_due_at=oldest,
            now=drafts["now"],
        )


async def _plan_rows(connection: Connection, restore_grace: timedelta) -> tuple[asyncpg.Record, asyncpg.Record]:
    drafts = await connection.fetchrow(_PLAN, restore_grace)
    keys = await connection.fetchrow(_PLAN_KEYS)
    assert drafts is not None  # noqa: S101  an aggregate always answers one row
    assert keys is not None  # noqa: S101
    return drafts, keys


def _columns(request: wire.ReportPurged, kind: wire.DueKind) -> tuple[list[UUID], list[bool]]:
    items = [item for item in request.items if item.kind == kind]
    return [item.id for item in items], [item.final for item in items]
