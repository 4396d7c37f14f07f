"""SQL of publishing: the one transaction of a confirm. All of a publication's drafts, or none."""

from collections.abc import Hashable, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg

from draftstore_common.contracts import confirm as wire
from draftstore_common.contracts.drafts import DraftState, Receipt
from draftstore_common.kit.database import Database, DatabaseUnavailable
from draftstore_common.kit.ids import uuid7
from draftstore_common.kit.together import Together
from draftstore_metadata.errors import LeaseLost
from draftstore_metadata.store import confirmations, keys, names
from draftstore_metadata.store.names import NamesRefused
from draftstore_metadata.store.rows import LANES, MOST, OBJECT, Connection, transition

_GIVEN = """jsonb_to_recordset($2::jsonb) AS g (object_id uuid, draft_id uuid, storage_key text, size bigint, etag text,
    checksum_sha256 text, content_type text, final_location text)"""

_INSERT = f"""
    INSERT INTO metadata.objects AS o (id, tenant_id, bucket, object_name, storage_key, store_id, final_location,
        generation, size, etag, checksum_sha256, content_type, content_disposition, metadata, draft_id, confirmed_at)
    SELECT g.object_id, d.tenant_id, d.bucket, d.object_name, g.storage_key, $1, g.final_location, 1, g.size, g.etag,
        g.checksum_sha256, g.content_type, d.content_disposition, d.metadata, d.id, date_trunc('milliseconds', now())
    FROM {_GIVEN} JOIN metadata.drafts d ON d.id = g.draft_id
    WHERE d.id = ANY($3::uuid[]) AND NOT EXISTS ({names.OTHERS_HOLD})
    ORDER BY d.bucket, d.object_name
    ON CONFLICT (tenant_id, bucket, object_name) DO NOTHING RETURNING {OBJECT}"""

_LOCK_OLD = """
    SELECT o.id, o.storage_key, d.id AS draft_id FROM metadata.drafts d
    JOIN metadata.objects o ON o.tenant_id = d.tenant_id AND o.bucket = d.bucket AND o.object_name = d.object_name
    WHERE d.id = ANY($1::uuid[]) ORDER BY o.bucket, o.object_name FOR UPDATE OF o"""

_REPLACE = f"""
    UPDATE metadata.objects o SET storage_key = g.storage_key, store_id = $1, final_location = g.final_location,
        generation = o.generation + 1, size = g.size, etag = g.etag, checksum_sha256 = g.checksum_sha256,
        content_type = g.content_type, content_disposition = d.content_disposition, metadata = d.metadata,
        draft_id = d.id, confirmed_at = date_trunc('milliseconds', now())
    FROM {_GIVEN} JOIN metadata.drafts d ON d.id = g.draft_id
    WHERE o.id = g.object_id AND o.id = ANY($3::uuid[]) AND d.id = ANY($4::uuid[]) RETURNING {OBJECT}"""

_REPLACED_EVENT = """
    INSERT INTO metadata.events (tenant_id, draft_id, object_name, type, actor)
    SELECT tenant_id, id, object_name, 'object.replaced', $2 FROM metadata.drafts
    WHERE id = ANY($1::uuid[]) ORDER BY id"""

_CONFIRMED = transition(
    "confirmed",
    """receipt = old.receipt, size = old.size, etag = old.etag, lease_expires_at = NULL,
    purge_due_at = d.write_horizon_at""",
    given="fence bigint, receipt jsonb, size bigint, etag text",
    where="d.fence = g.fence",
    whole=True,
    reason="$4 || (receipt->>'final_location')",
)


