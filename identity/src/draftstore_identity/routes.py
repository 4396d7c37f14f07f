"""What identity answers: administration to keys, verification and tokens to services."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import Field

from draftstore_common.access import only
from draftstore_common.contracts import base
from draftstore_common.contracts.administration import Key, KeyCreate, KeyPage, NewKey, Tenant, TenantCreate, TenantPage
from draftstore_common.contracts.identity import (
    Principal,
    ServiceName,
    ServiceToken,
    ServiceTokenRequest,
    Verdict,
    VerifyRequest,
)
from draftstore_identity.context import Context, context_of
from draftstore_identity.paging import page

Ctx = Annotated[Context, Depends(context_of)]


async def _principal(request: Request, context: Ctx) -> Principal:
    principal = await context.access.principal(request.headers.get("authorization"))
    request.state.principal = principal
    return principal


async def _within_limit(
    request: Request, context: Ctx, principal: Annotated[Principal, Depends(_principal)]
) -> Principal:
    await context.admin_limit.charge(request)
    return principal


Caller = Annotated[Principal, Depends(_within_limit)]
"""Whoever has a living key, within the rate of these routes. What the key may do here is for the services to say."""


class ListQuery(base.Request):
    """Which part of a list."""

    limit: int = Field(default=100, ge=1, le=1000)
    cursor: base.Cursor | None = None


class KeyListQuery(ListQuery):
    """Which part of which list of keys."""

    tenant_id: UUID | None = None


public = APIRouter(prefix="/api/v1", tags=["admin"])


@public.post("/keys", status_code=201)
async def create_key(body: KeyCreate, caller: Caller, context: Ctx, response: Response) -> NewKey:
    """Issue a key. Its secret is in this answer and nowhere else."""
    response.headers["Cache-Control"] = "no-store"
    return await context.keys.issue(caller, body)


@public.get("/keys")
async def list_keys(query: Annotated[KeyListQuery, Query()], caller: Caller, context: Ctx) -> KeyPage:
    """Keys, newest first: all for an admin key, the data keys of its own tenant for a data key."""
    return await context.keys.list(caller, page(query.limit, query.cursor), query.tenant_id)


@public.get("/keys/self")
async def get_own_key(caller: Caller, context: Ctx) -> Key:
    """The key this request was sent with."""
    return await context.keys.own(caller)


@public.get("/keys/{key_id}")
async def get_key(key_id: UUID, caller: Caller, context: Ctx) -> Key:
    """One key, without its secret."""
    return await context.keys.get(caller, key_id)


@public.delete("/keys/{key_id}")
async def revoke_key(key_id: UUID, caller: Caller, context: Ctx) -> Key:
    """Revoke a key, for ever. A repeat answers the same."""
    return await context.keys.revoke(caller, key_id)


@public.post("/tenants", status_code=201)
async def create_tenant(body: TenantCreate, caller: Caller, context: Ctx) -> Tenant:
    """Make a tenant."""
    return await context.tenants.create(caller, body)


@public.get("/tenants")
async def list_tenants(query: Annotated[ListQuery, Query()], caller: Caller, context: Ctx) -> TenantPage:
    """Tenants, newest first."""
    return await context.tenants.list(caller, page(query.limit, query.cursor))


@public.get("/tenants/{tenant_id}")
async def get_tenant(tenant_id: UUID, caller: Caller, context: Ctx) -> Tenant:
    """One tenant."""
    return await context.tenants.get(caller, tenant_id)


internal = APIRouter(tags=["internal"])


@internal.post("/internal/verify", dependencies=[Depends(only(ServiceName.GATEWAY))])
async def verify(body: VerifyRequest, context: Ctx) -> Verdict:
    """Whose key this is, and a token for one service."""
    return await context.verify.verify(body)


@internal.post("/internal/service-token")
async def service_token(body: ServiceTokenRequest, request: Request, context: Ctx) -> ServiceToken:
    """A token for the service whose key is in Authorization."""
    key = request.headers.get("authorization", "").removeprefix("Bearer ")
    return context.service_tokens.issue(key, body.audience)


@internal.get("/.well-known/jwks.json")
async def jwks(context: Ctx) -> dict[str, list[dict[str, Any]]]:
    """The public keys that tokens are checked with (RFC 7517)."""
    return await context.store.jwks()
