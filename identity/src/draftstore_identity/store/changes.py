"""The numbered sequence of changes: what gateways learn revocations from."""

import json
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from draftstore_common.kit.context import request_id
from draftstore_common.kit.redaction import redact
from draftstore_identity.author import Author
from draftstore_identity.store.audit import AuditLog, AuditRow
from draftstore_identity.store.rows import Rows
from draftstore_identity.tables import CHANGES_CHANNEL, changes

SEQUENCE = select(func.coalesce(func.max(changes.c.sequence), 0)).scalar_subquery()
"""The number of the latest change."""


@dataclass(frozen=True, slots=True)
class Change:
    """What was done to a key or a tenant. `tenant_id` is the tenant it concerns; `detail` is JSON."""

    subject: Literal["key", "tenant"]
    subject_id: UUID
    action: str
    tenant_id: UUID | None
    detail: dict[str, Any] | None = None


class ChangeLog(Rows):
    """Adds to the sequence. Whoever adds holds the lock of changes, so numbers follow commits."""

    def __init__(self, connection: AsyncConnection, by: Author) -> None:
        super().__init__(connection)
        self._audit = AuditLog(connection)
        self._by = by

    async def note(self, change: Change) -> None:
        """Number a change, put it on record, and wake who waits for changes: all of it when it commits, or nothing."""
        numbered = {"sequence": SEQUENCE + 1, "subject": change.subject, "subject_id": change.subject_id}
        await self._connection.execute(insert(changes).values(**numbered, action=change.action))
        await self._connection.execute(select(func.pg_notify(CHANGES_CHANNEL, "")))
        await self._audit.add([self._entry(change)])

    def _entry(self, change: Change) -> AuditRow:
        return AuditRow(
            category="admin",
            action=f"{change.subject}.{change.action}",
            outcome="allowed",
            actor=self._by.actor,
            tenant_id=change.tenant_id,
            target_type=change.subject,
            target=str(change.subject_id),
            request_id=request_id.get(),
            ip=self._by.ip,
            detail=_masked(change.detail),
        )


def _masked(detail: dict[str, Any] | None) -> dict[str, Any] | None:
    """The detail without a secret: somebody may have pasted one as the name of a key, and this log cannot forget."""
    masked: dict[str, Any] | None = json.loads(redact(json.dumps(detail)))
    return masked
