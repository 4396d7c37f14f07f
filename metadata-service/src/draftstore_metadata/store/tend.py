"""SQL of tending: living drafts whose time has come, moved without touching bytes. Anybody may do it, often.

A lapsed claim or hold is given back, an overdue draft expires, one that will soon expire is warned of.
"""

from datetime import timedelta

from draftstore_common.contracts import metadata as wire
from draftstore_common.kit.database import Database
from draftstore_metadata.domain import RECOVERY_TTL
from draftstore_metadata.store import confirmations, idempotency
from draftstore_metadata.store.rows import CLAIMED, LIVING, given_back, time_to_retry

_ACTOR = "service:metadata"

_LATER = time_to_retry("$3")

_TEND = f"""
    WITH due AS (
        SELECT id, state, CASE
            WHEN state IN {CLAIMED} THEN 'recovered'
            WHEN expires_at <= now() THEN 'expired' ELSE 'warned' END AS step
        FROM metadata.drafts
        WHERE purge_due_at <= now() AND state IN {LIVING}
          AND (lease_expires_at IS NULL OR lease_expires_at <= now())
        ORDER BY purge_due_at LIMIT $1 FOR UPDATE SKIP LOCKED
    ), moved AS (
        UPDATE metadata.drafts d SET
            state = CASE due.step WHEN 'recovered' THEN {given_back("d.etag")} WHEN 'expired' THEN 'expired'
                ELSE d.state END,
            lease_expires_at = NULL, confirmation_id = NULL,
            expires_at = CASE due.step WHEN 'recovered' THEN {_LATER} ELSE d.expires_at END,
            warn_at = CASE due.step WHEN 'warned' THEN NULL ELSE d.warn_at END,
            purge_due_at = CASE due.step
                WHEN 'recovered' THEN coalesce(d.warn_at, {_LATER})
                WHEN 'expired' THEN d.expires_at + $2 ELSE d.expires_at END
        FROM due WHERE d.id = due.id
        RETURNING d.tenant_id, d.id, d.object_name, due.state AS from_state, d.state, due.step
    ), logged AS (
        INSERT INTO metadata.events (tenant_id, draft_id, object_name, type, from_state, to_state, actor, reason)
        SELECT tenant_id, id, object_name, 'draft.' || CASE step WHEN 'warned' THEN 'expiring' ELSE state END,
            from_state, state, '{_ACTOR}', CASE
                WHEN from_state = 'confirming' THEN 'the confirm attempt died'
                WHEN from_state = 'prepared' THEN 'the hold ended'
                WHEN step = 'expired' THEN 'its time was over' ELSE 'it expires soon' END
        FROM moved ORDER BY id
    )
    SELECT count(*) AS taken, count(*) FILTER (WHERE step = 'expired') AS expired,
        count(*) FILTER (WHERE step = 'recovered') AS recovered, count(*) FILTER (WHERE step = 'warned') AS warned
    FROM moved"""


class TendStore:
    """Moves what is due. Several at once share the work."""

    def __init__(self, database: Database, restore_grace: timedelta) -> None:
        self._database = database
        self._restore_grace = restore_grace

    async def tend(self, request: wire.TendDrafts) -> wire.Tended:
        """Up to `limit` drafts, with as many confirmations and idempotency keys that are over."""
        async with self._database.transaction() as connection:
            row = await connection.fetchrow(_TEND, request.limit, self._restore_grace, RECOVERY_TTL)
            lapsed = (confirmations.HOLD_OVER, confirmations.ATTEMPT_DIED)
            await connection.execute(confirmations.TEND, request.limit, *lapsed)
            await idempotency.forget(connection, request.limit)
        assert row is not None  # noqa: S101  an aggregate always answers one row
        return wire.Tended.model_validate(dict(row))
