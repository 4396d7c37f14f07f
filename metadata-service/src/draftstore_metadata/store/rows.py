"""How rows are read and drafts are moved: the SQL that several stores share."""

from collections.abc import Iterable
from typing import Any, TypeAlias

import asyncpg

from draftstore_common.contracts.drafts import DraftState
from draftstore_common.contracts.metadata import DraftRecord, ObjectRecord
from draftstore_metadata.domain import sources

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

SEEN_STATE = """CASE WHEN d.state IN ('open', 'uploaded') AND d.expires_at <= now()
    THEN 'expired' ELSE d.state END"""
"""The state callers see: an overdue draft is expired before any cleaner ran."""

DRAFT = f"""d.id, d.tenant_id, d.bucket, d.object_name, d.storage_key, {SEEN_STATE} AS state, d.upload_type,
    d.upload_id, d.declared_size, d.declared_content_type, d.declared_checksum_sha256, d.cache_control,
    d.content_disposition, d.content_encoding, d.metadata, d.subject, d.size, d.etag, d.fence, d.receipt,
    greatest(0, floor(extract(epoch FROM d.expires_at - now())))::int AS ttl_left,
    d.created_at, d.expires_at, d.lease_expires_at, d.discarded_at, now() AS now"""

OBJECT = """o.id, o.tenant_id, o.bucket, o.object_name, o.storage_key, o.final_location, o.generation, o.size, o.etag,
    o.checksum_sha256, o.content_type, o.content_disposition, o.metadata, o.draft_id, o.confirmed_at"""

OBJECT_BY_NAME = f"""
    SELECT {OBJECT} FROM metadata.objects o WHERE o.tenant_id = $1 AND o.bucket = $2 AND o.object_name = $3"""

SUBJECT_MATCHES = "(d.subject IS NULL OR d.subject = {given})"
"""A draft with a subject is seen by that subject alone; `given` is the parameter that holds the caller's."""


def draft_record(row: asyncpg.Record, **more: Any) -> DraftRecord:
    """A draft's row as it travels."""
    return DraftRecord.model_validate({**row, **more})


def object_record(row: asyncpg.Record) -> ObjectRecord:
    """An object's row as it travels."""
    return ObjectRecord.model_validate(dict(row))


def as_list(states: Iterable[DraftState]) -> str:
    """States as a list of SQL literals."""
    return ", ".join(f"'{state}'" for state in sorted(states))


def given_back(etag: str) -> str:
    """The state a draft returns to when a claim ends without publishing: what is known of its bytes decides."""
    return f"CASE WHEN {etag} IS NULL THEN 'open' ELSE 'uploaded' END"


def transition(target: DraftState, assignments: str, *, where: str = "true", target_sql: str | None = None) -> str:
    """A statement that moves one draft by compare-and-set and writes the event beside it, in one transaction.

    Its first four parameters are tenant, draft, actor and reason; `assignments` (on `d`) and `where` (on the same
    row before the move, also `d`) continue from $5. It answers the moved row, or none when the row was not in a
    state that may become `target`. Two of these at once: the second waits for the first, looks again, and finds
    another state. `target_sql` chooses between `target` and another state with the same sources.
    """
    return f"""
        WITH old AS (
            SELECT d.id, d.state FROM metadata.drafts d
            WHERE d.tenant_id = $1 AND d.id = $2 AND d.state IN ({as_list(sources(target))}) AND ({where})
            FOR UPDATE
        ), moved AS (
            UPDATE metadata.drafts d SET state = {target_sql or f"'{target}'"}, {assignments}
            FROM old WHERE d.id = old.id
            RETURNING {DRAFT}, old.state AS from_state, d.state AS to_state
        ), logged AS (
            INSERT INTO metadata.events (tenant_id, draft_id, object_name, type, from_state, to_state, actor, reason)
            SELECT tenant_id, id, object_name, 'draft.' || to_state, from_state, to_state, $3, $4 FROM moved
        )
        SELECT * FROM moved"""
