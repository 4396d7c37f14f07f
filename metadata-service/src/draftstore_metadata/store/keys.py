"""SQL of main-bucket keys: recorded before they are written, unique for ever, for exactly the bytes of one ETag."""

from collections.abc import Hashable, Sequence
from datetime import timedelta
from typing import Any, TypeAlias
from uuid import UUID

import asyncpg

from draftstore_common.contracts import confirm as wire
from draftstore_common.contracts.base import DEFAULT_TENANT_ID, MAIN
from draftstore_common.kit.database import Database, DatabaseUnavailable
from draftstore_common.kit.ids import uuid7
from draftstore_common.kit.together import Together
from draftstore_metadata.domain import fresh_key
from draftstore_metadata.errors import LeaseLost
from draftstore_metadata.store import names
from draftstore_metadata.store.rows import LANES, MOST, Connection

_PLAIN_KEY = f"""CASE WHEN d.tenant_id = '{DEFAULT_TENANT_ID}' AND d.bucket = '{MAIN}' THEN d.object_name
    ELSE 'tenants/' || d.tenant_id || '/' || d.bucket || '/' || d.object_name END"""
"""The key in the main bucket that the first bytes published under a name get."""

_GIVEN = """jsonb_to_recordset($3::jsonb) AS g (draft_id uuid, fence bigint, storage_key text, etag text, size bigint,
    id uuid)"""

_HELD = f"""
    SELECT d.id, d.tenant_id, d.bucket, d.object_name, {_PLAIN_KEY} AS plain_key, g.storage_key, g.etag, g.size,
        g.id AS key_id
    FROM metadata.drafts d JOIN {_GIVEN} ON g.draft_id = d.id AND g.fence = d.fence
    WHERE d.tenant_id = $1 AND d.id = ANY($2::uuid[]) AND d.state = $4 ORDER BY d.id FOR UPDATE OF d"""
"""The claimed rows, locked in the order of their ids, as far as the claims still hold.

The ids are there twice so that PostgreSQL never reads other rows: what a JSON array has it cannot estimate.
"""

# One statement: what it sees of other keys and names may be older than the rows it waited for. A key that another
# has just made is then found by the insert's conflict, and a name that was just taken when it is published.
_RESERVE = f"""
    WITH held AS ({_HELD}
    ), named AS (
        SELECT d.id, {names.STATE} FROM held d
    ), refused AS (SELECT id FROM named WHERE held OR (taken AND $5)
    ), known AS (
        SELECT DISTINCT ON (k.draft_id) k.draft_id, k.storage_key
        FROM held JOIN metadata.object_keys k ON k.draft_id = held.id AND k.source_etag = held.etag
        WHERE k.state = 'reserved' ORDER BY k.draft_id, k.id
    ), made AS (
        INSERT INTO metadata.object_keys (id, storage_key, tenant_id, draft_id, source_etag, size, state)
        SELECT held.key_id, coalesce(held.storage_key, held.plain_key), held.tenant_id, held.id, held.etag, held.size,
            'reserved'
        FROM held WHERE held.id NOT IN (SELECT draft_id FROM known) AND {{goes}}
        ORDER BY 2
        ON CONFLICT (storage_key) DO NOTHING RETURNING draft_id, storage_key
    ), dropped AS (
        UPDATE metadata.object_keys k SET state = 'garbage', purge_due_at = now()
        FROM held WHERE k.draft_id = held.id AND k.state = 'reserved' AND {{goes}}
          AND k.storage_key NOT IN (SELECT storage_key FROM known)
    )
    SELECT held.id, held.plain_key, named.held, named.taken,
        coalesce(known.storage_key, made.storage_key) AS storage_key
    FROM held JOIN named USING (id)
        LEFT JOIN known ON known.draft_id = held.id LEFT JOIN made ON made.draft_id = held.id"""

_RESERVE_ALL = _RESERVE.format(
    goes="NOT EXISTS (SELECT FROM refused) AND (SELECT count(*) FROM held) = cardinality($2)"
)
_RESERVE_EACH = _RESERVE.format(goes="held.id NOT IN (SELECT id FROM refused)")

_RESERVED = """
    SELECT k.draft_id, k.source_etag FROM metadata.object_keys k
    JOIN unnest($1::text[], $2::uuid[]) AS g (storage_key, draft_id) USING (storage_key, draft_id)
    WHERE k.state = 'reserved'"""

# Whoever holds the claims takes the keys it reserved; all others of these drafts are nobody's now.
_PUBLISH = f"""
    WITH held AS ({_HELD}
    ), moved AS (
        UPDATE metadata.object_keys k SET
            state = CASE WHEN k.storage_key = held.storage_key THEN 'published' ELSE 'garbage' END,
            purge_due_at = CASE WHEN k.storage_key = held.storage_key THEN NULL ELSE now() END
        FROM held WHERE k.draft_id = held.id AND k.state = 'reserved'
        RETURNING k.draft_id, k.source_etag, k.state
    )
    SELECT draft_id, source_etag FROM moved WHERE state = 'published'"""

