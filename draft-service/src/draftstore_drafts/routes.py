"""The public routes of the two-stage workflow: parse, ask the service, answer."""

from typing import Annotated, Any, TypeVar
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import Field

from draftstore_common.access import requires
from draftstore_common.contracts.base import Cursor
from draftstore_common.contracts.drafts import (
    ByNameConfirm,
    ByNameReceipt,
    ByNameRequest,
    ByNameUpload,
    ByNameUploadUrl,
    Confirmation,
    ConfirmationCreate,
    ConfirmOptions,
    ConfirmPending,
    CreatedDrafts,
    DownloadUrl,
    Draft,
    DraftBatch,
    DraftCreate,
    DraftPage,
    DraftState,
    EventPage,
    Lifetime,
    Object,
    ObjectPage,
    Receipt,
)
from draftstore_common.contracts.identity import Principal, Scope
from draftstore_common.contracts.names import NamePrefix, ObjectName
from draftstore_common.idempotency import IdempotencyHeader, idempotency_key
from draftstore_common.kit.openapi import headers, problems
from draftstore_drafts.accesses import AuditedRoute
from draftstore_drafts.context import Context
from draftstore_drafts.service import DraftListing

router = APIRouter(prefix="/api/v1", route_class=AuditedRoute)

TAGS = {
    "by name": "The short way: an object name in, a URL or a receipt out.",
    "drafts": "Drafts by id: create, upload, preview, confirm, give up.",
    "confirmations": "Several drafts as one act, all or none; or prepared first and committed later.",
    "events": "What happened, in the order it was committed.",
    "objects": "Confirmed, permanent content.",
}

RETRY_AFTER = "2"
"""Seconds after which a pending confirm is worth asking about again."""


async def _context(request: Request) -> Context:
    context: Context = request.app.state.context
    return context


Ctx = Annotated[Context, Depends(_context)]
MayRead = Annotated[Principal, Depends(requires(Scope.DRAFTS_READ))]
MayWrite = Annotated[Principal, Depends(requires(Scope.DRAFTS_WRITE))]
MayConfirm = Annotated[Principal, Depends(requires(Scope.DRAFTS_CONFIRM))]
MayReadObjects = Annotated[Principal, Depends(requires(Scope.OBJECTS_READ))]
MayDeleteObjects = Annotated[Principal, Depends(requires(Scope.OBJECTS_DELETE))]
Limit = Annotated[int, Query(ge=1, le=1000)]

Responses = dict[int | str, dict[str, Any]]

STATE = problems(409, 410)
"""How a draft's state refuses."""

PENDING: Responses = {
    202: {
        "model": ConfirmPending,
        "description": "Another confirm of this draft is still at work.",
        "headers": headers("Retry-After"),
    }
}

RECORDED: Responses = {
    200: {"headers": headers("Location")},
    202: {
        "model": Confirmation,
        "description": "Still at work: ask for the confirmation by its id (`Location`).",
        "headers": headers("Location", "Retry-After"),
    },
}


@router.post("/upload-url", tags=["by name"], responses=problems(404) | STATE)
async def upload_url_by_name(
    body: ByNameUpload, principal: MayWrite, ctx: Ctx, idempotency: IdempotencyHeader = None
) -> ByNameUploadUrl:
    """Where to PUT a file: makes a draft of this name."""
    key = idempotency_key(idempotency, principal, "upload-url", body)
    return await ctx.by_name.upload_url(principal, body, key)


@router.post("/download-url", tags=["by name"], responses=problems(404) | STATE)
async def download_url_by_name(body: ByNameRequest, principal: MayRead, ctx: Ctx) -> DownloadUrl:
    """Where to GET a file: its newest uploaded draft, else the confirmed object."""
    return await ctx.by_name.download_url(principal, body)


@router.post(
    "/confirm-upload",
    tags=["by name"],
    response_model=ByNameReceipt | ConfirmPending,
    responses=PENDING | problems(404) | STATE,
)
async def confirm_by_name(
    body: ByNameConfirm, principal: MayConfirm, ctx: Ctx, response: Response
) -> ByNameReceipt | ConfirmPending:
    """Publish the newest uploaded draft of this name; a repeat answers the same receipt."""
    return _settled(await ctx.by_name.confirm(principal, body), response)


