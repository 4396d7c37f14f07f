"""API keys, for those who administer them."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from draftstore_common.contracts.administration import Key, KeyCreate, KeyPage, NewKey
from draftstore_common.kit.openapi import problems
from draftstore_identity.paging import page
from draftstore_identity.routes.caller import Caller, Ctx, ListQuery

router = APIRouter(prefix="/api/v1", tags=["admin"])


class KeyListQuery(ListQuery):
    """Which part of which list of keys."""

    tenant_id: UUID | None = None


@router.post("/keys", status_code=201, responses=problems(404))
async def create_key(body: KeyCreate, caller: Caller, context: Ctx, response: Response) -> NewKey:
    """Issue a key. Its secret is in this answer and nowhere else."""
    response.headers["Cache-Control"] = "no-store"
    return await context.keys.issue(caller, body)


@router.get("/keys", responses=problems(404))
async def list_keys(query: Annotated[KeyListQuery, Query()], caller: Caller, context: Ctx) -> KeyPage:
    """Keys, newest first: all for an admin key, the data keys of its own tenant for a data key."""
    return await context.keys.list(caller, page(query.limit, query.cursor), query.tenant_id)


@router.get("/keys/self")
async def get_own_key(caller: Caller, context: Ctx) -> Key:
    """The key this request was sent with."""
    return await context.keys.own(caller)


@router.get("/keys/{key_id}")
async def get_key(key_id: UUID, caller: Caller, context: Ctx) -> Key:
    """One key, without its secret."""
    return await context.keys.get(caller, key_id)


@router.delete("/keys/{key_id}")
async def revoke_key(key_id: UUID, caller: Caller, context: Ctx) -> Key:
    """Revoke a key, for ever. A repeat answers the same."""
    return await context.keys.revoke(caller, key_id)
