"""The audit log, which only grows."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func
from sqlalchemy.dialects.postgresql import insert

from draftstore_common.contracts.audit import AuditCategory, AuditOutcome, TargetType
from draftstore_common.kit.ids import uuid7
from draftstore_identity.store.rows import Rows
from draftstore_identity.tables import audit


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRow:
    """One entry, as `contracts.audit.AuditEntry` describes it. `at` None: now, by PostgreSQL's clock."""

    id: UUID = field(default_factory=uuid7)
    at: datetime | None = None
    category: AuditCategory
    action: str
    outcome: AuditOutcome
    code: str | None = None
    actor: str
    tenant_id: UUID | None = None
    target_type: TargetType | None = None
    target: str | None = None
    request_id: str
    ip: str | None = None
    suppressed: int = 0
    detail: dict[str, Any] | None = None


class AuditLog(Rows):
    """Entries of the audit log."""

    async def add(self, rows: Sequence[AuditRow]) -> None:
        """Keep entries; one whose id is there already stays as it is."""
        values = [_values(row) for row in rows]
        await self._connection.execute(insert(audit).values(values).on_conflict_do_nothing())


def _values(row: AuditRow) -> dict[str, Any]:
    values = {column.name: getattr(row, column.name) for column in audit.c}
    return values | {"at": row.at or func.statement_timestamp()}
