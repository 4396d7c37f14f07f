"""When keys were last used: no change of theirs, so no transaction of changes."""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from draftstore_identity.tables import SCHEMA

# The rows are locked in the order of their ids, as changes lock them: two instances that note the same keys, or one
# that notes and one that revokes, never wait for each other in a circle.
_NOTE_USES = text(f"""
    WITH used AS (SELECT * FROM unnest(CAST(:ids AS uuid[]), CAST(:ats AS timestamptz[])) AS used (id, at)),
         held AS (SELECT id, at FROM {SCHEMA}.keys JOIN used USING (id) ORDER BY id FOR NO KEY UPDATE OF keys)
    UPDATE {SCHEMA}.keys SET last_used_at = greatest(last_used_at, held.at) FROM held WHERE keys.id = held.id""")


async def note_uses(connection: AsyncConnection, uses: Mapping[UUID, datetime]) -> None:
    """Note the latest use of each key; an earlier one than is known changes nothing."""
    await connection.execute(_NOTE_USES, {"ids": list(uses), "ats": list(uses.values())})