_REPLACED = """
    UPDATE metadata.object_keys SET state = 'garbage', purge_due_at = now() + $2 WHERE storage_key = ANY($1::text[])"""


class KeyStore:
    """Keys for copies that are about to be made."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._single = Together(self._reserve_each, lanes=LANES, most=MOST, shared=DatabaseUnavailable, kind=_alike)

    async def reserve(self, request: wire.ReserveKeys) -> wire.ReservedKeys:
        """Record the key of every draft's copy; the same bytes get the same key. None of it where names are refused."""
        fresh: dict[UUID, str] = {}
        while True:
            rows = await self._reserve(request, fresh)
            if len(rows) < len(request.wanted):
                raise LeaseLost
            if refused := names.refusals(rows, request.on_conflict):
                return wire.ReservedKeys(refused=refused)
            keys = {row["id"]: row["storage_key"] for row in rows}
            if None not in keys.values():
                return wire.ReservedKeys(keys=keys)
            # The plain key of the name was used before: then one beside it.
            fresh = {row["id"]: fresh_key(row["plain_key"]) for row in rows if row["storage_key"] is None}

    async def _reserve(self, request: wire.ReserveKeys, fresh: dict[UUID, str]) -> list[asyncpg.Record]:
        asked = [_row(want, fresh.get(want.draft_id)) for want in request.wanted]
        if request.confirmation_id is None and len(asked) == 1:
            row = await self._database.common(self._single.do((request, asked[0])))
            return [] if row is None else [row]
        return await self._database.rows(_RESERVE_ALL, *_arguments(request, asked))

    async def _reserve_each(self, wanted: "Sequence[_Want]") -> list[asyncpg.Record | None]:
        rows = await self._database.rows(_RESERVE_EACH, *_arguments(wanted[0][0], [row for _, row in wanted]))
        found = {row["id"]: row for row in rows}
        return [found.get(request.wanted[0].draft_id) for request, _ in wanted]


_Want: TypeAlias = tuple[wire.ReserveKeys, dict[str, Any]]
"""A request for the key of one draft, and its row."""


def _alike(want: _Want) -> Hashable:
    return want[0].tenant_id, want[0].on_conflict


def _arguments(request: wire.ReserveKeys, asked: list[dict[str, Any]]) -> tuple[Any, ...]:
    ids = [row["draft_id"] for row in asked]
    return request.tenant_id, ids, asked, "confirming", request.on_conflict == "fail"


async def held(connection: Connection, tenant_id: UUID, claims: list[wire.Copied], state: str) -> None:
    """Lock the claimed rows; raises `LeaseLost` unless every claim still holds."""
    if len(await connection.fetch(_HELD, tenant_id, *_given(claims), state)) < len(claims):
        raise LeaseLost


async def reserved(connection: Connection, copied: list[wire.Copied]) -> dict[UUID, str]:
    """The judged ETag of each draft. Raises `LeaseLost` if a key is no longer reserved."""
    keys, ids = [copy.storage_key for copy in copied], [copy.draft_id for copy in copied]
    return _judged(await connection.fetch(_RESERVED, keys, ids), copied)


async def published(connection: Connection, tenant_id: UUID, copied: list[wire.Copied], state: str) -> dict[UUID, str]:
    """Lock the claimed rows and mark their keys published; the judged ETag of each draft.

    Raises `LeaseLost` unless every claim still holds, with its key.
    """
    return _judged(await connection.fetch(_PUBLISH, tenant_id, *_given(copied), state), copied)


def _judged(rows: list[asyncpg.Record], copied: list[wire.Copied]) -> dict[UUID, str]:
    if len(rows) < len(copied):
        raise LeaseLost
    return {row["draft_id"]: row["source_etag"] for row in rows}


async def replaced(connection: Connection, storage_keys: list[str], url_grace: timedelta) -> None:
    """Bytes no row refers to any more: they go when URLs already given out have expired."""
    await connection.execute(_REPLACED, storage_keys, url_grace)


def _given(copied: list[wire.Copied]) -> tuple[list[UUID], list[dict[str, Any]]]:
    given = [copy.model_dump(mode="json", include={"draft_id", "fence", "storage_key"}) for copy in copied]
    return [copy.draft_id for copy in copied], given


def _row(want: wire.WantedKey, key: str | None) -> dict[str, Any]:
    return {"id": str(uuid7()), "storage_key": key, **want.model_dump(mode="json")}
