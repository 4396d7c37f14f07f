"""SQL of names: who may publish under one. The unique row decides races; holds keep a name for a later commit.

Publishing looks for holds, and holding looks for objects. So that neither overlooks what the other is about to
commit, publishing takes an advisory lock of its tenant shared, and holding takes it alone.
"""

from collections.abc import Iterable
from uuid import UUID

import asyncpg

from draftstore_common.contracts import confirm as wire
from draftstore_common.contracts.drafts import OnConflict
from draftstore_common.kit.errors import Problem
from draftstore_common.problems import refusal
from draftstore_metadata.errors import NameHeld, ObjectExists
from draftstore_metadata.store.rows import Connection

_HOLDS = 0x686F6C64
"""First key of the advisory locks ("hold" in ASCII); the second is of the tenant."""

_SHARE = "SELECT pg_advisory_xact_lock_shared($1, hashtext($2))"
_ALONE = "SELECT pg_advisory_xact_lock($1, hashtext($2))"

OTHERS_HOLD = """SELECT FROM metadata.drafts h
    WHERE h.tenant_id = d.tenant_id AND h.bucket = d.bucket AND h.object_name = d.object_name
      AND h.state = 'prepared' AND h.lease_expires_at > now() AND h.id <> d.id"""
"""Whether another draft than `d` holds the name of `d`."""

STATE = f"""EXISTS ({OTHERS_HOLD}) AS held,
    EXISTS (SELECT FROM metadata.objects o WHERE o.tenant_id = d.tenant_id AND o.bucket = d.bucket
        AND o.object_name = d.object_name) AS taken"""
"""Whether the name of `d` is held by another draft, and whether there is an object of that name."""

_TAKEN = f"""
    SELECT d.id, {STATE} FROM metadata.drafts d WHERE d.id = ANY($1::uuid[]) ORDER BY d.id"""

_LAPSED_HOLDS = """
    SELECT h.id FROM metadata.drafts d JOIN metadata.drafts h
      ON h.tenant_id = d.tenant_id AND h.bucket = d.bucket AND h.object_name = d.object_name
    WHERE d.id = ANY($1::uuid[]) AND h.state = 'prepared' AND h.lease_expires_at <= now()"""


class NamesRefused(Exception):
    """Some names are not free; the transaction ends without a trace."""

    def __init__(self, refusals: list[wire.Refusal]) -> None:
        self.refusals = refusals
        super().__init__(f"{len(refusals)} names")


async def share(connection: Connection, tenant_id: UUID) -> None:
    """From here until the transaction ends, nobody begins to hold a name of the tenant."""
    await connection.execute(_SHARE, _HOLDS, str(tenant_id))


async def alone(connection: Connection, tenant_id: UUID) -> None:
    """From here until the transaction ends, nobody publishes under a name of the tenant, or begins to hold one."""
    await connection.execute(_ALONE, _HOLDS, str(tenant_id))


async def refused(connection: Connection, draft_ids: list[UUID], on_conflict: OnConflict) -> list[wire.Refusal]:
    """Those of the drafts whose names are held by others, or taken and not to be replaced."""
    return refusals(await connection.fetch(_TAKEN, draft_ids), on_conflict)


def refusals(rows: Iterable[asyncpg.Record], on_conflict: OnConflict) -> list[wire.Refusal]:
    """The same, of rows that have the `STATE` of their names."""
    return [refusal(row["id"], problem) for row in rows if (problem := _problem(row, on_conflict)) is not None]


async def lapsed_holds(connection: Connection, draft_ids: list[UUID]) -> list[UUID]:
    """Drafts that hold the names of these drafts although their time is over."""
    return [row["id"] for row in await connection.fetch(_LAPSED_HOLDS, draft_ids)]


def _problem(row: asyncpg.Record, on_conflict: OnConflict) -> Problem | None:
    if row["held"]:
        return NameHeld()
    return ObjectExists() if row["taken"] and on_conflict == "fail" else None
