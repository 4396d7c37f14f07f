"""SQL of drafts between their creation and a confirm: read, list, allow a URL, note bytes, give up."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import asyncpg

from draftstore_common.contracts import metadata as wire
from draftstore_common.contracts.metadata import DraftRecord, ObjectRecord
from draftstore_common.kit.database import Database, DatabaseUnavailable
from draftstore_common.kit.together import Together
from draftstore_metadata.domain import WRITE_SLACK, warning_lead
from draftstore_metadata.store.rows import (
    CLAIMED,
    DRAFT,
    LANES,
    LIVING,
    OBJECT,
    SEEN_STATE,
    SUBJECT_MATCHES,
    TAKES_BYTES,
    Times,
    draft_record,
    given_back,
    seconds,
    transition,
)

_GET = f"SELECT {DRAFT} FROM metadata.drafts d WHERE d.tenant_id = $1 AND d.id = $2"

_LIST = f"""
    SELECT {DRAFT} FROM metadata.drafts d
    WHERE d.tenant_id = $1 AND ($2::uuid IS NULL OR d.id < $2)
      AND ($3::text IS NULL OR d.object_name = $3) AND ($4::text IS NULL OR ({SEEN_STATE}) = $4)
    ORDER BY d.id DESC LIMIT $5"""

# For each name: the newest draft whose bytes are known to be there, and the open ones that are newer, as bytes may have
# come to those. Beside each (or alone, where no draft lives) stands the object of the name.
_BY_NAME = f"""
    SELECT asked.place, found.*
    FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[]) WITH ORDINALITY
        AS asked (tenant_id, bucket, object_name, subject, place)
    CROSS JOIN LATERAL (
        WITH living AS (
            SELECT d.* FROM metadata.drafts d
            WHERE d.tenant_id = asked.tenant_id AND d.bucket = asked.bucket AND d.object_name = asked.object_name
              AND {SUBJECT_MATCHES.format(given="asked.subject")} AND d.state IN {LIVING}
              AND (d.expires_at > now() OR d.state IN {CLAIMED})
        ), known AS (SELECT id FROM living WHERE state <> 'open' ORDER BY id DESC LIMIT 1
        ), object AS (
            SELECT {OBJECT}, d.etag AS judged_etag,
                coalesce({SUBJECT_MATCHES.format(given="asked.subject")}, false) AS subject_matches
            FROM metadata.objects o LEFT JOIN metadata.drafts d ON d.id = o.draft_id
            WHERE o.tenant_id = asked.tenant_id AND o.bucket = asked.bucket AND o.object_name = asked.object_name
        )
        SELECT {DRAFT}, (SELECT to_jsonb(object) FROM object) AS object
        FROM (VALUES (true)) AS always LEFT JOIN living d
          ON d.id >= coalesce((SELECT id FROM known), '00000000-0000-0000-0000-000000000000')
        ORDER BY d.id DESC LIMIT $5
    ) AS found
    ORDER BY asked.place, found.id DESC"""

# The URL may live as long as asked, never past the draft. The horizon is stored before anybody can sign.
_ALLOW_URL = f"""
    UPDATE metadata.drafts d
    SET write_horizon_at = greatest(d.write_horizon_at, least(now() + $3, d.expires_at) + $4)
    WHERE d.tenant_id = $1 AND d.id = $2 AND d.state IN {TAKES_BYTES}
      AND d.expires_at >= now() + interval '1 second'
    RETURNING {DRAFT}, floor(extract(epoch FROM least($3, d.expires_at - now())))::int AS url_ttl"""

_UPLOADED = transition("uploaded", "size = $5, etag = $6", where="d.state = 'open' AND d.expires_at > now()")

_DISCARD = transition("discarded", "purge_due_at = now(), discarded_at = now()", where="d.expires_at > now()")

# What is asked for, as far as the lifetime allows; a draft that would live longer anyway is left as it is.
_EXTEND = f"""
    WITH old AS (
        SELECT d.id, d.expires_at, greatest(d.expires_at, least(now() + $4, d.lifetime_ends_at)) AS longer
        FROM metadata.drafts d
        WHERE d.tenant_id = $1 AND d.id = $2 AND d.state IN {TAKES_BYTES} AND d.expires_at > now()
        FOR UPDATE
    ), moved AS (
        UPDATE metadata.drafts d SET expires_at = old.longer,
            warn_at = CASE WHEN old.longer > old.expires_at THEN old.longer - $5::interval ELSE d.warn_at END,
            purge_due_at = CASE
                WHEN old.longer > old.expires_at THEN old.longer - coalesce($5, interval '0') ELSE d.purge_due_at END
        FROM old WHERE d.id = old.id
        RETURNING {DRAFT}, old.longer > old.expires_at AS extended, d.state AS row_state
    ), logged AS (
        INSERT INTO metadata.events (tenant_id, draft_id, object_name, type, from_state, to_state, actor, reason)
        SELECT tenant_id, id, object_name, 'draft.extended', row_state, row_state, $3, 'extended by caller'
        FROM moved WHERE extended
    )
    SELECT * FROM moved"""

_EXPIRE = transition("expired", "purge_due_at = d.expires_at + $5", where="d.expires_at <= now()")

_RESTORED_UNTIL = "least(now() + $5, d.lifetime_ends_at)"

_RESTORE = transition(
    "uploaded",
    f"""expires_at = {_RESTORED_UNTIL}, warn_at = {_RESTORED_UNTIL} - $7::interval,
    purge_due_at = {_RESTORED_UNTIL} - coalesce($7, interval '0')""",
    where="d.state = 'expired' AND d.expires_at + $6 > now() AND d.lifetime_ends_at > now()",
    target_sql=given_back("d.etag"),
)

MAX_BY_NAME = 100
"""Drafts of one name that are looked at; whoever has more must say which one is meant."""

NAMES_AT_ONCE = 16
"""Names that are looked up in one statement. Each may bring `MAX_BY_NAME` drafts with 27 KB of metadata: 44 MB."""


class DraftStore:
    """Drafts as rows. Every method works on one tenant; a foreign draft is never seen."""

    def __init__(self, database: Database, times: Times) -> None:
        self._database = database
        self._times = times
        self._finding = Together(self._find, lanes=LANES, most=NAMES_AT_ONCE, shared=DatabaseUnavailable)

    async def get(self, tenant_id: UUID, draft_id: UUID) -> asyncpg.Record | None:
        """A draft's row with what decides its fate (`now`, `lease_expires_at`, `discarded_at`)."""
        return await self._database.row(_GET, tenant_id, draft_id)

    async def list(self, query: wire.ListDrafts, before: UUID | None) -> list[DraftRecord]:
        """Drafts older than `before`, newest first, one more than `query.limit` if there are more."""
        rows = await self._database.rows(
            _LIST, query.tenant_id, before, query.object_name, query.state, query.limit + 1
        )
        return [draft_record(row) for row in rows]

    async def find(self, query: wire.FindByName) -> wire.NameRecord:
        """The living drafts of a name that may have bytes, newest first, and its object."""
        return await self._database.common(self._finding.do(query))

    async def _find(self, queries: Sequence[wire.FindByName]) -> Sequence[wire.NameRecord]:
        names = [(each.tenant_id, each.bucket, each.object_name, each.subject) for each in queries]
        found: list[list[asyncpg.Record]] = [[] for _ in queries]
        for row in await self._database.rows(_BY_NAME, *zip(*names, strict=True), MAX_BY_NAME + 1):
            found[row["place"] - 1].append(row)
        return [_name_record(rows) for rows in found]

    async def allow_url(self, request: wire.AllowUrl) -> DraftRecord | None:
        """Move the write horizon for one more URL; None if the draft takes no bytes any more."""
        row = await self._database.row(
            _ALLOW_URL, request.tenant_id, request.draft_id, seconds(request.upload_ttl), WRITE_SLACK
        )
        return draft_record(row) if row else None

    async def record_uploaded(self, request: wire.RecordUploaded) -> DraftRecord | None:
        """`open` → `uploaded`; None if the draft is anything else."""
        return await self._moved(_UPLOADED, request, request.actor, "bytes seen", request.size, request.etag)

    async def discard(self, request: wire.DiscardDraft) -> DraftRecord | None:
        """Give a living draft up, its bytes due at once; None if its state forbids it."""
        return await self._moved(_DISCARD, request, request.actor, "discarded by caller")

    async def extend(self, request: wire.ExtendDraft) -> DraftRecord | None:
        """Move a living draft's expiry; None if it is not living, or claimed."""
        ttl = seconds(request.ttl)
        lead = warning_lead(ttl, self._times.expiry_warning)
        row = await self._database.row(_EXTEND, request.tenant_id, request.draft_id, request.actor, ttl, lead)
        return draft_record(row) if row else None

    async def restore(self, request: wire.RestoreDraft) -> DraftRecord | None:
        """Bring an expired draft back within the grace; None if it is not expired, or too late."""
        ttl, grace = seconds(request.ttl), self._times.restore_grace
        who = (request.tenant_id, [request.draft_id], request.actor)
        lead = warning_lead(ttl, self._times.expiry_warning)
        async with self._database.transaction() as connection:
            await connection.fetch(_EXPIRE, *who, "its time was over", grace)
            row = await connection.fetchrow(_RESTORE, *who, "restored by caller", ttl, grace, lead)
        return draft_record(row) if row else None

    async def _moved(self, sql: str, ref: wire.DraftRef, *rest: Any) -> DraftRecord | None:
        row = await self._database.row(sql, ref.tenant_id, [ref.draft_id], *rest)
        return draft_record(row) if row else None


def _name_record(rows: Sequence[asyncpg.Record]) -> wire.NameRecord:
    """Of the rows of one name: there is one at least."""
    found = rows[0]["object"]
    return wire.NameRecord(
        drafts=[draft_record(row) for row in rows[:MAX_BY_NAME] if row["id"] is not None],
        more_drafts=len(rows) > MAX_BY_NAME,
        object=found and ObjectRecord.model_validate(found),
        judged_etag=found and found["judged_etag"],
        subject_matches=found is None or found["subject_matches"],
    )
