"""The bytes of drafts and objects, in words of the workflow: what is there, and URLs to it."""

import logging
import math
import time
from collections.abc import Sequence
from uuid import UUID

from draftstore_common.clients.metadata import MetadataClient
from draftstore_common.clients.storage import StorageClient
from draftstore_common.contracts.base import BucketRole
from draftstore_common.contracts.drafts import DownloadUrl, Stage
from draftstore_common.contracts.identity import Principal
from draftstore_common.contracts.metadata import DraftRecord, ObjectRecord, RecordUploaded
from draftstore_common.contracts.storage import (
    DeleteRequest,
    PresignGet,
    PresignPut,
    SignedRequest,
    StoredObject,
    StoreInfo,
)
from draftstore_common.kit.context import remaining, set_timeout
from draftstore_common.kit.errors import RelayedProblem, chain
from draftstore_common.kit.patience import Looks, Patience
from draftstore_common.kit.together import Together
from draftstore_drafts.accesses import Accesses
from draftstore_drafts.domain import disposition, published_type

log = logging.getLogger(__name__)

REMOVE_TIMEOUT = 5.0
"""Seconds a caller waits for bytes to be removed that would be removed anyway."""

REMOVALS = 2
MOST_REMOVED = 100
"""Requests that remove bytes of several callers under way at once, and keys of each: a store deletes them in turn."""


class Content:
    """Reads, signs and removes. Keys always come from rows, never from callers.

    No URL to bytes leaves here that is not on record, where its reader's tenant wants that.
    """

    def __init__(
        self, metadata: MetadataClient, storage: StorageClient, accesses: Accesses, *, download_ttl: int
    ) -> None:
        self._metadata = metadata
        self._storage = storage
        self._accesses = accesses
        self._download_ttl = download_ttl
        self._info: StoreInfo | None = None
        self._looks = Looks()
        self._removal = Together(self._remove, lanes=REMOVALS, most=MOST_REMOVED, shared=Exception)

    async def of(self, draft: DraftRecord) -> StoredObject | None:
        """What the store holds for a draft, or None when no bytes have come."""
        try:
            return await self._storage.head("draft", draft.storage_key)
        except RelayedProblem as problem:
            if problem.code == "object_not_found":
                return None
            raise

    async def seen(self, draft: DraftRecord, actor: str) -> DraftRecord | None:
        """The draft, noted as `uploaded`, if its bytes are there; None if they are not."""
        if draft.state != "open":
            return draft
        stored = await self.of(draft)
        if stored is None:
            return None
        note = RecordUploaded(
            tenant_id=draft.tenant_id, draft_id=draft.id, actor=actor, size=stored.size, etag=stored.etag
        )
        return await self._metadata.record_uploaded(note)

    async def remove(self, *keys: str) -> None:
        """Remove drafts' bytes now. If that fails they go with the cleaning: the rows have it on record."""
        if not keys:
            return
        try:
            with Patience(min(REMOVE_TIMEOUT, remaining()), self._looks):
                await (self._removal.do(keys[0]) if len(keys) == 1 else self._remove(keys))
        except Exception as error:  # what was asked for is done: this must not make it look undone
            log.warning("draft bytes left for the cleaner", extra={"keys": len(keys), "causes": chain(error)})

    async def _remove(self, keys: Sequence[str]) -> Sequence[None]:
        set_timeout(REMOVE_TIMEOUT)
        answer = await self._storage.delete(DeleteRequest(role="draft", keys=list(keys)))
        if answer.failures:
            reasons = sorted({failure.reason for failure in answer.failures})
            log.warning("draft bytes left for the cleaner", extra={"keys": len(answer.failures), "causes": reasons})
        return [None] * len(keys)

    async def store(self) -> StoreInfo:
        """The store's name and buckets; asked once."""
        if self._info is None:
            self._info = await self._storage.info()
        return self._info

    async def sign_upload(self, draft: DraftRecord, asked_at: float) -> SignedRequest:
        """A PUT URL for a draft whose row has just allowed it; what was declared is signed into it.

        `asked_at` is when the row was asked for, in seconds of the monotonic clock: the URL ends with the draft.
        """
        return await self._storage.presign_put(_put(draft, asked_at))

    async def sign_uploads(self, drafts: Sequence[DraftRecord], asked_at: float) -> list[SignedRequest]:
        """The same for many, in one call and in their order."""
        return await self._storage.presign_puts([_put(draft, asked_at) for draft in drafts]) if drafts else []

    async def preview(self, reader: Principal, draft: DraftRecord) -> DownloadUrl:
        """A URL that reads a draft's bytes, never longer than the draft lives."""
        ttl = max(1, min(self._download_ttl, draft.ttl_left))
        content_type = published_type(draft)
        shown = disposition(content_type, draft.object_name, draft.content_disposition)
        signed = await self._sign("draft", draft.storage_key, ttl, content_type, shown)
        return await self._granted(reader, signed, "draft", draft.object_name, draft.id)

    async def download(self, reader: Principal, found: ObjectRecord) -> DownloadUrl:
        """A URL that reads an object, whatever happens to its name meanwhile."""
        shown = disposition(found.content_type, found.object_name, found.content_disposition)
        signed = await self._sign("main", found.storage_key, self._download_ttl, found.content_type, shown)
        return await self._granted(reader, signed, "main", found.object_name, found.draft_id)

    async def _granted(
        self, reader: Principal, signed: SignedRequest, stage: Stage, object_name: str, draft_id: UUID | None
    ) -> DownloadUrl:
        url = DownloadUrl(
            download_url=signed.url,
            object_name=object_name,
            expires_at=signed.expires_at,
            stage=stage,
            draft_id=draft_id,
        )
        await self._accesses.granted(reader, url)
        return url

    async def _sign(self, role: BucketRole, key: str, ttl: int, content_type: str, shown: str) -> SignedRequest:
        return await self._storage.presign_get(
            PresignGet(role=role, key=key, expires_in=ttl, content_type=content_type, content_disposition=shown)
        )


def _put(draft: DraftRecord, asked_at: float) -> PresignPut:
    left = math.floor(draft.ttl_left - (time.monotonic() - asked_at))
    return PresignPut(
        key=draft.storage_key,
        expires_in=max(1, min(draft.url_ttl, left)),
        size=draft.declared_size,
        content_type=draft.declared_content_type,
        checksum_sha256=draft.declared_checksum_sha256,
    )
