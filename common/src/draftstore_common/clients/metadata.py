"""The typed client of metadata-service."""

from draftstore_common.clients.base import ServiceClient
from draftstore_common.contracts import confirm
from draftstore_common.contracts import metadata as wire
from draftstore_common.contracts.base import Request
from draftstore_common.contracts.identity import Audience


class MetadataClient(ServiceClient):
    """Drafts, objects and what is due, as rows."""

    audience = Audience.METADATA

    async def create_draft(self, request: wire.CreateDraft) -> wire.DraftRecord:
        """Insert an `open` draft; the record says how long its first URL may live."""
        return await self._ask("/internal/drafts/create", request, wire.DraftRecord)

    async def create_drafts(self, request: wire.CreateDrafts) -> list[wire.DraftRecord]:
        """Insert `open` drafts, all or none; the records, in the same order, say how long their first URLs may live."""
        return (await self._ask("/internal/drafts/create-batch", request, wire.DraftRecords)).items

    async def get_draft(self, request: wire.DraftRef) -> wire.DraftRecord:
        """One draft; `draft_not_found` if it is not the tenant's."""
        return await self._ask("/internal/drafts/get", request, wire.DraftRecord)

    async def list_drafts(self, request: wire.ListDrafts) -> wire.DraftRecordPage:
        """A page of drafts, newest first."""
        return await self._ask("/internal/drafts/list", request, wire.DraftRecordPage)

    async def find_by_name(self, request: wire.FindByName) -> wire.NameRecord:
        """Everything that lives under a name."""
        return await self._ask("/internal/drafts/find", request, wire.NameRecord)

    async def allow_url(self, request: wire.AllowUrl) -> wire.DraftRecord:
        """Record that one more upload URL may live; refused unless the draft still takes bytes."""
        return await self._ask("/internal/drafts/allow-url", request, wire.DraftRecord)

    async def record_uploaded(self, request: wire.RecordUploaded) -> wire.DraftRecord:
        """Note bytes that were seen."""
        return await self._ask("/internal/drafts/uploaded", request, wire.DraftRecord)

    async def discard(self, request: wire.DiscardDraft) -> wire.DraftRecord:
        """Give a draft up."""
        return await self._ask("/internal/drafts/discard", request, wire.DraftRecord)

    async def extend(self, request: wire.ExtendDraft) -> wire.DraftRecord:
        """Let a living draft live longer."""
        return await self._ask("/internal/drafts/extend", request, wire.DraftRecord)

    async def restore(self, request: wire.RestoreDraft) -> wire.DraftRecord:
        """Bring an expired draft back."""
        return await self._ask("/internal/drafts/restore", request, wire.DraftRecord)

    async def list_events(self, request: wire.ListEvents) -> wire.EventRecords:
        """Events in commit order."""
        return await self._ask("/internal/events/list", request, wire.EventRecords)

    async def claim(self, request: confirm.ClaimDrafts) -> confirm.ClaimAnswer:
        """Claim drafts for one attempt, or learn which are confirmed, refused or busy."""
        return await self._ask("/internal/confirm/claim", request, confirm.ClaimAnswer)

    async def renew(self, request: confirm.RenewClaims) -> None:
        """Prolong claims; `lease_lost` if one is no longer ours."""
        await self._tell("/internal/confirm/renew", request)

    async def release(self, request: confirm.ReleaseClaims) -> None:
        """Give claims back; no error for those that were lost already."""
        await self._tell("/internal/confirm/release", request)

    async def reserve_keys(self, request: confirm.ReserveKeys) -> confirm.ReservedKeys:
        """Record the keys this attempt will write; names that are taken or held are refused."""
        return await self._ask("/internal/confirm/reserve-keys", request, confirm.ReservedKeys)

    async def publish(self, request: confirm.Publication) -> confirm.Published:
        """The transaction that makes the objects visible, all or none; answers the receipts."""
        return await self._ask("/internal/confirm/publish", request, confirm.Published)

    async def prepare(self, request: confirm.Prepare) -> confirm.Prepared:
        """Hold the names until a commit, a rollback or the deadline."""
        return await self._ask("/internal/confirm/prepare", request, confirm.Prepared)

    async def get_confirmation(self, request: confirm.ConfirmationRef) -> confirm.ConfirmationRecord:
        """One confirmation; `confirmation_not_found` if it is not the tenant's."""
        return await self._ask("/internal/confirmations/get", request, confirm.ConfirmationRecord)

    async def commit(self, request: confirm.EndConfirmation) -> confirm.Committed:
        """Publish what was prepared; refused after its deadline or its rollback."""
        return await self._ask("/internal/confirmations/commit", request, confirm.Committed)

    async def roll_back(self, request: confirm.EndConfirmation) -> confirm.ConfirmationRecord:
        """Give up what was prepared; refused after its commit."""
        return await self._ask("/internal/confirmations/rollback", request, confirm.ConfirmationRecord)

    async def list_objects(self, request: wire.ListObjects) -> wire.ObjectRecordPage:
        """A page of objects, by name."""
        return await self._ask("/internal/objects/list", request, wire.ObjectRecordPage)

    async def get_object(self, request: wire.NameRef) -> wire.ObjectRecord:
        """One object; `object_not_found` if there is none."""
        return await self._ask("/internal/objects/get", request, wire.ObjectRecord)

    async def delete_object(self, request: wire.DeleteObject) -> None:
        """Delete an object's row; its bytes follow."""
        await self._tell("/internal/objects/delete", request)

    async def plan_due(self) -> wire.DuePlan:
        """What a cleaning run would do now; changes nothing."""
        return await self._ask("/internal/due/plan", Request(), wire.DuePlan)

    async def tend(self, request: wire.TendDrafts) -> wire.Tended:
        """Expire, warn and give back what is due, without touching bytes."""
        return await self._ask("/internal/due/tend", request, wire.Tended)

    async def tend_all(self) -> wire.Tended:
        """Tend until nothing is due; the counts of all of it."""
        total = step = await self.tend(wire.TendDrafts())
        while step.taken:
            step = await self.tend(wire.TendDrafts())
            total = wire.Tended(
                taken=total.taken + step.taken,
                expired=total.expired + step.expired,
                recovered=total.recovered + step.recovered,
                warned=total.warned + step.warned,
            )
        return total

    async def claim_due(self, request: wire.ClaimDue) -> wire.DueBatch:
        """Take a batch of what is due."""
        return await self._ask("/internal/due/claim", request, wire.DueBatch)

    async def report_purged(self, request: wire.ReportPurged) -> wire.PurgeReport:
        """Say what is gone from the store."""
        return await self._ask("/internal/due/report", request, wire.PurgeReport)
