"""SQL of a reconcile: what rows say of keys, which rows want bytes, where the passes stand. Changes cursors only."""

from typing import get_args
from uuid import UUID

import asyncpg

from draftstore_common.contracts import reconcile as wire
from draftstore_common.contracts.base import BucketRole
from draftstore_common.kit.database import Database
from draftstore_metadata.domain import is_draft_key
from draftstore_metadata.errors import ReconcileElsewhere

_DRAFT_KEYS = """
    SELECT d.storage_key AS key, d.id AS draft_id, d.state AS draft_state
    FROM metadata.drafts d WHERE d.storage_key = ANY($1::text[])"""

# One statement, so one snapshot: a key never shows as published after its object went elsewhere.
_MAIN_KEYS = """
    SELECT asked.key, k.draft_id, k.state AS key_state, o.object_name
    FROM unnest($1::text[]) AS asked (key)
    LEFT JOIN metadata.object_keys k ON k.storage_key = asked.key
    LEFT JOIN metadata.objects o ON o.storage_key = asked.key"""

_OBJECTS = """
    SELECT o.id, o.storage_key AS key, o.draft_id, o.object_name, o.size, o.etag
    FROM metadata.objects o WHERE o.id > $1 ORDER BY o.id LIMIT $2"""

_DRAFTS = """
    SELECT d.id, d.storage_key AS key, d.id AS draft_id, d.object_name, d.size, d.etag
    FROM metadata.drafts d
    WHERE d.id > $1 AND d.state IN ('uploaded', 'prepared') AND (d.state = 'prepared' OR d.expires_at > now())
    ORDER BY d.id LIMIT $2"""

_CURSORS = "SELECT name, position, finished FROM metadata.reconcile_cursors WHERE name = ANY($1::text[])"

_BEGIN = """
    INSERT INTO metadata.reconcile_cursors (name) SELECT unnest($1::text[])
    ON CONFLICT (name) DO UPDATE SET position = '', finished = false, updated_at = now()
    RETURNING name, position, finished"""

_MOVE = """
    UPDATE metadata.reconcile_cursors SET position = $3, finished = $4, updated_at = now()
    WHERE name = $1 AND position = $2 AND NOT finished RETURNING name"""

_PASSES = list(get_args(wire.PassName))

_BEFORE_ALL = UUID(int=0)

_NUL = "\0"
"""A key may have it on some stores; no row can."""


class ReconcileStore:
    """Rows of all tenants, for the cleaner."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def attribute(self, request: wire.AttributeKeys) -> wire.Attributions:
        """What the rows say of each key, as of one instant."""
        keys = [key for key in request.keys if _NUL not in key]
        rows = await self._database.rows(_DRAFT_KEYS if request.role == "draft" else _MAIN_KEYS, keys)
        known = {row["key"]: row for row in rows}
        return wire.Attributions(items=[_attribution(request.role, key, known.get(key)) for key in request.keys])

    async def list_owed(self, request: wire.ListOwed) -> wire.OwedPage:
        """Rows whose bytes must be there. A row present throughout is neither skipped nor doubled."""
        after = request.after or _BEFORE_ALL
        rows = await self._database.rows(_DRAFTS if request.role == "draft" else _OBJECTS, after, request.limit)
        return wire.OwedPage(items=[wire.OwedBytes.model_validate(dict(row)) for row in rows])

    async def cursors(self) -> wire.ReconcileCursors:
        """Where every pass stands."""
        return await self._told(await self._database.rows(_CURSORS, _PASSES))

    async def begin_round(self) -> wire.ReconcileCursors:
        """Every pass at its beginning."""
        return await self._told(await self._database.rows(_BEGIN, _PASSES))

    async def move_cursor(self, request: wire.MoveCursor) -> None:
        """Compare and set: raises `ReconcileElsewhere` when another reconcile moved the cursor since."""
        moved = (request.name, request.before, request.after, request.finished)
        if await self._database.row(_MOVE, *moved) is None:
            raise ReconcileElsewhere

    async def _told(self, rows: list[asyncpg.Record]) -> wire.ReconcileCursors:
        clock = await self._database.row("SELECT now() AS now")
        assert clock is not None  # noqa: S101  it has one row
        items = [wire.ReconcileCursor.model_validate(dict(row)) for row in rows]
        return wire.ReconcileCursors(items=items, now=clock["now"])


def _attribution(role: BucketRole, key: str, row: asyncpg.Record | None) -> wire.Attribution:
    said = {"key": key, "own_shape": role == "draft" and is_draft_key(key), **(row or {})}
    return wire.Attribution.model_validate(said)
