"""SQL of confirmations' rows.

Whoever waits for both locks a confirmation before the drafts it is about; tending waits for neither.
"""

from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg

from draftstore_common.contracts import confirm as wire
from draftstore_common.contracts.drafts import ConfirmationState
from draftstore_common.problems import ConfirmationNotFound
from draftstore_metadata.errors import LeaseLost
from draftstore_metadata.store.rows import Connection

_CONFIRMATION = """c.id, c.tenant_id, c.state, c.mode, c.draft_ids, c.problem, c.created_by, c.created_at,
    CASE c.state WHEN 'prepared' THEN c.lease_expires_at END AS held_until,
    c.publication->>'on_conflict' AS on_conflict,
    c.lease_expires_at <= now() AS lapsed, c.publication,
    (SELECT coalesce(jsonb_agg(d.receipt ORDER BY i.place), '[]')
     FROM unnest(c.draft_ids) WITH ORDINALITY AS i (id, place) JOIN metadata.drafts d ON d.id = i.id
     WHERE c.state = 'confirmed' AND d.receipt IS NOT NULL) AS receipts"""

_BEGIN = """
    INSERT INTO metadata.confirmations
        (id, tenant_id, state, mode, draft_ids, created_by, lease_expires_at, ended_at)
    VALUES ($1, $2, $3::text, $4, $5, $6, CASE $3::text WHEN 'working' THEN now() + $7 END,
        CASE $3::text WHEN 'confirmed' THEN now() END)"""

_RENEW = """
    UPDATE metadata.confirmations SET lease_expires_at = now() + $3
    WHERE tenant_id = $1 AND id = $2 AND state = 'working' RETURNING id"""

_END = """
    UPDATE metadata.confirmations
    SET state = $4, lease_expires_at = NULL, ended_at = now(), publication = NULL, problem = $5
    WHERE tenant_id = $1 AND id = $2 AND state = $3 RETURNING id"""

_PREPARED = """
    UPDATE metadata.confirmations SET state = 'prepared', lease_expires_at = now() + $3, publication = $4
    WHERE tenant_id = $1 AND id = $2 AND state = 'working' RETURNING id"""

_GET = f"SELECT {_CONFIRMATION} FROM metadata.confirmations c WHERE c.tenant_id = $1 AND c.id = $2"

_LOCK = f"{_GET} FOR UPDATE OF c"

_LAPSED = """
    UPDATE metadata.confirmations c SET state = 'rolled_back', lease_expires_at = NULL, ended_at = now(),
        publication = NULL, problem = CASE c.state WHEN 'prepared' THEN $2::jsonb ELSE $3::jsonb END"""

TEND = f"""{_LAPSED}
    FROM (SELECT id FROM metadata.confirmations WHERE lease_expires_at <= now()
          ORDER BY lease_expires_at LIMIT $1 FOR UPDATE SKIP LOCKED) AS lapsed
    WHERE c.id = lapsed.id"""

_LAPSE = f"""{_LAPSED}
    WHERE c.id = $1 AND c.tenant_id = $4 AND c.lease_expires_at <= now()"""

HOLD_OVER = {"code": "hold_expired", "detail": "The deadline passed before a commit. Confirm the drafts again."}
ATTEMPT_DIED = {"code": "attempt_died", "detail": "The confirm was interrupted and rolled back. Send it again."}


async def begin(
    connection: Connection, request: wire.ClaimDrafts, new: wire.NewConfirmation, state: ConfirmationState
) -> None:
    """Insert a confirmation: `working`, or `confirmed` where there is nothing left to do."""
    what = (new.id, request.tenant_id, state, new.mode, request.draft_ids, request.actor)
    await connection.execute(_BEGIN, *what, timedelta(seconds=request.lease_ttl))


async def renew(connection: Connection, ref: wire.ClaimsRef, lease: timedelta) -> None:
    """Prolong the lease of a confirmation that is being worked on, if there is one; raises `LeaseLost`."""
    if ref.confirmation_id is not None:
        _held(await connection.fetchval(_RENEW, ref.tenant_id, ref.confirmation_id, lease))


async def roll_back_work(connection: Connection, request: wire.ReleaseClaims) -> None:
    """Note why a confirmation came to nothing; one that has ended already stays as it is."""
    if request.confirmation_id is not None:
        await _end(connection, request.tenant_id, request.confirmation_id, "working", "rolled_back", request.problem)


async def confirm_work(connection: Connection, ref: wire.ClaimsRef) -> None:
    """Mark a confirmation confirmed, if there is one; raises `LeaseLost` unless it is still being worked on."""
    if ref.confirmation_id is not None:
        _held(await _end(connection, ref.tenant_id, ref.confirmation_id, "working", "confirmed"))


async def end_hold(connection: Connection, ref: wire.ConfirmationRef, state: str, problem: Any = None) -> None:
    """Mark a prepared confirmation, which the transaction has locked, as ended."""
    _held(await _end(connection, ref.tenant_id, ref.confirmation_id, "prepared", state, problem))


async def _end(
    connection: Connection, tenant_id: UUID, row_id: UUID, before: str, after: str, problem: Any = None
) -> Any:
    return await connection.fetchval(_END, tenant_id, row_id, before, after, problem)


async def hold(connection: Connection, request: wire.Prepare) -> None:
    """Mark a confirmation prepared, with what its commit will publish."""
    publication = request.model_dump(mode="json", exclude={"hold_ttl"})
    deadline = timedelta(seconds=request.hold_ttl)
    _held(await connection.fetchval(_PREPARED, request.tenant_id, request.confirmation_id, deadline, publication))


async def get(connection: Connection, ref: wire.ConfirmationRef, *, lock: bool = False) -> asyncpg.Record:
    """The row, locked until the transaction ends if asked; raises `ConfirmationNotFound`."""
    row = await connection.fetchrow(_LOCK if lock else _GET, ref.tenant_id, ref.confirmation_id)
    if row is None:
        raise ConfirmationNotFound
    return row


async def lapse(connection: Connection, ref: wire.ConfirmationRef) -> None:
    """Roll a confirmation back whose time is over. Whoever was still to publish it finds it so."""
    await connection.execute(_LAPSE, ref.confirmation_id, HOLD_OVER, ATTEMPT_DIED, ref.tenant_id)


def record(row: asyncpg.Record) -> wire.ConfirmationRecord:
    """A confirmation's row as it travels."""
    return wire.ConfirmationRecord.model_validate(dict(row))


def _held(found: object) -> None:
    if found is None:
        raise LeaseLost
