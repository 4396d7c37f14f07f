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
    ConfirmOptions,
    ConfirmPending,
    DownloadUrl,
    Draft,
    DraftCreate,
    DraftPage,
    DraftState,
    Object,
    ObjectPage,
    Receipt,
)
from draftstore_common.contracts.identity import Principal, Scope
from draftstore_common.contracts.names import NamePrefix, ObjectName
from draftstore_drafts.context import Context
from draftstore_drafts.service import DraftListing

router = APIRouter(prefix="/api/v1")

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

PENDING: dict[int | str, dict[str, Any]] = {
    202: {"model": ConfirmPending, "description": "another confirm of this draft is still at work"}
}


@router.post("/upload-url", tags=["by name"])
async def upload_url_by_name(body: ByNameUpload, principal: MayWrite, ctx: Ctx) -> ByNameUploadUrl:
    """Where to PUT a file: makes a draft of this name."""
    return await ctx.by_name.upload_url(principal, body)


@router.post("/download-url", tags=["by name"])
async def download_url_by_name(body: ByNameRequest, principal: MayRead, ctx: Ctx) -> DownloadUrl:
    """Where to GET a file: its newest uploaded draft, else the confirmed object."""
    return await ctx.by_name.download_url(principal, body)


@router.post("/confirm-upload", tags=["by name"], response_model=ByNameReceipt | ConfirmPending, responses=PENDING)
async def confirm_by_name(
    body: ByNameConfirm, principal: MayConfirm, ctx: Ctx, response: Response
) -> ByNameReceipt | ConfirmPending:
    """Publish the newest uploaded draft of this name; a repeat answers the same receipt."""
    return _settled(await ctx.by_name.confirm(principal, body), response)


@router.post("/drafts", tags=["drafts"], status_code=201)
async def create_draft(body: DraftCreate, principal: MayWrite, ctx: Ctx) -> Draft:
    """A new draft with its upload URL."""
    return await ctx.drafts.create(principal, body, body.bucket)


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


@router.delete("/drafts/{draft_id}", tags=["drafts"], status_code=204)
async def discard_draft(draft_id: UUID, principal: MayWrite, ctx: Ctx) -> None:
    """Give a draft up; a repeat does nothing more."""
    await ctx.drafts.discard(principal, draft_id)


@router.post("/drafts/{draft_id}/upload-url", tags=["drafts"])
async def upload_url(draft_id: UUID, principal: MayWrite, ctx: Ctx) -> Draft:
    """The draft with a fresh upload URL."""
    return await ctx.drafts.upload_url(principal, draft_id)


@router.post("/drafts/{draft_id}/download-url", tags=["drafts"])
async def download_url(draft_id: UUID, principal: MayRead, ctx: Ctx) -> DownloadUrl:
    """Where to GET the draft's bytes, before and after confirm."""
    return await ctx.drafts.download_url(principal, draft_id)


@router.post("/drafts/{draft_id}/confirm", tags=["drafts"], response_model=Receipt | ConfirmPending, responses=PENDING)
async def confirm_draft(
    draft_id: UUID, principal: MayConfirm, ctx: Ctx, response: Response, body: ConfirmOptions | None = None
) -> Receipt | ConfirmPending:
    """Publish the draft; a repeat answers the same receipt."""
    return _settled(await ctx.drafts.confirm(principal, draft_id, body or ConfirmOptions()), response)


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


@router.head("/objects/{object_name:path}", tags=["objects"], include_in_schema=False)
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
