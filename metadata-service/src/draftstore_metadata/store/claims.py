"""SQL of claims: take drafts for an attempt, prolong, give back. The row decides, all rows of an attempt together."""

from collections.abc import Hashable, Sequence
from datetime import timedelta
from typing import Any, Literal, TypeAlias
from uuid import UUID

import asyncpg

from draftstore_common.contracts import confirm as wire
from draftstore_common.contracts.drafts import OnConflict
from draftstore_common.kit.database import Database, DatabaseUnavailable
from draftstore_common.kit.together import Together
from draftstore_metadata.domain import RECOVERY_TTL
from draftstore_metadata.errors import LeaseLost
from draftstore_metadata.store import confirmations, names
from draftstore_metadata.store.idempotency import take
from draftstore_metadata.store.rows import (
    CLAIMED,
    DRAFT,
    LANES,
    MOST,
    SUBJECT_MATCHES,
    Connection,
    give_back,
    given_back,
    transition,
)

_CLAIM, _CLAIM_EACH = (
    transition(
        "confirming",
        """fence = d.fence + 1, lease_expires_at = now() + $5, purge_due_at = now() + $5, confirmation_id = $7""",
        where=f"d.expires_at > now() AND {SUBJECT_MATCHES.format(given='$6')}",
        whole=whole,
    )
    for whole in (True, False)
)
"""All of the drafts or none; or those of them that can be claimed, each for an attempt of its own."""

_LOOK = f"SELECT {DRAFT} FROM metadata.drafts d WHERE d.tenant_id = $1 AND d.id = ANY($2::uuid[])"

RECOVER = transition(
    "uploaded",
    give_back("$5"),
    where=f"d.state IN {CLAIMED} AND d.lease_expires_at <= now()",
    target_sql=given_back("d.etag"),
)
"""Gives back claims and holds whose time is over; $5 is the time their callers get to try again."""

_RENEW = """
    WITH held AS (
        SELECT d.id FROM metadata.drafts d
        JOIN unnest($2::uuid[], $3::bigint[]) AS g (draft_id, fence) ON g.draft_id = d.id AND g.fence = d.fence
        WHERE d.tenant_id = $1 AND d.id = ANY($2::uuid[]) AND d.state = 'confirming' ORDER BY d.id FOR UPDATE OF d
    )
    UPDATE metadata.drafts d SET lease_expires_at = now() + $4, purge_due_at = now() + $4
    FROM held WHERE d.id = held.id RETURNING d.id"""

_RELEASE = transition(
    "uploaded",
    f"{give_back('$6')}, size = coalesce(old.size, d.size), etag = coalesce(old.etag, d.etag)",
    given="fence bigint, size bigint, etag text",
    where="d.state = 'confirming' AND d.fence = g.fence",
    target_sql=given_back("coalesce(old.etag, d.etag)"),
)


_Claimed: TypeAlias = "asyncpg.Record | Literal['taken'] | None"
"""A claim on one draft: its row, or that somebody who asked together with us has it, or that its row forbids it."""


