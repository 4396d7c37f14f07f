"""The internal routes of metadata-service: parse, ask the service, answer. Only services of the suite get in."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request

from draftstore_common.access import only
from draftstore_common.contracts import confirm
from draftstore_common.contracts import metadata as wire
from draftstore_common.contracts import reconcile as reconciling
from draftstore_common.contracts.identity import ServiceName
from draftstore_common.kit.direct import DirectRoute
from draftstore_metadata.context import Context

drafts = APIRouter(route_class=DirectRoute, prefix="/internal", dependencies=[Depends(only(ServiceName.DRAFTS))])
due = APIRouter(route_class=DirectRoute, prefix="/internal/due", dependencies=[Depends(only(ServiceName.CLEANER))])
tending = APIRouter(
    route_class=DirectRoute,
    prefix="/internal/due",
    dependencies=[Depends(only(ServiceName.DRAFTS, ServiceName.CLEANER))],
)
reconcile = APIRouter(
    route_class=DirectRoute, prefix="/internal/reconcile", dependencies=[Depends(only(ServiceName.CLEANER))]
)


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


@drafts.post("/drafts/extend")
async def extend(body: wire.ExtendDraft, ctx: Ctx) -> wire.DraftRecord:
    """Let a draft live longer."""
    return await ctx.drafts.extend(body)


@drafts.post("/drafts/restore")
async def restore(body: wire.RestoreDraft, ctx: Ctx) -> wire.DraftRecord:
    """Bring an expired draft back."""
    return await ctx.drafts.restore(body)


@drafts.post("/events/list")
async def list_events(body: wire.ListEvents, ctx: Ctx) -> wire.EventRecords:
    """A page of events."""
    return await ctx.events.list(body)


@drafts.post("/confirm/claim")
async def claim(body: confirm.ClaimDrafts, ctx: Ctx) -> confirm.ClaimAnswer:
    """Claim drafts for one confirm attempt."""
    return await ctx.claiming.claim(body)


@drafts.post("/confirm/renew", status_code=204)
async def renew(body: confirm.RenewClaims, ctx: Ctx) -> None:
    """Prolong claims."""
    await ctx.claims.renew(body)


@drafts.post("/confirm/release", status_code=204)
async def release(body: confirm.ReleaseClaims, ctx: Ctx) -> None:
    """Give claims back."""
    await ctx.claims.release(body)


@drafts.post("/confirm/reserve-keys")
async def reserve_keys(body: confirm.ReserveKeys, ctx: Ctx) -> confirm.ReservedKeys:
    """Record the keys an attempt will write."""
    return await ctx.keys.reserve(body)


@drafts.post("/confirm/publish")
async def publish(body: confirm.Publication, ctx: Ctx) -> confirm.Published:
    """Make objects visible."""
    return await ctx.publications.publish(body)


@drafts.post("/confirm/prepare")
async def prepare(body: confirm.Prepare, ctx: Ctx) -> confirm.Prepared:
    """Hold names for a commit."""
    return await ctx.holds.prepare(body)


@drafts.post("/confirmations/get")
async def get_confirmation(body: confirm.ConfirmationRef, ctx: Ctx) -> confirm.ConfirmationRecord:
    """One confirmation."""
    return await ctx.holds.get(body)


@drafts.post("/confirmations/commit")
async def commit(body: confirm.EndConfirmation, ctx: Ctx) -> confirm.Committed:
    """Publish what was prepared."""
    return await ctx.holds.commit(body)


@drafts.post("/confirmations/rollback")
async def roll_back(body: confirm.EndConfirmation, ctx: Ctx) -> confirm.ConfirmationRecord:
    """Give up what was prepared."""
    return await ctx.holds.roll_back(body)


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


@tending.post("/tend")
async def tend(body: wire.TendDrafts, ctx: Ctx) -> wire.Tended:
    """Expire, warn and give back what is due."""
    return await ctx.tending.tend(body)


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
