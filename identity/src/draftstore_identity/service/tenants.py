"""The rules of tenants."""

from uuid import UUID

from draftstore_common.contracts.administration import Tenant, TenantCreate, TenantPage, TenantPatch
from draftstore_common.contracts.metadata import IdempotencyKey
from draftstore_common.kit.ids import uuid7
from draftstore_identity import domain
from draftstore_identity.author import Caller
from draftstore_identity.errors import TenantExists, TenantNotFound
from draftstore_identity.paging import Page, page_of
from draftstore_identity.service.actor import log_change, tenant_administrator
from draftstore_identity.service.outcome import Outcome, made_before, remember
from draftstore_identity.service.refusals import Refusals
from draftstore_identity.store import IdentityStore, Reader


class TenantService:
    """Makes, shows and changes tenants, for admin keys. What is refused is on record like what is done."""

    def __init__(self, store: IdentityStore, refusals: Refusals) -> None:
        self._store = store
        self._refusals = refusals

    async def create(self, caller: Caller, wanted: TenantCreate, idempotency: IdempotencyKey | None) -> Outcome[Tenant]:
        """A new tenant; `TenantExists` if the name is taken."""
        watched = self._refusals.watched(caller, "tenant.created", "tenant")
        async with watched, self._store.change(caller.author) as change:
            actor = await tenant_administrator(change, caller)
            if (known := await made_before(change, idempotency)) is not None:
                return Outcome(await _existing(change, known), replayed=True)
            tenant = await change.tenants.insert(uuid7(), wanted)
            if tenant is None:
                raise TenantExists
            await remember(change, idempotency, tenant.id)
        log_change("tenant created", actor, tenant_id=tenant.id)
        return Outcome(tenant)

    async def get(self, caller: Caller, tenant_id: UUID) -> Tenant:
        """One tenant; `TenantNotFound` if there is none."""
        watched = self._refusals.watched(caller, "tenant.read", "tenant", tenant_id)
        async with watched, self._store.read() as reader:
            await tenant_administrator(reader, caller)
            return await _existing(reader, tenant_id)

    async def list(self, caller: Caller, page: Page) -> TenantPage:
        """A page of tenants, newest first."""
        async with self._refusals.watched(caller, "tenant.listed", "tenant"), self._store.read() as reader:
            await tenant_administrator(reader, caller)
            found = await reader.tenants.page(before=page.before, limit=page.limit + 1)
        items, next_cursor = page_of(found, page.limit)
        return TenantPage(items=items, next_cursor=next_cursor)

    async def change(self, caller: Caller, tenant_id: UUID, patch: TenantPatch) -> Tenant:
        """The tenant as the patch makes it; `TenantExists` if its new name is taken. A repeat changes nothing.

        Suspending stops all data keys of the tenant; admin keys, which only lodge in one, go on.
        """
        watched = self._refusals.watched(caller, "tenant.updated", "tenant", tenant_id)
        async with watched, self._store.change(caller.author) as change:
            actor = await tenant_administrator(change, caller)
            tenant = await _existing(change, tenant_id)
            fields = domain.changed_tenant_fields(tenant, patch)
            if not fields:
                return tenant
            if "name" in fields and await change.tenants.name_exists(patch.name):
                raise TenantExists
            tenant = await change.tenants.change(tenant_id, patch, fields)
        log_change("tenant changed", actor, tenant_id=tenant.id)
        return tenant


async def _existing(reader: Reader, tenant_id: UUID) -> Tenant:
    tenant = await reader.tenants.get(tenant_id)
    if tenant is None:
        raise TenantNotFound
    return tenant
