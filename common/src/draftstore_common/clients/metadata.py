"""The typed client of metadata-service."""

from draftstore_common.clients.base import ServiceClient
from draftstore_common.contracts import metadata as wire
from draftstore_common.contracts.base import Request
from draftstore_common.contracts.drafts import Receipt
from draftstore_common.contracts.identity import Audience


class MetadataClient(ServiceClient):
    """Drafts, objects and what is due, as rows."""

    audience = Audience.METADATA

    async def create_draft(self, request: wire.CreateDraft) -> wire.DraftRecord:
        """Insert an `open` draft; the record says how long its first URL may live."""
        return await self._ask("/internal/drafts/create", request, wire.DraftRecord)

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

    async def claim_confirm(self, request: wire.ClaimConfirm) -> wire.ConfirmClaim:
        """Claim a draft for one attempt, or learn that it is confirmed or busy."""
        return await self._ask("/internal/confirm/claim", request, wire.ConfirmClaim)

    async def renew_claim(self, request: wire.RenewClaim) -> None:
        """Prolong a claim; `lease_lost` if it is no longer ours."""
        await self._tell("/internal/confirm/renew", request)

    async def release_claim(self, request: wire.ReleaseClaim) -> None:
        """Give a claim back; no error if it was lost already."""
        await self._tell("/internal/confirm/release", request)

    async def reserve_key(self, request: wire.ReserveKey) -> wire.ReservedKey:
        """Record the key this attempt will write; `object_exists` if the name is taken and must not be replaced."""
        return await self._ask("/internal/confirm/reserve-key", request, wire.ReservedKey)

    async def publish(self, request: wire.Publish) -> Receipt:
        """The transaction that makes the object visible; answers the receipt."""
        return await self._ask("/internal/confirm/publish", request, Receipt)

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

    async def claim_due(self, request: wire.ClaimDue) -> wire.DueBatch:
        """Take a batch of what is due."""
        return await self._ask("/internal/due/claim", request, wire.DueBatch)

    async def report_purged(self, request: wire.ReportPurged) -> wire.PurgeReport:
        """Say what is gone from the store."""
        return await self._ask("/internal/due/report", request, wire.PurgeReport)
