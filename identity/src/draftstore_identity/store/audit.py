"""The audit log, which only grows: the service's role may add to it and read it."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, func, select, text

from draftstore_common.contracts.audit import AuditCategory, AuditEntry, AuditOutcome, TargetType
from draftstore_common.kit.ids import uuid7
from draftstore_identity.store.rows import Rows
from draftstore_identity.tables import audit

# One statement with one parameter, however many rows: nothing to compile or prepare anew for each number of them.
_ADD = text("""
    INSERT INTO identity.audit
        (id, at, category, action, outcome, code, actor, tenant_id, target_type,
        target, request_id, ip, suppressed, detail)
    SELECT id, coalesce(at, statement_timestamp()), category, action, outcome, code, actor, tenant_id, target_type,
        target, request_id, ip, suppressed, detail
    FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS given
        (id uuid, at timestamptz, category text, action text, outcome text, code text, actor text, tenant_id uuid,
        target_type text, target text, request_id text, ip inet, suppressed bigint, detail jsonb)
    ON CONFLICT DO NOTHING""")

_ENTRY = select(*(column for column in audit.c if column.name != "ip"), func.host(audit.c.ip).label("ip"))


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


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFilter:
    """Which entries a list shows; None shows all. `since` is the first instant shown, `until` the first after."""

    category: AuditCategory | None = None
    action: str | None = None
    outcome: AuditOutcome | None = None
    actor: str | None = None
    tenant_id: UUID | None = None
    target: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def apply(self, query: Select[*tuple[Any, ...]]) -> Select[*tuple[Any, ...]]:
        """The query, narrowed."""
        conditions: list[ColumnElement[bool]] = [
            audit.c[name] == value
            for name in ("category", "action", "outcome", "actor", "tenant_id", "target")
            if (value := getattr(self, name)) is not None
        ]
        if self.since is not None:
            conditions.append(audit.c.at >= self.since)
        if self.until is not None:
            conditions.append(audit.c.at < self.until)
        return query.where(*conditions)


class AuditReader(Rows):
    """Questions about who did what."""

    async def page(self, which: AuditFilter, *, before: UUID | None, limit: int) -> list[AuditEntry]:
        """Entries newest first, beginning after `before`."""
        query = which.apply(_ENTRY).order_by(audit.c.id.desc()).limit(limit)
        if before is not None:
            query = query.where(audit.c.id < before)
        return [AuditEntry.model_validate(dict(row)) for row in await self._rows(query)]


class AuditLog(AuditReader):
    """Entries of the audit log."""

    async def add(self, rows: Sequence[AuditRow]) -> None:
        """Keep entries, all or none; one whose id is there already stays as it is."""
        values = json.dumps([asdict(row) for row in rows], default=str)
        await self._connection.execute(_ADD, {"rows": values})
