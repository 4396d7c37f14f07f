"""Tenants."""

from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from draftstore_common.contracts.administration import Tenant
from draftstore_identity.store.changes import ChangeLog
from draftstore_identity.store.rows import Rows
from draftstore_identity.tables import tenants


def tenant_of(row: RowMapping | dict[str, Any]) -> Tenant:
    """A row as a tenant."""
    return Tenant.model_validate(dict(row))


class TenantReader(Rows):
    """Questions about tenants."""

    async def get(self, tenant_id: UUID) -> Tenant | None:
        """One tenant."""
        row = await self._row(select(tenants).where(tenants.c.id == tenant_id))
        return None if row is None else tenant_of(row)

    async def page(self, *, before: UUID | None, limit: int) -> list[Tenant]:
        """Tenants newest first, beginning after `before`."""
        query = select(tenants).order_by(tenants.c.id.desc()).limit(limit)
        if before is not None:
            query = query.where(tenants.c.id < before)
        return [tenant_of(row) for row in await self._rows(query)]


class TenantChanger(TenantReader):
    """Changes of tenants."""

    def __init__(self, connection: AsyncConnection) -> None:
        super().__init__(connection)
        self._changes = ChangeLog(connection)

    async def insert(self, tenant_id: UUID, name: str) -> Tenant | None:
        """Add a tenant; None if the id or the name is taken."""
        statement = insert(tenants).values(id=tenant_id, name=name).on_conflict_do_nothing().returning(tenants)
        row = (await self._connection.execute(statement)).mappings().first()
        if row is None:
            return None
        await self._changes.note("tenant", tenant_id, "created")
        return tenant_of(row)