@router.post("/drafts", tags=["drafts"], status_code=201, responses=problems(404))
async def create_draft(
    body: DraftCreate, principal: MayWrite, ctx: Ctx, idempotency: IdempotencyHeader = None
) -> Draft:
    """A new draft with its upload URL."""
    key = idempotency_key(idempotency, principal, "drafts", body)
    return await ctx.drafts.create(principal, body, body.bucket, key)


@router.post("/drafts/batch", tags=["drafts"], status_code=201, responses=problems(404))
async def create_drafts(
    body: DraftBatch, principal: MayWrite, ctx: Ctx, idempotency: IdempotencyHeader = None
) -> CreatedDrafts:
    """Up to 1,000 new drafts with their upload URLs, all or none; `errors` names every entry that is wrong."""
    key = idempotency_key(idempotency, principal, "drafts/batch", body)
    return await ctx.batches.create(principal, body, key)


@router.get("/drafts", tags=["drafts"])
async def list_drafts(
    principal: MayRead,
    ctx: Ctx,
    object_name: ObjectName | None = None,
    state: DraftState | None = None,
    cursor: Cursor | None = None,
    limit: Limit = 100,
) -> DraftPage:
    """Drafts, newest first."""
    return await ctx.drafts.list(principal, DraftListing(object_name, state, cursor, limit))


@router.get("/drafts/{draft_id}", tags=["drafts"])
async def get_draft(draft_id: UUID, principal: MayRead, ctx: Ctx) -> Draft:
    """One draft."""
    return await ctx.drafts.get(principal, draft_id)


@router.delete("/drafts/{draft_id}", tags=["drafts"], status_code=204, responses=STATE)
async def discard_draft(draft_id: UUID, principal: MayWrite, ctx: Ctx) -> None:
    """Give a draft up; a repeat does nothing more."""
    await ctx.drafts.discard(principal, draft_id)


@router.post("/drafts/{draft_id}/upload-url", tags=["drafts"], responses=STATE)
async def upload_url(draft_id: UUID, principal: MayWrite, ctx: Ctx) -> Draft:
    """The draft with a fresh upload URL."""
    return await ctx.drafts.upload_url(principal, draft_id)


@router.post("/drafts/{draft_id}/download-url", tags=["drafts"], responses=STATE)
async def download_url(draft_id: UUID, principal: MayRead, ctx: Ctx) -> DownloadUrl:
    """Where to GET the draft's bytes, before and after confirm."""
    return await ctx.drafts.download_url(principal, draft_id)


@router.post(
    "/drafts/{draft_id}/confirm",
    tags=["drafts"],
    response_model=Receipt | Confirmation | ConfirmPending,
    responses=PENDING | STATE,
)
async def confirm_draft(
    draft_id: UUID, principal: MayConfirm, ctx: Ctx, response: Response, body: ConfirmOptions | None = None
) -> Receipt | Confirmation | ConfirmPending:
    """Publish the draft (or, with `mode: prepare`, hold it for a commit); a repeat answers the same."""
    answer = await ctx.drafts.confirm(principal, draft_id, body or ConfirmOptions())
    return _known_by_id(answer, response) if isinstance(answer, Confirmation) else _settled(answer, response)


@router.post("/drafts/{draft_id}/extend", tags=["drafts"], responses=STATE)
async def extend_draft(draft_id: UUID, principal: MayWrite, ctx: Ctx, body: Lifetime | None = None) -> Draft:
    """Let a draft live for `ttl` seconds from now, as far as its tenant's maximum allows; never shorter than before."""
    return await ctx.drafts.extend(principal, draft_id, (body or Lifetime()).ttl)


@router.post("/drafts/{draft_id}/restore", tags=["drafts"], responses=STATE)
async def restore_draft(draft_id: UUID, principal: MayWrite, ctx: Ctx, body: Lifetime | None = None) -> Draft:
    """Bring an expired draft back while its bytes are kept."""
    return await ctx.drafts.restore(principal, draft_id, (body or Lifetime()).ttl)


