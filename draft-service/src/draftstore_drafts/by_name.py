"""The by-name routes: which draft or object a bare name means."""

import asyncio
from uuid import UUID

from draftstore_common.access import check_scope
from draftstore_common.clients.metadata import MetadataClient
from draftstore_common.contracts import metadata as wire
from draftstore_common.contracts.base import MAIN
from draftstore_common.contracts.drafts import (
    ByNameConfirm,
    ByNameReceipt,
    ByNameRequest,
    ByNameUpload,
    ByNameUploadUrl,
    Confirmation,
    ConfirmOptions,
    ConfirmPending,
    DownloadUrl,
    Receipt,
)
from draftstore_common.contracts.identity import Principal, Scope
from draftstore_common.contracts.metadata import DraftRecord, IdempotencyKey
from draftstore_common.contracts.storage import SignedRequest
from draftstore_common.problems import DraftNotFound, ObjectNotFound
from draftstore_drafts.content import Content
from draftstore_drafts.domain import check_name, check_same_bytes, receipt_of
from draftstore_drafts.errors import AlreadyDeclared, DraftIdRequired, DraftNotUploaded, UploadUrlExpired
from draftstore_drafts.service import DraftService, actor

LOOK_AT_ONCE = 8


class ByNameService:
    """Names in the caller's bucket `main`.

    A name means the newest living draft whose bytes are there, else the confirmed object. If a draft lives but
    nothing was uploaded: `draft_not_uploaded`; if there is nothing at all: `object_not_found`.
    """

    def __init__(self, drafts: DraftService, metadata: MetadataClient, content: Content) -> None:
        self._drafts = drafts
        self._metadata = metadata
        self._content = content

    async def upload_url(
        self, principal: Principal, body: ByNameUpload, key: IdempotencyKey | None = None
    ) -> ByNameUploadUrl:
        """Where to PUT the bytes: a new draft, or a fresh URL for the one given."""
        signed: SignedRequest | None
        if body.draft_id is None:
            draft, signed = await self._drafts.begin(principal, body, key=key)
        else:
            if body.model_fields_set - {"object_name", "draft_id"}:
                raise AlreadyDeclared
            await self._named(principal, body.draft_id, body.object_name)
            draft, signed = await self._drafts.resign(principal, body.draft_id)
        if signed is None:
            raise UploadUrlExpired
        return ByNameUploadUrl(
            upload_url=signed.url,
            headers=signed.headers,
            object_name=draft.object_name,
            draft_id=draft.id,
            expires_at=signed.expires_at,
            draft_expires_at=draft.expires_at,
        )

    async def download_url(self, principal: Principal, body: ByNameRequest) -> DownloadUrl:
        """A URL to the bytes the name means."""
        if body.draft_id is not None:
            await self._named(principal, body.draft_id, body.object_name)
            return await self._drafts.download_url(principal, body.draft_id)
        found = await self._look(principal, body)
        draft = await self._uploaded(principal, found)
        if draft is not None:
            return await self._content.preview(principal, draft)
        check_scope(principal, Scope.OBJECTS_READ)
        return await self._content.download(principal, _object(found))

    async def confirm(self, principal: Principal, body: ByNameConfirm) -> ByNameReceipt | ConfirmPending:
        """Publish what the name means, or answer the receipt of what was published under it."""
        answer = await self._confirm(principal, body)
        return answer if isinstance(answer, ConfirmPending) else ByNameReceipt(**dict(answer))

    async def _confirm(self, principal: Principal, body: ByNameConfirm) -> Receipt | ConfirmPending:
        options = ConfirmOptions(on_conflict=body.on_conflict, etag=body.etag, subject=body.subject)
        if body.draft_id is not None:
            await self._named(principal, body.draft_id, body.object_name)
            return await self._published(principal, body.draft_id, options)
        found = await self._look(principal, body)
        draft = await self._uploaded(principal, found)
        if draft is not None:
            return await self._published(principal, draft.id, options)
        return _receipt(found, body.etag)

    async def _published(
        self, principal: Principal, draft_id: UUID, options: ConfirmOptions
    ) -> Receipt | ConfirmPending:
        answer = await self._drafts.confirm(principal, draft_id, options)
        assert not isinstance(answer, Confirmation)  # noqa: S101  only `mode: prepare` answers one
        return answer

    async def _look(self, principal: Principal, body: ByNameRequest) -> wire.NameRecord:
        check_name(principal, MAIN, body.object_name)
        return await self._metadata.find_by_name(
            wire.FindByName(
                tenant_id=principal.tenant_id, bucket=MAIN, object_name=body.object_name, subject=body.subject
            )
        )

    async def _uploaded(self, principal: Principal, found: wire.NameRecord) -> DraftRecord | None:
        """The newest draft whose bytes are there. Open ones are looked at a few at a time, newest first."""
        if found.drafts and found.drafts[0].state != "open":
            return found.drafts[0]
        who = actor(principal)
        for start in range(0, len(found.drafts), LOOK_AT_ONCE):
            some = found.drafts[start : start + LOOK_AT_ONCE]
            for seen in await asyncio.gather(*(self._content.seen(draft, who) for draft in some)):
                if seen is not None:
                    return seen
        if found.more_drafts:
            raise DraftIdRequired
        return None

    async def _named(self, principal: Principal, draft_id: UUID, object_name: str) -> None:
        draft = await self._drafts.find(principal, draft_id)
        if draft.object_name != object_name or draft.bucket != MAIN:
            raise DraftNotFound


def _object(found: wire.NameRecord) -> wire.ObjectRecord:
    if found.object is not None:
        return found.object
    raise DraftNotUploaded if found.drafts else ObjectNotFound


def _receipt(found: wire.NameRecord, previewed_etag: str | None) -> Receipt:
    """The receipt of the object of this name, unless it is of other bytes or another subject than the caller's."""
    if not found.subject_matches:
        raise DraftNotUploaded if found.drafts else ObjectNotFound
    receipt = receipt_of(_object(found))
    check_same_bytes(previewed_etag, found.judged_etag, receipt.etag)
    return receipt
