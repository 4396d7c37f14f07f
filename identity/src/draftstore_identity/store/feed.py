"""The sequence of changes, as it is read."""

from sqlalchemy import select

from draftstore_common.contracts.identity import Change
from draftstore_identity.store.changes import SEQUENCE
from draftstore_identity.store.rows import Rows
from draftstore_identity.tables import changes


class ChangeReader(Rows):
    """Questions about what changed."""

    async def latest(self) -> int:
        """The number of the latest change; 0 before the first."""
        return int(await self._connection.scalar(select(SEQUENCE)) or 0)

    async def from_number(self, number: int, limit: int) -> list[Change]:
        """Changes in the order of their commits, the one of this number the first if it is kept."""
        query = select(changes.c.sequence, changes.c.subject, changes.c.subject_id)
        rows = await self._rows(query.where(changes.c.sequence >= number).order_by(changes.c.sequence).limit(limit))
        return [Change.model_validate(dict(row)) for row in rows]
