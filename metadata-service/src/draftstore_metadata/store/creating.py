"""SQL of new drafts: one statement, and so one transaction, for any number of them, with their events.

Single creates of different callers leave in common statements (`kit.together`). Measured on 2 busy cores with 64
creates at once, CPU of one in this process and in PostgreSQL: 165 + 170 µs alone, 36 to 46 + 13 to 23 together.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg

from draftstore_common.contracts import metadata as wire
from draftstore_common.contracts.metadata import DraftRecord
from draftstore_common.kit.database import Database, DatabaseUnavailable
from draftstore_common.kit.ids import following, uuid7, uuid7_run
from draftstore_common.kit.together import Together
from draftstore_metadata.domain import WRITE_SLACK, draft_key, warning_lead
from draftstore_metadata.errors import Unsettled
from draftstore_metadata.store import idempotency
from draftstore_metadata.store.rows import DRAFT, LANES, MOST, TAKES_BYTES, Connection, Times, draft_record, seconds

_COLUMNS = {
    "id": "uuid",
    "tenant_id": "uuid",
    "bucket": "text",
    "object_name": "text",
    "storage_key": "text",
    "upload_type": "text",
    "declared_size": "bigint",
    "declared_content_type": "text",
    "declared_checksum_sha256": "text",
    "cache_control": "text",
    "content_disposition": "text",
    "content_encoding": "text",
    "metadata": "jsonb",
    "subject": "text",
    "created_by": "text",
}

_TIMES = ("lifetime", "url_life", "longest", "lead")
"""Durations, in seconds, from which PostgreSQL's clock makes instants; `lead` is before the end of the lifetime."""

_ROWS = ", ".join(
    f"${place}::{kind}[]" for place, kind in enumerate([*_COLUMNS.values(), *("interval" for _ in _TIMES)], start=1)
)

_INSERT = f"""
    d AS (
        INSERT INTO metadata.drafts ({", ".join(_COLUMNS)}, state,
            expires_at, write_horizon_at, lifetime_ends_at, warn_at, purge_due_at)
        SELECT {", ".join(_COLUMNS)}, 'open',
            now() + lifetime, now() + url_life, now() + longest, now() + lifetime - lead,
            now() + lifetime - coalesce(lead, interval '0')
        FROM unnest({_ROWS}) AS n ({", ".join([*_COLUMNS, *_TIMES])}) {{where}}
        RETURNING tenant_id, id, object_name, created_by
    ), logged AS (
        INSERT INTO metadata.events (tenant_id, draft_id, object_name, type, to_state, actor)
        SELECT tenant_id, id, object_name, 'draft.open', 'open', created_by FROM d
    )"""

_CREATE = f"WITH {_INSERT.format(where='')} SELECT now() AS now"

_CREATE_ONCE = f"""
    WITH taken AS ({idempotency.taking(len(_COLUMNS) + len(_TIMES) + 1)}),
    {_INSERT.format(where="WHERE EXISTS (SELECT FROM taken)")}
    SELECT now() AS now, EXISTS (SELECT FROM taken) AS taken"""

# Until when a URL that was given out for these drafts may be used: their horizons, less the slack.
_MADE_BEFORE = f"""
    SELECT {DRAFT}, CASE WHEN d.state IN {TAKES_BYTES} THEN greatest(0, floor(extract(
            epoch FROM least(d.write_horizon_at - $3::interval, d.expires_at) - now())))::int ELSE 0 END AS url_ttl
    FROM metadata.drafts d WHERE d.tenant_id = $1 AND d.id = ANY($2::uuid[]) ORDER BY d.id"""

ATTEMPTS = 10

_Row = tuple[Any, ...]


