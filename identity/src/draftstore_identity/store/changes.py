"""The numbered sequence of changes: what gateways learn revocations from."""

from typing import Literal
from uuid import UUID

from sqlalchemy import func, insert, select

from draftstore_identity.store.rows import Rows
from draftstore_identity.tables import changes

SEQUENCE = select(func.coalesce(func.max(changes.c.sequence), 0)).scalar_subquery()
"""The number of the latest change."""


class ChangeLog(Rows):
    """Adds to the sequence. Whoever adds holds the lock of changes, so numbers follow commits."""

    async def note(self, subject: Literal["key", "tenant"], subject_id: UUID, action: str) -> None:
        """Give a change its number."""
        values = {"sequence": SEQUENCE + 1, "subject": subject, "subject_id": subject_id, "action": action}
        await self._connection.execute(insert(changes).values(values))
