"""SQL of cleaning: what is due, taken in leased batches. Costs what is due, not what is stored.

`purge_due_at` says when a row wants attention, whatever its state; taking a row moves it into the future by the
lease, so that a worker that dies gives it back by doing nothing.
"""

from datetime import datetime, timedelta
from uuid import UUID

import asyncpg

from draftstore_common.contracts import metadata as wire
from draftstore_common.kit.database import Database
from draftstore_metadata.domain import COPY_HORIZON, RECOVERY_TTL
from draftstore_metadata.store.rows import Connection

_ACTOR = "service:cleaner"


def _due(states: str) -> str:
    return f"""SELECT id, state FROM metadata.drafts
        WHERE purge_due_at <= now() AND state IN ({states}) ORDER BY purge_due_at LIMIT $1 FOR UPDATE SKIP LOCKED"""


def _logged(source: str, to_state: str, reason: str) -> str:
    return f"""INSERT INTO metadata.events
            (tenant_id, draft_id, object_name, type, from_state, to_state, actor, reason)
        SELECT tenant_id, id, object_name, 'draft.{to_state}', from_state, '{to_state}', '{_ACTOR}', '{reason}'
        FROM {source}"""


_RECOVER = f"""
    WITH due AS ({_due("'confirming'")}), moved AS (
        UPDATE metadata.drafts d SET state = 'uploaded', lease_expires_at = NULL,
            expires_at = greatest(d.expires_at, now() + $2), purge_due_at = greatest(d.expires_at, now() + $2)
        FROM due WHERE d.id = due.id AND d.lease_expires_at <= now()
        RETURNING d.tenant_id, d.id, d.object_name, due.state AS from_state
    ), logged AS ({_logged("moved", "uploaded", "the confirm attempt died")})
    SELECT count(*) FROM moved"""

_EXPIRE = f"""
    WITH due AS ({_due("'open', 'uploaded'")}), moved AS (
        UPDATE metadata.drafts d SET state = 'expired', purge_due_at = now() + $2
        FROM due WHERE d.id = due.id
        RETURNING d.tenant_id, d.id, d.object_name, due.state AS from_state
    ), logged AS ({_logged("moved", "expired", "its time was over")})
    SELECT count(*) FROM moved"""

# `confirmed` and `purged` rows come back once more after the write horizon, for a PUT that landed late.
_TAKE_DRAFTS = f"""
    WITH due AS ({_due("'expired', 'discarded', 'purging', 'purged', 'confirmed'")}), moved AS (
        UPDATE metadata.drafts d SET purge_due_at = now() + $2,
            state = CASE WHEN due.state IN ('expired', 'discarded') THEN 'purging' ELSE due.state END
        FROM due WHERE d.id = due.id
        RETURNING d.tenant_id, d.id, d.object_name, due.state AS from_state, d.state, d.storage_key, d.upload_id,
            coalesce(d.size, d.declared_size) AS size, d.write_horizon_at <= now() AS final
    ), begun AS (SELECT * FROM moved WHERE from_state <> state
    ), logged AS ({_logged("begun", "purging", "due")}
    ), dropped AS (
        UPDATE metadata.object_keys k SET state = 'garbage', purge_due_at = now()
        FROM begun WHERE k.draft_id = begun.id AND k.state = 'reserved'
    )
    SELECT 'draft' AS kind, 'draft' AS role, id, storage_key, upload_id, state, size, final FROM moved"""

_TAKE_KEYS = """
    WITH due AS (
        SELECT id FROM metadata.object_keys WHERE purge_due_at <= now()
        ORDER BY purge_due_at LIMIT $1 FOR UPDATE SKIP LOCKED
    )
    UPDATE metadata.object_keys k SET purge_due_at = now() + $2 FROM due WHERE k.id = due.id
    RETURNING 'object_key' AS kind, 'main' AS role, k.id, k.storage_key, k.size, k.purges > 0 AS final"""

_PURGED_DRAFTS = f"""
    WITH old AS (
        SELECT d.id, d.state, r.final FROM metadata.drafts d
        JOIN unnest($1::uuid[], $2::bool[]) AS r (id, final) ON r.id = d.id
        WHERE d.state IN ('purging', 'purged', 'confirmed') ORDER BY d.id FOR UPDATE OF d
    ), moved AS (
        UPDATE metadata.drafts d SET purge_due_at = CASE WHEN old.final THEN NULL ELSE d.write_horizon_at END,
            state = CASE old.state WHEN 'purging' THEN 'purged' ELSE old.state END,
            purged_at = coalesce(d.purged_at, now())
        FROM old WHERE d.id = old.id
        RETURNING d.tenant_id, d.id, d.object_name, old.state AS from_state, d.state
    ), ended AS (SELECT * FROM moved WHERE from_state <> state
    ), logged AS ({_logged("ended", "purged", "bytes removed")})
    SELECT count(*) FROM moved"""

