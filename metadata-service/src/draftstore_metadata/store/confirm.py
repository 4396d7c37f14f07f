"""SQL of a confirm: claim, renew, release, reserve a key, publish. Each is one transaction; the row decides."""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import asyncpg

from draftstore_common.contracts import metadata as wire
from draftstore_common.contracts.drafts import Receipt
from draftstore_common.contracts.metadata import DraftRecord
from draftstore_common.kit.database import Database
from draftstore_common.kit.ids import uuid7
from draftstore_metadata.domain import RECOVERY_TTL, fresh_key, plain_key
from draftstore_metadata.errors import LeaseLost, ObjectExists
from draftstore_metadata.store.rows import (
    DRAFT,
    OBJECT,
    OBJECT_BY_NAME,
    SUBJECT_MATCHES,
    Connection,
    draft_record,
    given_back,
    transition,
)

_CLAIM = transition(
    "confirming",
    "fence = d.fence + 1, lease_expires_at = now() + $5, purge_due_at = now() + $5",
    where=f"d.expires_at > now() AND {SUBJECT_MATCHES.format(given='$6')}",
)

_LONGER = "greatest(d.expires_at, now() + $5)"

_RECOVER = transition(
    "uploaded",
    f"lease_expires_at = NULL, expires_at = {_LONGER}, purge_due_at = {_LONGER}",
    where="d.state = 'confirming' AND d.lease_expires_at <= now()",
    target_sql=given_back("d.etag"),
)

_RENEW = """
    UPDATE metadata.drafts SET lease_expires_at = now() + $4, purge_due_at = now() + $4
    WHERE tenant_id = $1 AND id = $2 AND state = 'confirming' AND fence = $3 RETURNING id"""

_RELEASE = transition(
    "uploaded",
    f"""lease_expires_at = NULL, expires_at = {_LONGER}, purge_due_at = {_LONGER},
    size = coalesce($7, d.size), etag = coalesce($8, d.etag)""",
    where="d.state = 'confirming' AND d.fence = $6",
    target_sql=given_back("coalesce($8, d.etag)"),
)

_HELD = f"""
    SELECT {DRAFT}, d.write_horizon_at FROM metadata.drafts d
    WHERE d.tenant_id = $1 AND d.id = $2 AND d.state = 'confirming' AND d.fence = $3 FOR UPDATE"""

_LOCK_OBJECT = f"{OBJECT_BY_NAME} FOR UPDATE"

_KEY_OF_SAME_BYTES = """
    SELECT storage_key FROM metadata.object_keys
    WHERE draft_id = $1 AND source_etag = $2 AND state = 'reserved'"""

_RESERVE = """
    INSERT INTO metadata.object_keys (id, storage_key, tenant_id, draft_id, source_etag, size, state)
    VALUES ($1, $2, $3, $4, $5, $6, 'reserved') ON CONFLICT (storage_key) DO NOTHING RETURNING storage_key"""

_DROP_OTHER_KEYS = """
    UPDATE metadata.object_keys SET state = 'garbage', purge_due_at = now()
    WHERE draft_id = $1 AND state = 'reserved' AND storage_key <> $2"""

_KEY_PUBLISHED = """
    UPDATE metadata.object_keys SET state = 'published'
    WHERE storage_key = $1 AND draft_id = $2 AND state = 'reserved' RETURNING source_etag"""

_KEY_REPLACED = """
    UPDATE metadata.object_keys SET state = 'garbage', purge_due_at = now() + $2 WHERE storage_key = $1"""

_INSERT_OBJECT = f"""
    INSERT INTO metadata.objects AS o (id, tenant_id, bucket, object_name, storage_key, store_id, final_location,
        generation, size, etag, checksum_sha256, content_type, content_disposition, metadata, draft_id, confirmed_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, 1, $8, $9, $10, $11, $12, $13, $14,
        date_trunc('milliseconds', now()))
    ON CONFLICT (tenant_id, bucket, object_name) DO NOTHING RETURNING {OBJECT}"""

_REPLACE_OBJECT = f"""
    UPDATE metadata.objects o SET storage_key = $5, store_id = $6, final_location = $7,
        generation = o.generation + 1, size = $8, etag = $9, checksum_sha256 = $10, content_type = $11,
        content_disposition = $12, metadata = $13, draft_id = $14, confirmed_at = date_trunc('milliseconds', now())
    WHERE o.id = $1 AND o.tenant_id = $2 AND o.bucket = $3 AND o.object_name = $4 RETURNING {OBJECT}"""

_REPLACED_EVENT = """
    INSERT INTO metadata.events (tenant_id, draft_id, object_name, type, actor)
    VALUES ($1, $2, $3, 'object.replaced', $4)"""

_CONFIRMED = transition(
    "confirmed",
    "receipt = $6, size = $7, etag = $8, lease_expires_at = NULL, purge_due_at = d.write_horizon_at",
    where="d.state = 'confirming' AND d.fence = $5",
)


@dataclass(frozen=True, slots=True)
class _Publication:
    """What one publish writes, with the rows it read."""

    request: wire.Publish
    draft: asyncpg.Record

    def object_arguments(self, object_id: UUID) -> tuple[object, ...]:
        """Parameters of `_INSERT_OBJECT` and `_REPLACE_OBJECT`."""
        new, draft = self.request, self.draft
        location = f"{new.main_bucket}/{new.storage_key}"
        name = (object_id, draft["tenant_id"], draft["bucket"], draft["object_name"])
        what = (new.size, new.etag, new.checksum_sha256, new.content_type)
        more = (draft["content_disposition"], draft["metadata"], draft["id"])
        return (*name, new.storage_key, new.store_id, location, *what, *more)


