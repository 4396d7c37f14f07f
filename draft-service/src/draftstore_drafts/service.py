"""The workflow of drafts: create, look, upload, preview, confirm, give up. Rules only."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias, TypeVar
from uuid import UUID

from draftstore_common.access import check_scope
from draftstore_common.clients.metadata import MetadataClient
from draftstore_common.contracts import metadata as wire
from draftstore_common.contracts.base import MAIN
from draftstore_common.contracts.drafts import (
    Confirmation,
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
from draftstore_common.contracts.metadata import DraftRecord, IdempotencyKey
from draftstore_common.contracts.storage import SignedRequest
from draftstore_common.kit.errors import Problem, Unavailable
from draftstore_common.problems import DraftNotFound, ObjectNotFound
from draftstore_drafts.confirm import Confirmer, Pending
from draftstore_drafts.content import Content
from draftstore_drafts.domain import check_alive, check_name, may_touch, public_confirmation, public_draft
from draftstore_drafts.errors import BucketNotFound, DraftNotUploaded, ObjectNameNotAllowed
from draftstore_drafts.refusals import Refused
from draftstore_drafts.work import single


def actor(principal: Principal) -> str:
    """How a caller stands in event rows."""
    return f"key:{principal.key_id}"


Prolong = TypeVar("Prolong", bound=wire.ExtendDraft)
Ask: TypeAlias = Callable[[Prolong], Awaitable[DraftRecord]]


@dataclass(frozen=True, slots=True)
class Lives:
    """How long drafts and their URLs live, in seconds."""

    upload_ttl: int
    default_draft_ttl: int
    max_draft_lifetime: int


@dataclass(frozen=True, slots=True)
class DraftListing:
    """A caller's choice of drafts."""

    object_name: str | None
    state: DraftState | None
    cursor: str | None
    limit: int


class DraftService:
    """Drafts by id. A draft that is foreign, absent, or outside the key's names is not found."""

    def __init__(self, metadata: MetadataClient, content: Content, confirmer: Confirmer, lives: Lives) -> None:
        self._metadata = metadata
        self._content = content
        self._confirmer = confirmer
        self._lives = lives

    async def create(
        self, principal: Principal, intent: UploadIntent, bucket: str = MAIN, key: IdempotencyKey | None = None
    ) -> Draft:
        """A new draft with its upload URL. The row is durable before the URL is signed."""
        draft, signed = await self.begin(principal, intent, bucket, key)
        return public_draft(draft, signed)

    async def begin(
        self, principal: Principal, intent: UploadIntent, bucket: str = MAIN, key: IdempotencyKey | None = None
    ) -> tuple[DraftRecord, SignedRequest | None]:
        """A new draft's row and the PUT signed for it.

        With a key that is known: the draft it made, and a PUT for what is left of its latest URL's time, if anything.
        """
        if bucket != MAIN:
            raise BucketNotFound
        check_name(principal, bucket, intent.object_name)
        asked_at = time.monotonic()
        draft = await self._metadata.create_draft(self._new(principal, intent, bucket, key))
        return draft, await self._content.sign_upload(draft, asked_at) if draft.url_ttl else None

    def _new(
        self, principal: Principal, intent: UploadIntent, bucket: str, key: IdempotencyKey | None
    ) -> wire.CreateDraft:
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
            draft_ttl=intent.ttl or self._lives.default_draft_ttl,
            upload_ttl=self._lives.upload_ttl,
            max_lifetime=self._lives.max_draft_lifetime,
            idempotency=key,
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
        await self.check_touch(principal, draft_id)
        draft = await self._metadata.discard(
            wire.DiscardDraft(tenant_id=principal.tenant_id, draft_id=draft_id, actor=actor(principal))
        )
        await self._content.remove(draft.storage_key)

    async def upload_url(self, principal: Principal, draft_id: UUID) -> Draft:
        """The draft with a fresh upload URL; earlier ones keep working for their time."""
        draft, signed = await self.resign(principal, draft_id)
        return public_draft(draft, signed)

    async def resign(self, principal: Principal, draft_id: UUID) -> tuple[DraftRecord, SignedRequest]:
        """The draft's row and a fresh PUT for it."""
        await self.check_touch(principal, draft_id)
        request = wire.AllowUrl(tenant_id=principal.tenant_id, draft_id=draft_id, upload_ttl=self._lives.upload_ttl)
        asked_at = time.monotonic()
        draft = await self._metadata.allow_url(request)
        return draft, await self._content.sign_upload(draft, asked_at)

    async def download_url(self, principal: Principal, draft_id: UUID) -> DownloadUrl:
        """A URL to the draft's bytes: in the draft bucket before confirm, in the main bucket (`objects:read`) after."""
        draft = await self.find(principal, draft_id)
        if draft.receipt is not None:
            check_scope(principal, Scope.OBJECTS_READ)
            return await self._object_url(principal, draft)
        check_alive(draft)
        seen = await self._content.seen(draft, actor(principal))
        if seen is None:
            raise DraftNotUploaded
        return await self._content.preview(principal, seen)

    async def _object_url(self, principal: Principal, draft: DraftRecord) -> DownloadUrl:
        name = wire.NameRef(tenant_id=draft.tenant_id, bucket=draft.bucket, object_name=draft.object_name)
        found = await self._metadata.get_object(name)
        if found.draft_id != draft.id:
            raise ObjectNotFound("The object this draft became was replaced. Ask for the object by its name.")
        return await self._content.download(principal, found)

    async def confirm(
        self, principal: Principal, draft_id: UUID, options: ConfirmOptions
    ) -> Receipt | Confirmation | ConfirmPending:
        """Publish the draft, or prepare it; a repeat answers the same."""
        await self.check_touch(principal, draft_id)
        work = single(principal.tenant_id, draft_id, options, actor(principal))
        try:
            outcome = await self._confirmer.confirm(work)
        except Refused as refused:
            raise refused.one() from refused
        if outcome.confirmation is not None:
            return public_confirmation(outcome.confirmation)
        return ConfirmPending(draft_id=draft_id) if isinstance(outcome, Pending) else outcome.receipts[0]

    async def extend(self, principal: Principal, draft_id: UUID, ttl: int | None) -> Draft:
        """Let the draft live longer, as far as its tenant's maximum allows."""
        return await self._prolong(principal, draft_id, ttl, wire.ExtendDraft, self._metadata.extend)

    async def restore(self, principal: Principal, draft_id: UUID, ttl: int | None) -> Draft:
        """Bring an expired draft back while its bytes are kept (`RESTORE_GRACE`)."""
        return await self._prolong(principal, draft_id, ttl, wire.RestoreDraft, self._metadata.restore)

    async def _prolong(
        self, principal: Principal, draft_id: UUID, ttl: int | None, kind: type[Prolong], ask: Ask[Prolong]
    ) -> Draft:
        await self.check_touch(principal, draft_id)
        seconds = ttl or self._lives.default_draft_ttl
        ref = {"tenant_id": principal.tenant_id, "draft_id": draft_id}
        return public_draft(await ask(kind(**ref, actor=actor(principal), ttl=seconds)))

    async def check_touch(self, principal: Principal, draft_id: UUID) -> None:
        """Raise `DraftNotFound` if the key's names do not cover the draft's."""
        if principal.name_prefixes:  # else every name of the tenant is the key's, and the row checks the tenant
            await self.find(principal, draft_id)


def _ref(principal: Principal, draft_id: UUID) -> wire.DraftRef:
    return wire.DraftRef(tenant_id=principal.tenant_id, draft_id=draft_id)