@router.get("/drafts/{draft_id}/events", tags=["events"])
async def draft_events(
    draft_id: UUID, principal: MayRead, ctx: Ctx, cursor: Cursor | None = None, limit: Limit = 100
) -> EventPage:
    """What happened to a draft."""
    return await ctx.events.of_draft(principal, draft_id, cursor, limit)


@router.get("/events", tags=["events"])
async def events(principal: MayRead, ctx: Ctx, after: Cursor | None = None, limit: Limit = 100) -> EventPage:
    """What happened, in the order it was committed. Ask again with `after` = `next_cursor`: nothing is skipped."""
    return await ctx.events.feed(principal, after, limit)


@router.post("/confirmations", tags=["confirmations"], responses=RECORDED | problems(409))
async def create_confirmation(
    body: ConfirmationCreate,
    principal: MayConfirm,
    ctx: Ctx,
    response: Response,
    idempotency: IdempotencyHeader = None,
) -> Confirmation:
    """Publish several drafts, all or none; a repeat answers the same receipts."""
    key = idempotency_key(idempotency, principal, "confirmations", body)
    return _known_by_id(await ctx.confirmations.create(principal, body, key), response)


@router.get("/confirmations/{confirmation_id}", tags=["confirmations"])
async def get_confirmation(confirmation_id: UUID, principal: MayConfirm, ctx: Ctx) -> Confirmation:
    """What became of a confirmation."""
    return await ctx.confirmations.get(principal, confirmation_id)


@router.post("/confirmations/{confirmation_id}/commit", tags=["confirmations"], responses=problems(409))
async def commit_confirmation(confirmation_id: UUID, principal: MayConfirm, ctx: Ctx) -> Confirmation:
    """Publish what was prepared; before `prepared_until` nothing can refuse it, and a repeat answers the same."""
    return await ctx.confirmations.commit(principal, confirmation_id)


@router.post("/confirmations/{confirmation_id}/rollback", tags=["confirmations"], responses=problems(409))
async def roll_back_confirmation(confirmation_id: UUID, principal: MayConfirm, ctx: Ctx) -> Confirmation:
    """Give up what was prepared; a repeat does nothing more."""
    return await ctx.confirmations.roll_back(principal, confirmation_id)


@router.get("/objects", tags=["objects"])
async def list_objects(
    principal: MayReadObjects,
    ctx: Ctx,
    prefix: Annotated[NamePrefix, Field(max_length=800)] = "",
    cursor: Cursor | None = None,
    limit: Limit = 100,
) -> ObjectPage:
    """Objects, in the order of their names."""
    return await ctx.objects.list(principal, prefix, cursor, limit)


@router.head("/objects/{object_name:path}", tags=["objects"], name="head_object")
@router.get("/objects/{object_name:path}", tags=["objects"])
async def get_object(object_name: ObjectName, principal: MayReadObjects, ctx: Ctx) -> Object:
    """One object; its name is the rest of the path."""
    return await ctx.objects.get(principal, object_name)


@router.delete("/objects/{object_name:path}", tags=["objects"], status_code=204)
async def delete_object(object_name: ObjectName, principal: MayDeleteObjects, ctx: Ctx) -> None:
    """Delete an object; a repeat does nothing more."""
    await ctx.objects.delete(principal, object_name)


Answer = TypeVar("Answer")


def _settled(answer: Answer | ConfirmPending, response: Response) -> Answer | ConfirmPending:
    if isinstance(answer, ConfirmPending):
        response.status_code = 202
        response.headers["Retry-After"] = RETRY_AFTER
    return answer


def _known_by_id(confirmation: Confirmation, response: Response) -> Confirmation:
    response.headers["Location"] = f"{router.prefix}/confirmations/{confirmation.id}"
    if confirmation.state == "working":
        response.status_code = 202
        response.headers["Retry-After"] = RETRY_AFTER
    return confirmation
