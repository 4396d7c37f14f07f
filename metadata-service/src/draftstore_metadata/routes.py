"""The internal routes of metadata-service: parse, ask the service, answer. Only services of the suite get in."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request

from draftstore_common.access import only
from draftstore_common.contracts import metadata as wire
from draftstore_common.contracts import reconcile as reconciling
from draftstore_common.contracts.drafts import Receipt
from draftstore_common.contracts.identity import ServiceName
from draftstore_metadata.context import Context

drafts = APIRouter(prefix="/internal", dependencies=[Depends(only(ServiceName.DRAFTS))])
due = APIRouter(prefix="/internal/due", dependencies=[Depends(only(ServiceName.CLEANER))])
reconcile = APIRouter(prefix="/internal/reconcile", dependencies=[Depends(only(ServiceName.CLEANER))])


async def _context(request: Request) -> Context:
    context: Context = request.app.state.context
    return context


Ctx = Annotated[Context, Depends(_context)]


@drafts.post("/drafts/create", status_code=201)
async def create_draft(body: wire.CreateDraft, ctx: Ctx) -> wire.DraftRecord:
    """Insert an `open` draft."""
    return await ctx.drafts.create(body)


@drafts.post("/drafts/get")
async def get_draft(body: wire.DraftRef, ctx: Ctx) -> wire.DraftRecord:
    """One draft."""
    return await ctx.drafts.get(body)


@drafts.post("/drafts/list")
async def list_drafts(body: wire.ListDrafts, ctx: Ctx) -> wire.DraftRecordPage:
    """A page of drafts."""
    return await ctx.drafts.list(body)


@drafts.post("/drafts/find")
async def find_by_name(body: wire.FindByName, ctx: Ctx) -> wire.NameRecord:
    """What lives under a name."""
    return await ctx.drafts.find(body)


@drafts.post("/drafts/allow-url")
async def allow_url(body: wire.AllowUrl, ctx: Ctx) -> wire.DraftRecord:
    """Allow one more upload URL."""
    return await ctx.drafts.allow_url(body)


@drafts.post("/drafts/uploaded")
async def record_uploaded(body: wire.RecordUploaded, ctx: Ctx) -> wire.DraftRecord:
    """Note bytes that were seen."""
    return await ctx.drafts.record_uploaded(body)


@drafts.post("/drafts/discard")
async def discard(body: wire.DiscardDraft, ctx: Ctx) -> wire.DraftRecord:
    """Give a draft up."""
    return await ctx.drafts.discard(body)


@drafts.post("/confirm/claim")
async def claim_confirm(body: wire.ClaimConfirm, ctx: Ctx) -> wire.ConfirmClaim:
    """Claim a draft for one confirm attempt."""
    return await ctx.drafts.claim(body)


@drafts.post("/confirm/renew", status_code=204)
async def renew_claim(body: wire.RenewClaim, ctx: Ctx) -> None:
    """Prolong a claim."""
    await ctx.confirms.renew(body)


@drafts.post("/confirm/release", status_code=204)
async def release_claim(body: wire.ReleaseClaim, ctx: Ctx) -> None:
    """Give a claim back."""
    await ctx.confirms.release(body)


@drafts.post("/confirm/reserve-key")
async def reserve_key(body: wire.ReserveKey, ctx: Ctx) -> wire.ReservedKey:
    """Record the key an attempt will write."""
    return wire.ReservedKey(storage_key=await ctx.confirms.reserve_key(body))


@drafts.post("/confirm/publish")
async def publish(body: wire.Publish, ctx: Ctx) -> Receipt:
    """Make the object visible."""
    return await ctx.confirms.publish(body)


@drafts.post("/objects/list")
async def list_objects(body: wire.ListObjects, ctx: Ctx) -> wire.ObjectRecordPage:
    """A page of objects."""
    return await ctx.objects.list(body)


@drafts.post("/objects/get")
async def get_object(body: wire.NameRef, ctx: Ctx) -> wire.ObjectRecord:
    """One object."""
    return await ctx.objects.get(body)


@drafts.post("/objects/delete", status_code=204)
async def delete_object(body: wire.DeleteObject, ctx: Ctx) -> None:
    """Delete an object's row; its bytes follow."""
    await ctx.objects.delete(body)


@due.post("/plan")
async def plan_due(ctx: Ctx) -> wire.DuePlan:
    """What a run would do now."""
    return await ctx.due.plan()


@due.post("/claim")
async def claim_due(body: wire.ClaimDue, ctx: Ctx) -> wire.DueBatch:
    """Take a batch of what is due."""
    return await ctx.due.claim(body)


@due.post("/report")
async def report_purged(body: wire.ReportPurged, ctx: Ctx) -> wire.PurgeReport:
    """Note what is gone."""
    return wire.PurgeReport(purged=await ctx.due.report(body))


@reconcile.post("/attribute")
async def attribute_keys(body: reconciling.AttributeKeys, ctx: Ctx) -> reconciling.Attributions:
    """What the rows say of keys."""
    return await ctx.reconcile.attribute(body)


@reconcile.post("/owed")
async def list_owed(body: reconciling.ListOwed, ctx: Ctx) -> reconciling.OwedPage:
    """A page of rows whose bytes must be there."""
    return await ctx.reconcile.list_owed(body)


@reconcile.post("/cursors")
async def cursors(ctx: Ctx) -> reconciling.ReconcileCursors:
    """Where every pass stands."""
    return await ctx.reconcile.cursors()


@reconcile.post("/cursors/begin")
async def begin_round(ctx: Ctx) -> reconciling.ReconcileCursors:
    """Set every cursor to the beginning."""
    return await ctx.reconcile.begin_round()


@reconcile.post("/cursors/move", status_code=204)
async def move_cursor(body: reconciling.MoveCursor, ctx: Ctx) -> None:
    """Store how far a pass has come."""
    await ctx.reconcile.move_cursor(body)
