"""How rows are read and drafts are moved: the SQL that several stores share."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeAlias

import asyncpg

from draftstore_common.contracts.drafts import DraftState
from draftstore_common.contracts.metadata import DraftRecord, ObjectRecord
from draftstore_metadata import domain
from draftstore_metadata.domain import sources

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


def as_list(states: Iterable[DraftState]) -> str:
    """States as a list of SQL literals."""
    return ", ".join(f"'{state}'" for state in sorted(states))


TAKES_BYTES = f"({as_list(domain.TAKES_BYTES)})"
CLAIMED = f"({as_list(domain.CLAIMED)})"
LIVING = f"({as_list(domain.LIVING)})"
BYTES_GO = f"({as_list(domain.BYTES_GO)})"
"""The groups of states in `domain`, as SQL has them after IN."""

SEEN_STATE = f"""CASE WHEN d.state IN {TAKES_BYTES} AND d.expires_at <= now()
    THEN 'expired' ELSE d.state END"""
"""The state callers see: an overdue draft is expired before any cleaner ran."""

DRAFT = f"""d.id, d.tenant_id, d.bucket, d.object_name, d.storage_key, {SEEN_STATE} AS state, d.upload_type,
    d.upload_id, d.declared_size, d.declared_content_type, d.declared_checksum_sha256, d.cache_control,
    d.content_disposition, d.content_encoding, d.metadata, d.subject, d.size, d.etag, d.fence, d.receipt,
    d.confirmation_id, greatest(0, floor(extract(epoch FROM d.expires_at - now())))::int AS ttl_left,
    d.created_at, d.expires_at, d.lease_expires_at, d.discarded_at, now() AS now"""

OBJECT = """o.id, o.tenant_id, o.bucket, o.object_name, o.storage_key, o.final_location, o.generation, o.size, o.etag,
    o.checksum_sha256, o.content_type, o.content_disposition, o.metadata, o.draft_id, o.confirmed_at"""

OBJECT_BY_NAME = f"""
    SELECT {OBJECT} FROM metadata.objects o WHERE o.tenant_id = $1 AND o.bucket = $2 AND o.object_name = $3"""

SUBJECT_MATCHES = "(d.subject IS NULL OR d.subject = {given})"
"""A draft with a subject is seen by that subject alone; `given` is the parameter that holds the caller's."""


LANES = 2
"""Common statements of one kind under way at once: one more than one, so that a stuck line does not stop them all."""

MOST = 1000
"""Rows of a common statement."""


@dataclass(frozen=True, slots=True)
class Times:
    """How long before its expiry a draft is warned of, and how long after it bytes are kept."""

    expiry_warning: timedelta
    restore_grace: timedelta


def seconds(count: int) -> timedelta:
    """Durations travel as seconds."""
    return timedelta(seconds=count)


def draft_record(row: asyncpg.Record, **more: Any) -> DraftRecord:
    """A draft's row as it travels."""
    return DraftRecord.model_validate({**row, **more})


def object_record(row: asyncpg.Record) -> ObjectRecord:
    """An object's row as it travels."""
    return ObjectRecord.model_validate(dict(row))


def given_back(etag: str) -> str:
    """The state a draft returns to when a claim ends without publishing: what is known of its bytes decides."""
    return f"CASE WHEN {etag} IS NULL THEN 'open' ELSE 'uploaded' END"


def time_to_retry(recovery: str) -> str:
    """When a draft that is given back expires: not before `recovery` from now, so that its caller can try again.

    A caller can make a hold lapse at will: that never lengthens a draft's life beyond its lifetime.
    """
    longer = f"now() + {recovery}"
    return f"""greatest(d.expires_at,
        CASE d.state WHEN 'prepared' THEN least({longer}, d.lifetime_ends_at) ELSE {longer} END)"""


def give_back(recovery: str) -> str:
    """Assignments that end a claim or a hold without publishing."""
    later = time_to_retry(recovery)
    return f"""lease_expires_at = NULL, confirmation_id = NULL, expires_at = {later},
        purge_due_at = coalesce(d.warn_at, {later})"""


def transition(
    target: DraftState,
    assignments: str,
    *,
    where: str = "true",
    target_sql: str | None = None,
    given: str | None = None,
    whole: bool = False,
    reason: str = "$4",
) -> str:
    """A statement that moves drafts by compare-and-set and writes the events beside it, in one transaction.

    Its first four parameters are tenant, drafts, actor and reason. With `given` (columns in SQL), $5 is a JSON array
    of what is given for each draft by `draft_id`, which `where` sees as `g` and `assignments` as `old`. `assignments`
    (on `d`) and `where` (on the same row before the move, also `d`) go on from there. It answers the moved rows: those
    that were in a state which may become `target`; with `whole`, all of them or none. Two of these at once: the second
    waits for the first, looks again, and finds another state; rows are locked in the order of their ids.
    `target_sql` chooses between `target` and another state with the same sources.
    """
    more = f" JOIN jsonb_to_recordset($5::jsonb) AS g (draft_id uuid, {given}) ON g.draft_id = d.id" if given else ""
    return f"""
        WITH old AS (
            SELECT d.id, d.state{", g.*" if given else ""} FROM metadata.drafts d{more}
            WHERE d.tenant_id = $1 AND d.id = ANY($2::uuid[]) AND d.state IN ({as_list(sources(target))}) AND ({where})
            ORDER BY d.id FOR UPDATE OF d
        ), moved AS (
            UPDATE metadata.drafts d SET state = {target_sql or f"'{target}'"}, {assignments}
            FROM old WHERE d.id = old.id{" AND (SELECT count(*) FROM old) = cardinality($2::uuid[])" if whole else ""}
            RETURNING {DRAFT}, old.state AS from_state, d.state AS to_state
        ), logged AS (
            INSERT INTO metadata.events (tenant_id, draft_id, object_name, type, from_state, to_state, actor, reason)
            SELECT tenant_id, id, object_name, 'draft.' || to_state, from_state, to_state, $3, {reason}
            FROM moved ORDER BY id
        )
        SELECT * FROM moved"""
