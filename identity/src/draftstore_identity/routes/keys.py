"""API keys, for those who administer them."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from draftstore_common.contracts.administration import Key, KeyCreate, KeyImport, KeyPage, KeyPatch, KeyRotate, NewKey
from draftstore_common.idempotency import IdempotencyHeader, idempotency_key
from draftstore_common.kit.openapi import problems
from draftstore_identity.paging import page
from draftstore_identity.routes.answers import answered, replays
from draftstore_identity.routes.caller import Caller, Ctx, ListQuery

router = APIRouter(prefix="/api/v1", tags=["admin"])


class KeyListQuery(ListQuery):
    """Which part of which list of keys."""

    tenant_id: UUID | None = None


@router.post("/keys", status_code=201, response_model=NewKey, responses=replays(Key) | problems(404))
async def create_key(body: KeyCreate, caller: Caller, context: Ctx, idempotency: IdempotencyHeader = None) -> Response:
    """Issue a key. Its secret is in this answer and nowhere else."""
    key = idempotency_key(idempotency, caller.principal, "keys", body)
    return answered(await context.keys.issue(caller, body, key))


@router.post("/keys/import", status_code=201, response_model=Key, responses=replays(Key) | problems(404, 409))
async def import_key(body: KeyImport, caller: Caller, context: Ctx, idempotency: IdempotencyHeader = None) -> Response:
    """Take over a data key made elsewhere, by the SHA-256 of its secret."""
    key = idempotency_key(idempotency, caller.principal, "keys/import", body)
    return answered(await context.keys.adopt(caller, body, key))


@router.get("/keys", responses=problems(404))
async def list_keys(query: Annotated[KeyListQuery, Query()], caller: Caller, context: Ctx) -> KeyPage:
    """Keys, newest first: all for an admin key, the data keys of its own tenant for a data key."""
    return await context.keys.list(caller, page(query.limit, query.cursor), query.tenant_id)


@router.get("/keys/self")
async def get_own_key(caller: Caller, context: Ctx) -> Key:
    """The key this request was sent with."""
    return await context.keys.own(caller)


@router.delete("/keys/self")
async def revoke_own_key(caller: Caller, context: Ctx) -> Key:
    """Revoke the key this request was sent with, for ever. Every key may."""
    return await context.keys.revoke_own(caller)


@router.get("/keys/{key_id}")
async def get_key(key_id: UUID, caller: Caller, context: Ctx) -> Key:
    """One key, without its secret."""
    return await context.keys.get(caller, key_id)


@router.patch("/keys/{key_id}", responses=problems(409))
async def change_key(key_id: UUID, body: KeyPatch, caller: Caller, context: Ctx) -> Key:
    """Change a key; what is left out stays. Its secret stays in any case."""
    return await context.keys.change(caller, key_id, body)


@router.delete("/keys/{key_id}")
async def revoke_key(key_id: UUID, caller: Caller, context: Ctx) -> Key:
    """Revoke a key, for ever. A repeat answers the same."""
    return await context.keys.revoke(caller, key_id)


@router.post("/keys/{key_id}/rotate", status_code=201, response_model=NewKey, responses=replays(Key) | problems(409))
async def rotate_key(
    key_id: UUID, body: KeyRotate, caller: Caller, context: Ctx, idempotency: IdempotencyHeader = None
) -> Response:
    """Replace a key by one with the same powers; the old one works for `grace` more seconds.

    Needs an `Idempotency-Key`. The new secret is in this answer and nowhere else: if it is lost, revoke the new key and
    rotate again, with another `Idempotency-Key`.
    """
    key = idempotency_key(idempotency, caller.principal, f"keys/{key_id}/rotate", body)
    return answered(await context.rotation.rotate(caller, key_id, body, key))
