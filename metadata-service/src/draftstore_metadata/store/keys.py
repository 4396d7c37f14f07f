"""SQL of main-bucket keys: recorded before they are written, unique for ever, for exactly the bytes of one ETag."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg

from draftstore_common.contracts import confirm as wire
from draftstore_common.kit.database import Database
from draftstore_common.kit.ids import uuid7
from draftstore_metadata.domain import fresh_key, plain_key
from draftstore_metadata.errors import LeaseLost
from draftstore_metadata.store import names
from draftstore_metadata.store.rows import Connection

_HELD = """
    SELECT d.id, d.tenant_id, d.bucket, d.object_name, d.write_horizon_at FROM metadata.drafts d
    JOIN unnest($2::uuid[], $3::bigint[]) AS g (draft_id, fence) ON g.draft_id = d.id AND g.fence = d.fence
    WHERE d.tenant_id = $1 AND d.state = $4 ORDER BY d.id FOR UPDATE OF d"""

_OF_SAME_BYTES = """
    SELECT k.draft_id, k.storage_key FROM metadata.object_keys k
    JOIN unnest($1::uuid[], $2::text[]) AS g (draft_id, etag) ON g.draft_id = k.draft_id AND g.etag = k.source_etag
    WHERE k.state = 'reserved'"""

_RESERVE = """
    INSERT INTO metadata.object_keys (id, storage_key, tenant_id, draft_id, source_etag, size, state)
    SELECT g.id, g.storage_key, $1, g.draft_id, g.etag, g.size, 'reserved'
    FROM jsonb_to_recordset($2::jsonb) AS g (id uuid, storage_key text, draft_id uuid, etag text, size bigint)
    ORDER BY g.storage_key
    ON CONFLICT (storage_key) DO NOTHING RETURNING draft_id, storage_key"""

_DROP_OTHERS = """
    UPDATE metadata.object_keys SET state = 'garbage', purge_due_at = now()
    WHERE draft_id = ANY($1::uuid[]) AND state = 'reserved' AND storage_key <> ALL($2::text[])"""

_PUBLISH = """
    UPDATE metadata.object_keys k SET state = 'published'
    FROM unnest($1::text[], $2::uuid[]) AS g (storage_key, draft_id)
    WHERE k.storage_key = g.storage_key AND k.draft_id = g.draft_id AND k.state = 'reserved'
    RETURNING k.draft_id, k.source_etag"""

_RESERVED_FOR = "SELECT draft_id, source_etag FROM metadata.object_keys WHERE storage_key = ANY($1::text[])"

_REPLACED = """
    UPDATE metadata.object_keys SET state = 'garbage', purge_due_at = now() + $2 WHERE storage_key = ANY($1::text[])"""


class KeyStore:
    """Keys for copies that are about to be made."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def reserve(self, request: wire.ReserveKeys) -> wire.ReservedKeys:
        """Record the key of every draft's copy; the same bytes get the same key. None of it where names are refused."""
        wanted = {want.draft_id: want for want in request.wanted}
        async with self._database.transaction() as connection:
            rows = await held(connection, request.tenant_id, request.wanted, "confirming")
            refused = await names.refused(connection, list(wanted), request.on_conflict)
            if refused:
                return wire.ReservedKeys(refused=refused)
            keys = await _known(connection, request.wanted)
            keys |= await _new_keys(connection, [row for row in rows if row["id"] not in keys], wanted)
            await connection.execute(_DROP_OTHERS, list(wanted), list(keys.values()))
        return wire.ReservedKeys(keys=keys)


async def held(
    connection: Connection, tenant_id: UUID, claims: "list[wire.WantedKey] | list[wire.Copied]", state: str
) -> list[asyncpg.Record]:
    """The claimed rows, locked in the order of their ids; raises `LeaseLost` unless every claim still holds."""
    ids, fences = [claim.draft_id for claim in claims], [claim.fence for claim in claims]
    rows = await connection.fetch(_HELD, tenant_id, ids, fences, state)
    if len(rows) < len(ids):
        raise LeaseLost
    return list(rows)


async def published(connection: Connection, copied: list[wire.Copied]) -> dict[UUID, str]:
    """Mark the keys published; the judged ETag of each draft. Raises `LeaseLost` if a key is no longer reserved."""
    rows = await connection.fetch(_PUBLISH, [copy.storage_key for copy in copied], [copy.draft_id for copy in copied])
    if len(rows) < len(copied):
        raise LeaseLost
    await connection.execute(_DROP_OTHERS, [copy.draft_id for copy in copied], [])
    return {row["draft_id"]: row["source_etag"] for row in rows}


async def judged(connection: Connection, copied: list[wire.Copied]) -> dict[UUID, str]:
    """The ETag of the bytes each draft's copy was made of."""
    rows = await connection.fetch(_RESERVED_FOR, [copy.storage_key for copy in copied])
    return {row["draft_id"]: row["source_etag"] for row in rows}


async def replaced(connection: Connection, storage_keys: list[str], url_grace: timedelta) -> None:
    """Bytes no row refers to any more: they go when URLs already given out have expired."""
    await connection.execute(_REPLACED, storage_keys, url_grace)


async def _known(connection: Connection, wanted: list[wire.WantedKey]) -> dict[UUID, str]:
    rows = await connection.fetch(_OF_SAME_BYTES, [want.draft_id for want in wanted], [want.etag for want in wanted])
    return {row["draft_id"]: row["storage_key"] for row in rows}


async def _new_keys(
    connection: Connection, rows: list[asyncpg.Record], wanted: dict[UUID, wire.WantedKey]
) -> dict[UUID, str]:
    """The plain keys of the names, as far as they were never used; else fresh ones beside them."""
    plain = {row["id"]: plain_key(row["tenant_id"], row["bucket"], row["object_name"]) for row in rows}
    candidates, keys = dict(plain), dict[UUID, str]()
    while candidates:
        tenant_id = rows[0]["tenant_id"]
        asked = [_row(wanted[draft_id], key) for draft_id, key in candidates.items()]
        keys |= {row["draft_id"]: row["storage_key"] for row in await connection.fetch(_RESERVE, tenant_id, asked)}
        candidates = {draft_id: fresh_key(key) for draft_id, key in plain.items() if draft_id not in keys}
    return keys


def _row(want: wire.WantedKey, key: str) -> dict[str, Any]:
    return {
        "id": str(uuid7()),
        "storage_key": key,
        **want.model_dump(mode="json", include={"draft_id", "etag", "size"}),
    }
