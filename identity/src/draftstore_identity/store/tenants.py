"""Tenants."""

from collections.abc import Collection
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from draftstore_common.contracts.administration import Tenant, TenantCreate, TenantPatch
from draftstore_identity.store.changes import Change, ChangeLog
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

    async def name_exists(self, name: str) -> bool:
        """Whether a tenant has this name."""
        return await self._true(tenants.c.name == name)


class TenantChanger(TenantReader):
    """Changes of tenants."""

    def __init__(self, connection: AsyncConnection, changes: ChangeLog) -> None:
        super().__init__(connection)
        self._changes = changes

    async def insert(self, tenant_id: UUID, wanted: TenantCreate) -> Tenant | None:
        """Add a tenant; None if the id or the name is taken."""
        values = {"id": tenant_id, **wanted.model_dump()}
        statement = insert(tenants).values(values).on_conflict_do_nothing().returning(tenants)
        row = (await self._connection.execute(statement)).mappings().first()
        return None if row is None else await self._noted("created", tenant_of(row), set(values) - {"id"})

    async def change(self, tenant_id: UUID, patch: TenantPatch, fields: Collection[str]) -> Tenant:
        """Set these fields of a tenant to what the patch says. Whoever renames has made sure that the name is free."""
        values = patch.model_dump(include=set(fields))
        statement = update(tenants).where(tenants.c.id == tenant_id).values(values).returning(tenants)
        row = (await self._connection.execute(statement)).mappings().one()
        return await self._noted("updated", tenant_of(row), set(fields))

    async def _noted(self, action: str, tenant: Tenant, fields: set[str]) -> Tenant:
        detail = tenant.model_dump(mode="json", include=fields)
        await self._changes.note(Change("tenant", tenant.id, action, tenant.id, detail))
        return tenant