class PublishStore:
    """What becomes visible at once."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._single = Together(self._publish_each, lanes=LANES, most=MOST, shared=DatabaseUnavailable, kind=_alike)

    async def publish(self, request: wire.Publication) -> wire.Published:
        """Object rows, receipts, `confirmed` and events, or nothing of it. `LeaseLost` if a claim was lost.

        Single drafts of one caller are published together; if one of them cannot be, each is alone.
        """
        try:
            if request.confirmation_id is None and len(request.copied) == 1:
                return wire.Published(receipts=[await self._database.common(self._single.do(request))])
            return wire.Published(receipts=await self._publish(request))
        except NamesRefused as error:
            return wire.Published(refused=error.refusals)

    async def _publish_each(self, requests: Sequence[wire.Publication]) -> list[Receipt]:
        copied = [request.copied[0] for request in requests]
        if len({copy.draft_id for copy in copied}) < len(copied):
            raise LeaseLost  # asked twice: one of them comes too late
        return await self._publish(requests[0].model_copy(update={"copied": copied}))

    async def _publish(self, request: wire.Publication) -> list[Receipt]:
        async with self._database.transaction() as connection:
            await confirmations.confirm_work(connection, request)
            return await publish(connection, request, "confirming")


def _alike(request: wire.Publication) -> Hashable:
    place = request.main_bucket, request.store_id, request.url_grace
    return request.tenant_id, request.actor, request.on_conflict, *place


async def publish(connection: Connection, request: wire.Publication, state: DraftState) -> list[Receipt]:
    """Make objects of claims in this state; raises `NamesRefused` or `LeaseLost`, which must end the transaction."""
    await names.share(connection, request.tenant_id)
    judged = await keys.published(connection, request.tenant_id, request.copied, state)
    rows = await _put_objects(connection, request)
    return await _confirm(connection, request, rows, judged)


async def _put_objects(connection: Connection, request: wire.Publication) -> list[asyncpg.Record]:
    """Insert the objects, or replace those that are there. Goes on while others make or delete some of them."""
    missing = {copy.draft_id: copy for copy in request.copied}
    done: list[asyncpg.Record] = []
    while missing:
        given = [_object(request, copy, uuid7()) for copy in missing.values()]
        done += await connection.fetch(_INSERT, request.store_id, given, list(missing))
        missing = _without(missing, done)
        if not missing:
            break
        if refused := await names.refused(connection, list(missing), request.on_conflict):
            raise NamesRefused(refused)
        if request.on_conflict == "replace":
            done += await _replace(connection, request, missing)
            missing = _without(missing, done)
    return done


async def _replace(
    connection: Connection, request: wire.Publication, missing: dict[UUID, wire.Copied]
) -> list[asyncpg.Record]:
    old = await connection.fetch(_LOCK_OLD, list(missing))
    given = [_object(request, missing[row["draft_id"]], row["id"]) for row in old]
    ids = [row["id"] for row in old], [row["draft_id"] for row in old]
    rows = await connection.fetch(_REPLACE, request.store_id, given, *ids)
    await keys.replaced(connection, [row["storage_key"] for row in old], timedelta(seconds=request.url_grace))
    await connection.execute(_REPLACED_EVENT, [row["draft_id"] for row in rows], request.actor)
    return list(rows)


async def _confirm(
    connection: Connection, request: wire.Publication, rows: list[asyncpg.Record], judged: dict[UUID, str]
) -> list[Receipt]:
    receipts = {row["draft_id"]: Receipt.model_validate(dict(row)) for row in rows}
    given = [
        {
            "draft_id": str(copy.draft_id),
            "fence": copy.fence,
            "receipt": receipts[copy.draft_id].model_dump(mode="json"),
            "size": copy.size,
            "etag": judged[copy.draft_id],
        }
        for copy in request.copied
    ]
    who = (request.tenant_id, list(receipts), request.actor, "published as ")
    moved = await connection.fetch(_CONFIRMED, *who, given)
    assert len(moved) == len(receipts)  # noqa: S101  locked by `keys.published`
    return [receipts[copy.draft_id] for copy in request.copied]


def _object(request: wire.Publication, copy: wire.Copied, object_id: UUID) -> dict[str, Any]:
    location = f"{request.main_bucket}/{copy.storage_key}"
    return {"object_id": str(object_id), "final_location": location, **copy.model_dump(mode="json", exclude={"fence"})}


def _without(missing: dict[UUID, wire.Copied], done: list[asyncpg.Record]) -> dict[UUID, wire.Copied]:
    ready = {row["draft_id"] for row in done}
    return {draft_id: copy for draft_id, copy in missing.items() if draft_id not in ready}
