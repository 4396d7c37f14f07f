"""Removing old entries of the audit log: by whoever owns it, never by the service."""

from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

import asyncpg

from draftstore_common.kit.context import request_id
from draftstore_common.kit.database import connect, database_errors
from draftstore_common.kit.errors import CannotStart
from draftstore_common.kit.ids import uuid7
from draftstore_identity.author import OPERATOR

_PRUNE = "DELETE FROM identity.audit WHERE at < $1"
_NOTE = """
    INSERT INTO identity.audit (id, category, action, outcome, actor, target_type, request_id, detail)
    VALUES ($1, 'admin', 'audit.pruned', 'allowed', $2, 'audit', $3,
        jsonb_build_object('before', $4::timestamptz, 'deleted', $5::bigint))"""

_Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was removed: every entry before an instant."""

    before: datetime
    deleted: int


async def prune(database_url: str, *, days: int) -> Pruned:
    """Remove entries older than so many days, and put that on record, in one transaction.

    Raises `CannotStart` if the URL's user may not: only the owner of the schema may.
    """
    async with database_errors():
        connection = await connect(database_url, statement_timeout=None)
        try:
            async with connection.transaction():
                return await _prune(connection, days)
        except asyncpg.InsufficientPrivilegeError as error:
            text = "the user of DATABASE_URL may not delete from the audit log; give the URL of the schema's owner"
            raise CannotStart(text) from error
        finally:
            await connection.close()


async def _prune(connection: _Connection, days: int) -> Pruned:
    before: datetime = await connection.fetchval("SELECT now() - make_interval(days => $1)", days)
    deleted = int((await connection.execute(_PRUNE, before)).rpartition(" ")[2])  # "DELETE <count>"
    await connection.execute(_NOTE, uuid7(), OPERATOR.actor, request_id.get(), before, deleted)
    return Pruned(before, deleted)
