"""The rules of tenants."""

from uuid import UUID

from draftstore_common.contracts.administration import Tenant, TenantCreate, TenantPage
from draftstore_common.contracts.identity import Principal
from draftstore_common.kit.ids import uuid7
from draftstore_identity import domain
from draftstore_identity.domain import Credential
from draftstore_identity.errors import TenantExists, TenantNotFound
from draftstore_identity.paging import Page, page_of
from draftstore_identity.service.actor import acting, log_change
from draftstore_identity.store import IdentityStore, Reader


class TenantService:
    """Makes and shows tenants, for admin keys."""

    def __init__(self, store: IdentityStore) -> None:
        self._store = store

    async def create(self, principal: Principal, wanted: TenantCreate) -> Tenant:
        """A new tenant; `TenantExists` if the name is taken."""
        async with self._store.change() as change:
            actor = await self._administrator(change, principal)
            tenant = await change.tenants.insert(uuid7(), wanted.name)
            if tenant is None:
                raise TenantExists
        log_change("tenant created", actor, tenant_id=tenant.id)
        return tenant

    async def get(self, principal: Principal, tenant_id: UUID) -> Tenant:
        """One tenant; `TenantNotFound` if there is none."""
        async with self._store.read() as reader:
            await self._administrator(reader, principal)
            tenant = await reader.tenants.get(tenant_id)
        if tenant is None:
            raise TenantNotFound
        return tenant

    async def list(self, principal: Principal, page: Page) -> TenantPage:
        """A page of tenants, newest first."""
        async with self._store.read() as reader:
            await self._administrator(reader, principal)
            found = await reader.tenants.page(before=page.before, limit=page.limit + 1)
        items, next_cursor = page_of(found, page.limit)
        return TenantPage(items=items, next_cursor=next_cursor)

    @staticmethod
    async def _administrator(reader: Reader, principal: Principal) -> Credential:
        actor = await acting(reader, principal)
        domain.check_administers_tenants(actor.key)
        return actor
