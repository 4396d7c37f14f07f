"""Tenants, for admin keys."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query

from draftstore_common.contracts.administration import Tenant, TenantCreate, TenantPage
from draftstore_common.kit.openapi import problems
from draftstore_identity.paging import page
from draftstore_identity.routes.caller import Caller, Ctx, ListQuery

router = APIRouter(prefix="/api/v1", tags=["admin"])


@router.post("/tenants", status_code=201, responses=problems(409))
async def create_tenant(body: TenantCreate, caller: Caller, context: Ctx) -> Tenant:
    """Make a tenant."""
    return await context.tenants.create(caller, body)


@router.get("/tenants")
async def list_tenants(query: Annotated[ListQuery, Query()], caller: Caller, context: Ctx) -> TenantPage:
    """Tenants, newest first."""
    return await context.tenants.list(caller, page(query.limit, query.cursor))


@router.get("/tenants/{tenant_id}")
async def get_tenant(tenant_id: UUID, caller: Caller, context: Ctx) -> Tenant:
    """One tenant."""
    return await context.tenants.get(caller, tenant_id)