class ConfirmStore:
    """The confirm protocol as statements. `LeaseLost` means: stop, another attempt holds the draft."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def claim(self, request: wire.ClaimConfirm) -> DraftRecord | None:
        """Take the draft for one attempt with a new fencing number; None if its row forbids it now."""
        lease = timedelta(seconds=request.lease_ttl)
        row = await self._database.row(
            _CLAIM, request.tenant_id, request.draft_id, request.actor, "confirm", lease, request.subject
        )
        return draft_record(row) if row else None

    async def recover(self, tenant_id: UUID, draft_id: UUID) -> bool:
        """Give a draft whose attempt died back to `uploaded`, with time left to confirm it again."""
        reason = "the confirm attempt died"
        row = await self._database.row(_RECOVER, tenant_id, draft_id, "service:metadata", reason, RECOVERY_TTL)
        return row is not None

    async def renew(self, request: wire.RenewClaim) -> None:
        """Prolong the lease from now."""
        lease = timedelta(seconds=request.lease_ttl)
        if await self._database.row(_RENEW, request.tenant_id, request.draft_id, request.fence, lease) is None:
            raise LeaseLost

    async def release(self, request: wire.ReleaseClaim) -> None:
        """Give the claim back. A claim that was lost already stays lost, without an error."""
        who = (request.tenant_id, request.draft_id, request.actor, request.reason)
        longer = RECOVERY_TTL if request.outage else timedelta()
        await self._database.row(_RELEASE, *who, longer, request.fence, request.size, request.etag)

    async def reserve_key(self, request: wire.ReserveKey) -> str:
        """Record the key this attempt will write, before it writes. Unique for ever; the same bytes get the same."""
        async with self._database.transaction() as connection:
            draft = await _held(connection, request)
            if request.on_conflict == "fail" and await _object(connection, draft, OBJECT_BY_NAME) is not None:
                raise ObjectExists
            known = await connection.fetchval(_KEY_OF_SAME_BYTES, draft["id"], request.etag)
            return known or await _new_key(connection, draft, request)

    async def publish(self, request: wire.Publish) -> Receipt:
        """Object row, receipt, `confirmed` and events, or nothing of it."""
        async with self._database.transaction() as connection:
            work = _Publication(request, await _held(connection, request))
            judged_etag = await connection.fetchval(_KEY_PUBLISHED, request.storage_key, request.draft_id)
            if judged_etag is None:
                raise LeaseLost
            row = await _put_object(connection, work)
            await connection.execute(_DROP_OTHER_KEYS, request.draft_id, request.storage_key)
            return await _confirm(connection, work, row, judged_etag)


async def _held(connection: Connection, ref: wire.FencedRef) -> asyncpg.Record:
    row = await connection.fetchrow(_HELD, ref.tenant_id, ref.draft_id, ref.fence)
    if row is None:
        raise LeaseLost
    return row


async def _object(connection: Connection, draft: asyncpg.Record, sql: str) -> asyncpg.Record | None:
    return await connection.fetchrow(sql, draft["tenant_id"], draft["bucket"], draft["object_name"])


async def _new_key(connection: Connection, draft: asyncpg.Record, request: wire.ReserveKey) -> str:
    plain = plain_key(draft["tenant_id"], draft["bucket"], draft["object_name"])
    candidate, reserved = plain, None
    while reserved is None:
        arguments = (uuid7(), candidate, draft["tenant_id"], draft["id"], request.etag, request.size)
        reserved = await connection.fetchval(_RESERVE, *arguments)
        candidate = fresh_key(plain)
    await connection.execute(_DROP_OTHER_KEYS, draft["id"], reserved)
    return str(reserved)


async def _put_object(connection: Connection, work: _Publication) -> asyncpg.Record:
    """Insert the object, or replace it where that is asked for. Loops while another transaction makes or deletes it."""
    while True:
        inserted = await connection.fetchrow(_INSERT_OBJECT, *work.object_arguments(uuid7()))
        if inserted is not None:
            return inserted
        if work.request.on_conflict == "fail":
            raise ObjectExists
        old = await _object(connection, work.draft, _LOCK_OBJECT)
        if old is not None:
            return await _replace(connection, work, old)


async def _replace(connection: Connection, work: _Publication, old: asyncpg.Record) -> asyncpg.Record:
    row = await connection.fetchrow(_REPLACE_OBJECT, *work.object_arguments(old["id"]))
    assert row is not None  # noqa: S101  locked by `_object`
    await connection.execute(_KEY_REPLACED, old["storage_key"], timedelta(seconds=work.request.url_grace))
    await connection.execute(_REPLACED_EVENT, row["tenant_id"], row["draft_id"], row["object_name"], work.request.actor)
    return row


async def _confirm(connection: Connection, work: _Publication, row: asyncpg.Record, judged_etag: str) -> Receipt:
    new = work.request
    receipt = Receipt.model_validate(dict(row))
    who = (new.tenant_id, new.draft_id, new.actor, f"published as {receipt.final_location}")
    what = (new.fence, receipt.model_dump(mode="json"), new.size, judged_etag)
    moved = await connection.fetchrow(_CONFIRMED, *who, *what)
    assert moved is not None  # noqa: S101  locked by `_held`
    return receipt
