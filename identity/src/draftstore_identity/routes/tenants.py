"""Tenants, for admin keys."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from draftstore_common.contracts.administration import Tenant, TenantCreate, TenantPage, TenantPatch
from draftstore_common.idempotency import IdempotencyHeader, idempotency_key
from draftstore_common.kit.openapi import problems
from draftstore_identity.paging import page
from draftstore_identity.routes.answers import answered, replays
from draftstore_identity.routes.caller import Caller, Ctx, ListQuery

router = APIRouter(prefix="/api/v1", tags=["admin"])


@router.post("/tenants", status_code=201, response_model=Tenant, responses=replays(Tenant) | problems(409))
async def create_tenant(
    body: TenantCreate, caller: Caller, context: Ctx, idempotency: IdempotencyHeader = None
) -> Response:
    """Make a tenant."""
    key = idempotency_key(idempotency, caller.principal, "tenants", body)
    return answered(await context.tenants.create(caller, body, key))


@router.get("/tenants")
async def list_tenants(query: Annotated[ListQuery, Query()], caller: Caller, context: Ctx) -> TenantPage:
    """Tenants, newest first."""
    return await context.tenants.list(caller, page(query.limit, query.cursor))


@router.get("/tenants/{tenant_id}")
async def get_tenant(tenant_id: UUID, caller: Caller, context: Ctx) -> Tenant:
    """One tenant."""
    return await context.tenants.get(caller, tenant_id)


@router.patch("/tenants/{tenant_id}", responses=problems(409))
async def change_tenant(tenant_id: UUID, body: TenantPatch, caller: Caller, context: Ctx) -> Tenant:
    """Change a tenant; what is left out stays. While it is suspended, none of its data keys opens anything."""
    return await context.tenants.change(caller, tenant_id, body)
