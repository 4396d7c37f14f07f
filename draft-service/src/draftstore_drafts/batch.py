"""Many drafts in one request: one transaction, one round of signing, all or none."""

import time
from collections.abc import Iterator, Sequence

from draftstore_common.clients.metadata import MetadataClient
from draftstore_common.contracts import metadata as wire
from draftstore_common.contracts.base import MAIN
from draftstore_common.contracts.drafts import CreatedDrafts, Draft, DraftBatch, DraftCreate
from draftstore_common.contracts.identity import Principal
from draftstore_common.contracts.metadata import DraftRecord, IdempotencyKey
from draftstore_common.kit.errors import FieldError, Problem
from draftstore_drafts.content import Content
from draftstore_drafts.domain import check_name, public_draft
from draftstore_drafts.errors import BucketNotFound
from draftstore_drafts.service import Lives, actor


class BatchService:
    """Creates drafts by the hundred. Each is what a single create would have made; names may repeat, as there."""

    def __init__(self, metadata: MetadataClient, content: Content, lives: Lives) -> None:
        self._metadata = metadata
        self._content = content
        self._lives = lives

    async def create(self, principal: Principal, batch: DraftBatch, key: IdempotencyKey | None) -> CreatedDrafts:
        """The drafts in the order of the request, each with its upload URL; or a problem that names every bad entry.

        With a key that is known: the drafts it made, and URLs for what is left of their latest ones' time, if anything.
        """
        _check(principal, batch.drafts)
        asked_at = time.monotonic()
        drafts = await self._metadata.create_drafts(
            wire.CreateDrafts(
                actor=actor(principal),
                tenant_id=principal.tenant_id,
                drafts=[self._new(entry) for entry in batch.drafts],
                upload_ttl=self._lives.upload_ttl,
                max_lifetime=self._lives.max_draft_lifetime,
                idempotency=key,
            )
        )
        return CreatedDrafts(items=await self._signed(drafts, asked_at))

    def _new(self, entry: DraftCreate) -> wire.NewDraft:
        declared = {name: getattr(entry, name) for name in _DECLARED}
        ttl = entry.ttl or self._lives.default_draft_ttl
        # Not validated once more: the entry was, by the same types.
        return wire.NewDraft.model_construct(upload_type=entry.upload, draft_ttl=ttl, **declared)

    async def _signed(self, drafts: Sequence[DraftRecord], asked_at: float) -> list[Draft]:
        urls = iter(await self._content.sign_uploads([draft for draft in drafts if draft.url_ttl], asked_at))
        return [public_draft(draft, next(urls) if draft.url_ttl else None) for draft in drafts]


_DECLARED = sorted(DraftCreate.model_fields.keys() & wire.NewDraft.model_fields.keys())
"""What an entry says of its draft, in the words of the row."""


def _check(principal: Principal, entries: Sequence[DraftCreate]) -> None:
    """Raise the first entry's problem, with word of all the others that have one."""
    found = list(_problems(principal, entries))
    if found:
        first = found[0][1]
        first.errors = [
            FieldError(field=f"drafts.{place}.{_field(problem)}", code=problem.code, detail=problem.detail)
            for place, problem in found
        ]
        raise first


def _problems(principal: Principal, entries: Sequence[DraftCreate]) -> Iterator[tuple[int, Problem]]:
    for place, entry in enumerate(entries):
        try:
            if entry.bucket != MAIN:
                raise BucketNotFound
            check_name(principal, entry.bucket, entry.object_name)
        except Problem as problem:
            yield place, problem


def _field(problem: Problem) -> str:
    return "bucket" if isinstance(problem, BucketNotFound) else "object_name"
