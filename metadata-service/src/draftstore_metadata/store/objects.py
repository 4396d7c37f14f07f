"""SQL of objects: read, list, delete."""

from datetime import timedelta

from draftstore_common.contracts import metadata as wire
from draftstore_common.contracts.metadata import ObjectRecord
from draftstore_common.kit.database import Database
from draftstore_metadata.store.rows import OBJECT, OBJECT_BY_NAME, object_record

_LIST = f"""
    SELECT {OBJECT} FROM metadata.objects o
    WHERE o.tenant_id = $1 AND o.bucket = $2 AND o.object_name > $3 AND starts_with(o.object_name, $4)
      AND o.object_name >= $4
    ORDER BY o.object_name LIMIT $5"""

# The row goes now; its bytes stay as long as URLs already given out may be read.
_DELETE = """
    WITH gone AS (
        DELETE FROM metadata.objects WHERE tenant_id = $1 AND bucket = $2 AND object_name = $3
        RETURNING tenant_id, draft_id, object_name, storage_key
    ), dropped AS (
        UPDATE metadata.object_keys k SET state = 'garbage', purge_due_at = now() + $5
        FROM gone WHERE k.storage_key = gone.storage_key
    )
    INSERT INTO metadata.events (tenant_id, draft_id, object_name, type, actor)
    SELECT tenant_id, draft_id, object_name, 'object.deleted', $4 FROM gone"""


class ObjectStore:
    """Confirmed objects as rows, one tenant at a time."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, ref: wire.NameRef) -> ObjectRecord | None:
        """One object by name."""
        row = await self._database.row(OBJECT_BY_NAME, ref.tenant_id, ref.bucket, ref.object_name)
        return object_record(row) if row else None

    async def list(self, query: wire.ListObjects, after: str) -> list[ObjectRecord]:
        """Objects whose names follow `after`, in order, one more than `query.limit` if there are more."""
        rows = await self._database.rows(_LIST, query.tenant_id, query.bucket, after, query.prefix, query.limit + 1)
        return [object_record(row) for row in rows]

    async def delete(self, request: wire.DeleteObject) -> None:
        """Delete the row and make its key garbage, in one transaction; nothing to do if there is none."""
        name = (request.tenant_id, request.bucket, request.object_name)
        await self._database.rows(_DELETE, *name, request.actor, timedelta(seconds=request.url_grace))