class ClaimStore:
    """Claims on drafts. `LeaseLost` means: stop, another attempt holds a draft."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._single = Together(self._claim_each, lanes=LANES, most=MOST, shared=DatabaseUnavailable, kind=_alike)

    async def claim(self, request: wire.ClaimDrafts, draft_ids: list[UUID]) -> list[asyncpg.Record] | None:
        """Take all these drafts, each with a new fencing number, or none (None): a row forbids it now.

        With a confirmation, its row is made beside: confirmed already, if nothing is left to claim. `Known` if its
        idempotency key made one before. `Busy` if another of the same moment got the draft.
        """
        if request.confirmation is None and len(draft_ids) == 1:
            claimed = await self._database.common(self._single.do(request))
            if claimed == "taken":
                raise Busy
            return None if claimed is None else [claimed]
        if request.confirmation is None:
            return _all(await self._database.rows(_CLAIM, *_claim_arguments(request, draft_ids)), draft_ids)
        try:
            async with self._database.transaction() as connection:
                return await _claim_recorded(connection, request, request.confirmation, draft_ids)
        except _NotAll:  # which took the idempotency key back too: it began nothing
            return None

    async def _claim_each(self, requests: Sequence[wire.ClaimDrafts]) -> list[_Claimed]:
        """Claims of single drafts. One that several ask for is the first one's: a claim has one holder."""
        draft_ids = list({request.draft_ids[0] for request in requests})
        rows = await self._database.rows(_CLAIM_EACH, *_claim_arguments(requests[0], draft_ids))
        claimed: dict[UUID, _Claimed] = {row["id"]: row for row in rows}
        answers: list[_Claimed] = []
        for draft_id in (request.draft_ids[0] for request in requests):
            answers.append(claimed.get(draft_id))
            if draft_id in claimed:
                claimed[draft_id] = "taken"
        return answers

    async def look(self, tenant_id: UUID, draft_ids: list[UUID]) -> dict[UUID, asyncpg.Record]:
        """The rows as they are, by draft."""
        rows = await self._database.rows(_LOOK, tenant_id, draft_ids)
        return {row["id"]: row for row in rows}

    async def refused_names(self, draft_ids: list[UUID], on_conflict: OnConflict) -> list[wire.Refusal]:
        """Those of the drafts whose names are not free now; they are looked at once more before anything is visible."""
        async with self._database.connection() as connection:
            return await names.refused(connection, draft_ids, on_conflict)

    async def recover(self, tenant_id: UUID, draft_ids: list[UUID]) -> None:
        """Give back drafts whose attempt died or whose hold is over, with time left to confirm them again."""
        if not draft_ids:
            return
        await self._database.rows(RECOVER, tenant_id, draft_ids, "service:metadata", "the claim lapsed", RECOVERY_TTL)

    async def renew(self, request: wire.RenewClaims) -> None:
        """Prolong the claims from now."""
        lease = timedelta(seconds=request.lease_ttl)
        async with self._database.transaction() as connection:
            await confirmations.renew(connection, request, lease)
            ids, fences = _columns(request.claims)
            if len(await connection.fetch(_RENEW, request.tenant_id, ids, fences, lease)) < len(ids):
                raise LeaseLost

    async def release(self, request: wire.ReleaseClaims) -> None:
        """Give the claims back. Those that were lost already stay lost, without an error."""
        ids, _ = _columns(request.claims)
        seen = [claim.model_dump(mode="json") for claim in request.claims]
        longer = RECOVERY_TTL if request.outage else timedelta()
        async with self._database.transaction() as connection:
            await confirmations.roll_back_work(connection, request)
            await connection.fetch(_RELEASE, request.tenant_id, ids, request.actor, request.reason, seen, longer)


def _alike(request: wire.ClaimDrafts) -> Hashable:
    return request.tenant_id, request.actor, request.subject, request.lease_ttl


class Busy(Exception):
    """Another attempt has the draft: no use to look whether it has."""


class Known(Exception):
    """The idempotency key of a new confirmation has made one before."""

    def __init__(self, confirmation_id: UUID) -> None:
        self.confirmation_id = confirmation_id
        super().__init__(str(confirmation_id))


class _NotAll(Exception):
    """Some draft's row forbids a claim now."""


async def _claim_recorded(
    connection: Connection, request: wire.ClaimDrafts, new: wire.NewConfirmation, draft_ids: list[UUID]
) -> list[asyncpg.Record]:
    await _take_key(connection, request.tenant_id, new)
    claimed = _all(await connection.fetch(_CLAIM, *_claim_arguments(request, draft_ids)), draft_ids)
    if claimed is None:
        raise _NotAll
    await confirmations.begin(connection, request, new, "working" if claimed else "confirmed")
    return claimed


async def _take_key(connection: Connection, tenant_id: UUID, new: wire.NewConfirmation) -> None:
    if new.idempotency is None:
        return
    known = await take(connection, tenant_id, new.idempotency, new.id)
    if known is not None:
        raise Known(known)


def _claim_arguments(request: wire.ClaimDrafts, draft_ids: list[UUID]) -> tuple[Any, ...]:
    lease = timedelta(seconds=request.lease_ttl)
    confirmation_id = request.confirmation.id if request.confirmation else None
    return (request.tenant_id, draft_ids, request.actor, "confirm", lease, request.subject, confirmation_id)


def _all(rows: list[asyncpg.Record], draft_ids: list[UUID]) -> list[asyncpg.Record] | None:
    return rows if len(rows) == len(draft_ids) else None


def _columns(claims: "list[wire.Claim] | list[wire.SeenClaim]") -> tuple[list[UUID], list[int]]:
    return [claim.draft_id for claim in claims], [claim.fence for claim in claims]