_PURGED_KEYS = """
    WITH old AS (
        SELECT k.id, r.final FROM metadata.object_keys k
        JOIN unnest($1::uuid[], $2::bool[]) AS r (id, final) ON r.id = k.id
        WHERE k.state = 'garbage' ORDER BY k.id FOR UPDATE OF k
    ), moved AS (
        UPDATE metadata.object_keys k SET purges = k.purges + 1,
            state = CASE WHEN old.final THEN 'deleted' ELSE 'garbage' END,
            purge_due_at = CASE WHEN old.final THEN NULL ELSE now() + $3 END
        FROM old WHERE k.id = old.id RETURNING k.id
    )
    SELECT count(*) FROM moved"""

_PLAN = """
    SELECT count(*) FILTER (WHERE state IN ('open', 'uploaded', 'expired', 'discarded', 'purging')) AS expired_drafts,
        count(*) FILTER (WHERE state IN ('confirmed', 'purged')) AS leftovers,
        count(*) FILTER (WHERE state = 'confirming') AS dead_attempts,
        coalesce(sum(coalesce(size, declared_size))
            FILTER (WHERE state IN ('open', 'uploaded', 'expired', 'discarded', 'purging')), 0) AS draft_bytes,
        min(purge_due_at) AS oldest_due_at, now() AS now
    FROM metadata.drafts WHERE purge_due_at <= now()"""

_PLAN_KEYS = """
    SELECT count(*) AS object_keys, coalesce(sum(size) FILTER (WHERE purges = 0), 0) AS bytes,
        min(purge_due_at) AS oldest_due_at
    FROM metadata.object_keys WHERE purge_due_at <= now()"""


class DueStore:
    """Leased batches of bytes to remove."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def claim(self, request: wire.ClaimDue) -> wire.DueBatch:
        """Give dead attempts back, expire what is overdue, then take up to `limit` things to delete."""
        lease = timedelta(seconds=request.lease_ttl)
        async with self._database.transaction() as connection:
            recovered = await connection.fetchval(_RECOVER, request.limit, RECOVERY_TTL)
            grace = timedelta(seconds=request.restore_grace)
            expired = await connection.fetchval(_EXPIRE, request.limit, grace)
            rows = list(await connection.fetch(_TAKE_DRAFTS, request.limit, lease))
            rows += await connection.fetch(_TAKE_KEYS, request.limit - len(rows), lease)
            now: datetime = await connection.fetchval("SELECT now()")
        items = [wire.DueItem.model_validate(dict(row)) for row in rows]
        return wire.DueBatch(items=items, expired=expired, recovered=recovered, now=now)

    async def report(self, request: wire.ReportPurged) -> int:
        """Note what is gone. Repeatable; a report about something that moved on changes nothing."""
        async with self._database.transaction() as connection:
            drafts = await connection.fetchval(_PURGED_DRAFTS, *_columns(request, "draft"))
            keys = await connection.fetchval(_PURGED_KEYS, *_columns(request, "object_key"), COPY_HORIZON)
        return int(drafts) + int(keys)

    async def plan(self) -> wire.DuePlan:
        """Count what a run would do now; changes nothing."""
        async with self._database.connection() as connection:
            drafts, keys = await _plan_rows(connection)
        oldest = min((row["oldest_due_at"] for row in (drafts, keys) if row["oldest_due_at"]), default=None)
        return wire.DuePlan(
            expired_drafts=drafts["expired_drafts"],
            leftovers=drafts["leftovers"],
            dead_attempts=drafts["dead_attempts"],
            object_keys=keys["object_keys"],
            bytes=drafts["draft_bytes"] + keys["bytes"],
            oldest_due_at=oldest,
            now=drafts["now"],
        )


async def _plan_rows(connection: Connection) -> tuple[asyncpg.Record, asyncpg.Record]:
    drafts = await connection.fetchrow(_PLAN)
    keys = await connection.fetchrow(_PLAN_KEYS)
    assert drafts is not None  # noqa: S101  an aggregate always answers one row
    assert keys is not None  # noqa: S101
    return drafts, keys


def _columns(request: wire.ReportPurged, kind: wire.DueKind) -> tuple[list[UUID], list[bool]]:
    items = [item for item in request.items if item.kind == kind]
    return [item.id for item in items], [item.final for item in items]
