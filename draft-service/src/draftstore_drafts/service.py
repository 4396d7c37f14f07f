"""The workflow of drafts: create, look, upload, preview, confirm, give up. Rules only."""

from dataclasses import dataclass
from uuid import UUID

from draftstore_common.access import check_scope
from draftstore_common.clients.metadata import MetadataClient
from draftstore_common.contracts import metadata as wire
from draftstore_common.contracts.base import MAIN
from draftstore_common.contracts.drafts import (
    ConfirmOptions,
    ConfirmPending,
    DownloadUrl,
    Draft,
    DraftPage,
    DraftState,
    Receipt,
    UploadIntent,
)
from draftstore_common.contracts.identity import Principal, Scope
from draftstore_common.contracts.metadata import DraftRecord
from draftstore_common.contracts.storage import SignedRequest
from draftstore_common.kit.errors import Problem, Unavailable
from draftstore_common.problems import DraftNotFound, ObjectNotFound
from draftstore_drafts.confirm import Confirmer
from draftstore_drafts.content import Content
from draftstore_drafts.domain import check_alive, check_name, may_touch, public_draft
from draftstore_drafts.errors import BucketNotFound, DraftNotUploaded, ObjectNameNotAllowed


def actor(principal: Principal) -> str:
    """How a caller stands in event rows."""
    return f"key:{principal.key_id}"


@dataclass(frozen=True, slots=True)
class DraftListing:
    """A caller's choice of drafts."""

    object_name: str | None
    state: DraftState | None
    cursor: str | None
    limit: int


class DraftService:
    """Drafts by id. A draft that is foreign, absent, or outside the key's names is not found."""

    def __init__(
        self,
        metadata: MetadataClient,
        content: Content,
        confirmer: Confirmer,
        *,
        upload_ttl: int,
        default_draft_ttl: int,
    ) -> None:
        self._metadata = metadata
        self._content = content
        self._confirmer = confirmer
        self._upload_ttl = upload_ttl
        self._default_draft_ttl = default_draft_ttl

    async def create(self, principal: Principal, intent: UploadIntent, bucket: str = MAIN) -> Draft:
        """A new draft with its upload URL. The row is durable before the URL is signed."""
        draft, signed = await self.begin(principal, intent, bucket)
        return public_draft(draft, signed)

    async def begin(
        self, principal: Principal, intent: UploadIntent, bucket: str = MAIN
    ) -> tuple[DraftRecord, SignedRequest]:
        """A new draft's row and the PUT signed for it."""
        if bucket != MAIN:
            raise BucketNotFound
        check_name(principal, bucket, intent.object_name)
        draft = await self._metadata.create_draft(self._new(principal, intent, bucket))
        return draft, await self._content.sign_upload(draft)

    def _new(self, principal: Principal, intent: UploadIntent, bucket: str) -> wire.CreateDraft:
        return wire.CreateDraft(
            actor=actor(principal),
            tenant_id=principal.tenant_id,
            bucket=bucket,
            object_name=intent.object_name,
            upload_type="put",
            size=intent.size,
            content_type=intent.content_type,
            checksum_sha256=intent.checksum_sha256,
            cache_control=intent.cache_control,
            content_disposition=intent.content_disposition,
            content_encoding=intent.content_encoding,
            metadata=intent.metadata,
            subject=intent.subject,
            draft_ttl=intent.ttl or self._default_draft_ttl,
            upload_ttl=self._upload_ttl,
        )

    async def find(self, principal: Principal, draft_id: UUID) -> DraftRecord:
        """The caller's draft of this id."""
        draft = await self._metadata.get_draft(_ref(principal, draft_id))
        if not may_touch(principal, draft.object_name):
            raise DraftNotFound
        return draft

    async def get(self, principal: Principal, draft_id: UUID) -> Draft:
        """The draft as it is now: bytes that have arrived are noticed, unless the store is away."""
        draft = await self.find(principal, draft_id)
        try:
            draft = await self._content.seen(draft, actor(principal)) or draft
        except Problem as problem:
            if problem.http_status != Unavailable.status:
                raise
        return public_draft(draft)

    async def list(self, principal: Principal, wanted: DraftListing) -> DraftPage:
        """A page of the tenant's drafts, newest first. A key with name prefixes lists one name at a time."""
        if principal.name_prefixes and not (wanted.object_name and may_touch(principal, wanted.object_name)):
            raise ObjectNameNotAllowed
        page = await self._metadata.list_drafts(
            wire.ListDrafts(
                tenant_id=principal.tenant_id,
                object_name=wanted.object_name,
                state=wanted.state,
                cursor=wanted.cursor,
                limit=wanted.limit,
            )
        )
        return DraftPage(items=[public_draft(draft) for draft in page.items], next_cursor=page.next_cursor)

    async def discard(self, principal: Principal, draft_id: UUID) -> None:
        """Give the draft up. Its bytes go now if the store answers, else with the next cleaning."""
        await self._check_touch(principal, draft_id)
        draft = await self._metadata.discard(
            wire.DiscardDraft(tenant_id=principal.tenant_id, draft_id=draft_id, actor=actor(principal))
        )
        await self._content.remove(draft)

    async def upload_url(self, principal: Principal, draft_id: UUID) -> Draft:
        """The draft with a fresh upload URL; earlier ones keep working for their time."""
        draft, signed = await self.resign(principal, draft_id)
        return public_draft(draft, signed)

    async def resign(self, principal: Principal, draft_id: UUID) -> tuple[DraftRecord, SignedRequest]:
        """The draft's row and a fresh PUT for it."""
        await self._check_touch(principal, draft_id)
        request = wire.AllowUrl(tenant_id=principal.tenant_id, draft_id=draft_id, upload_ttl=self._upload_ttl)
        draft = await self._metadata.allow_url(request)
        return draft, await self._content.sign_upload(draft)

    async def download_url(self, principal: Principal, draft_id: UUID) -> DownloadUrl:
        """A URL to the draft's bytes: in the draft bucket before confirm, in the main bucket (`objects:read`) after."""
        draft = await self.find(principal, draft_id)
        if draft.receipt is not None:
            check_scope(principal, Scope.OBJECTS_READ)
            return await self._object_url(draft)
        check_alive(draft)
        seen = await self._content.seen(draft, actor(principal))
        if seen is None:
            raise DraftNotUploaded
        return await self._content.preview(seen)

    async def _object_url(self, draft: DraftRecord) -> DownloadUrl:
        name = wire.NameRef(tenant_id=draft.tenant_id, bucket=draft.bucket, object_name=draft.object_name)
        found = await self._metadata.get_object(name)
        if found.draft_id != draft.id:
            raise ObjectNotFound("The object this draft became was replaced. Ask for the object by its name.")
        return await self._content.download(found)

    async def confirm(self, principal: Principal, draft_id: UUID, options: ConfirmOptions) -> Receipt | ConfirmPending:
        """Publish the draft; a repeat answers the same receipt."""
        await self._check_touch(principal, draft_id)
        return await self._confirmer.confirm(_ref(principal, draft_id), options, actor(principal))

    async def _check_touch(self, principal: Principal, draft_id: UUID) -> None:
        if principal.name_prefixes:  # else every name of the tenant is the key's, and the row checks the tenant
            await self.find(principal, draft_id)


def _ref(principal: Principal, draft_id: UUID) -> wire.DraftRef:
    return wire.DraftRef(tenant_id=principal.tenant_id, draft_id=draft_id)