class CreateStore:
    """New drafts: each `open`, with its key, its time, and the horizon of its first URL."""

    def __init__(self, database: Database, times: Times) -> None:
        self._database = database
        self._expiry_warning = times.expiry_warning
        self._together = Together(self._insert, lanes=LANES, most=MOST, shared=DatabaseUnavailable)

    async def one(self, new: wire.CreateDraft) -> DraftRecord:
        """A new draft; of a known idempotency key the draft it made, with what is left of its latest URL's time."""
        row = self._row(uuid7(), new, new)
        if new.idempotency is not None:
            return (await self._once(new, [row], new.idempotency))[0]
        return _record(row, await self._database.common(self._together.do(row)))

    async def many(self, order: wire.CreateDrafts) -> list[DraftRecord]:
        """All of these, in their order, or none; of a known idempotency key those it made."""
        ids = uuid7_run(len(order.drafts))
        rows = [self._row(draft_id, order, new) for draft_id, new in zip(ids, order.drafts, strict=True)]
        if order.idempotency is not None:
            return await self._once(order, rows, order.idempotency)
        now, *_ = await self._insert(rows)
        return [_record(row, now) for row in rows]

    async def _insert(self, rows: Sequence[_Row]) -> list[datetime]:
        """When all of them were created, for each."""
        made = await self._database.row(_CREATE, *_columns(rows))
        assert made is not None  # noqa: S101  it selects one row
        return [made["now"]] * len(rows)

    async def _once(
        self, order: wire.CreateDraft | wire.CreateDrafts, rows: Sequence[_Row], key: wire.IdempotencyKey
    ) -> list[DraftRecord]:
        """The drafts, unless the key has made some: their ids are a run that begins with the key's target."""
        taking = idempotency.arguments(order.tenant_id, key, rows[0][0])
        async with self._database.connection() as connection:
            for _ in range(ATTEMPTS):
                made = await connection.fetchrow(_CREATE_ONCE, *_columns(rows), *taking)
                assert made is not None  # noqa: S101  it selects one row
                if made["taken"]:
                    return [_record(row, made["now"]) for row in rows]
                known = await idempotency.known(connection, order.tenant_id, key)
                if known is not None:  # else it was forgotten at this moment, its time being over
                    return await _made_before(connection, order.tenant_id, following(known, len(rows)))
        raise Unsettled

    def _row(self, draft_id: UUID, order: wire.CreateDraft | wire.CreateDrafts, new: wire.NewDraft) -> _Row:
        lifetime = seconds(min(new.draft_ttl, order.max_lifetime))
        return (
            draft_id,
            order.tenant_id,
            new.bucket,
            new.object_name,
            draft_key(order.tenant_id),
            new.upload_type,
            new.size,
            new.content_type,
            new.checksum_sha256,
            new.cache_control,
            new.content_disposition,
            new.content_encoding,
            new.metadata,
            new.subject,
            order.actor,
            lifetime,
            min(seconds(order.upload_ttl), lifetime) + WRITE_SLACK,
            seconds(order.max_lifetime),
            warning_lead(lifetime, self._expiry_warning),
        )


def _columns(rows: Sequence[_Row]) -> list[tuple[Any, ...]]:
    return list(zip(*rows, strict=True))


def _record(row: _Row, now: datetime) -> DraftRecord:
    """The row as it was inserted at `now`: what PostgreSQL would answer, without its bytes going to and fro.

    Not validated: the values are those of a request that was, by the same types.
    """
    *columns, lifetime, url_life, _, _ = row
    return DraftRecord.model_construct(
        **dict(zip(_COLUMNS, columns, strict=True)),
        state="open",
        fence=0,
        created_at=now,
        expires_at=now + lifetime,
        ttl_left=_whole(lifetime),
        url_ttl=_whole(url_life - WRITE_SLACK),
    )


def _whole(duration: timedelta) -> int:
    return int(duration.total_seconds())


async def _made_before(connection: Connection, tenant_id: UUID, draft_ids: Sequence[UUID]) -> list[DraftRecord]:
    rows: list[asyncpg.Record] = await connection.fetch(_MADE_BEFORE, tenant_id, draft_ids, WRITE_SLACK)
    assert len(rows) == len(draft_ids)  # noqa: S101  drafts are never deleted
    return [draft_record(row) for row in rows]
