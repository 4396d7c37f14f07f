"""One confirm attempt: judge, reserve a key, copy, publish, purge.

What happens if it dies here:
  after the claim  the lease lapses; any instance gives the draft back
  after reserve    the key is on record for exactly these bytes; the next attempt of the same bytes uses it,
                   any other makes it garbage
  after copy       the same: nobody can see the key until a row names it
  after publish    the receipt is fixed; draft bytes are removed at the write horizon, and every repeat
                   answers the same receipt
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from draftstore_common.clients.metadata import MetadataClient
from draftstore_common.clients.storage import StorageClient
from draftstore_common.contracts import metadata as wire
from draftstore_common.contracts.drafts import ConfirmOptions, Receipt
from draftstore_common.contracts.metadata import DraftRecord
from draftstore_common.contracts.storage import CopyAnswer, CopyRequest, DigestRequest, ObjectRef, StoredObject
from draftstore_common.kit.context import set_timeout
from draftstore_common.kit.errors import Problem, RelayedProblem, chain
from draftstore_drafts.content import Content
from draftstore_drafts.domain import judge, published_headers, published_type
from draftstore_drafts.errors import DraftChanged, DraftNotUploaded

log = logging.getLogger(__name__)

STEP_TIMEOUT = 30.0
"""Seconds one step of an attempt may take, but for the copy."""

BYTES_PER_SECOND = 5 * 1024**2
"""The slowest copy or read that is still waited for; the lease is renewed meanwhile."""

GIVE_BACK_TIMEOUT = 3.0
"""Seconds for giving a claim back: if that fails, its lease lapses."""


@dataclass(frozen=True, slots=True)
class Tools:
    """What every attempt works with. `lease_ttl` and `url_grace` are seconds."""

    metadata: MetadataClient
    storage: StorageClient
    content: Content
    lease_ttl: int
    url_grace: int


class Attempt:
    """One claim carried through. Every way out but publishing gives the claim back."""

    def __init__(self, tools: Tools, draft: DraftRecord, options: ConfirmOptions, actor: str) -> None:
        self._tools = tools
        self._draft = draft
        self._options = options
        self._actor = actor
        self._stored: StoredObject | None = None

    async def run(self) -> Receipt:
        """The receipt, once the object is visible and the draft's bytes are gone."""
        try:
            async with self._renewed_lease():
                receipt = await self._publish()
        except BaseException as error:
            await self._give_back(error)
            raise
        log.info("confirmed", extra={"draft_id": self._draft.id, "location": receipt.final_location})
        await self._tools.content.remove(self._draft)
        return receipt

    async def _publish(self) -> Receipt:
        set_timeout(STEP_TIMEOUT)
        stored = self._stored = await self._look()
        judge(self._draft, stored, self._options.etag)
        key = await self._reserve(stored)
        copied = await self._copy(stored, key)
        return await self._commit(stored, copied, key)

    async def _look(self) -> StoredObject:
        """What the store says of the bytes. Where a SHA-256 was declared and the store kept none, they are read."""
        stored = await self._tools.content.of(self._draft)
        if stored is None:
            raise DraftNotUploaded
        if self._draft.declared_checksum_sha256 is None or stored.checksum_sha256 is not None:
            return stored
        request = DigestRequest(object=self._source, if_match=stored.etag)
        with _for_all_bytes(stored):
            digest = await self._tools.storage.digest(request)
        return stored.model_copy(update={"checksum_sha256": digest.checksum_sha256})

    async def _reserve(self, stored: StoredObject) -> str:
        request = wire.ReserveKey(
            **self._claim(), etag=stored.etag, size=stored.size, on_conflict=self._options.on_conflict
        )
        return (await self._tools.metadata.reserve_key(request)).storage_key

    async def _copy(self, stored: StoredObject, key: str) -> CopyAnswer:
        request = CopyRequest(
            source=self._source,
            target=ObjectRef(role="main", key=key),
            if_match=stored.etag,
            size=stored.size,
            headers=published_headers(self._draft),
        )
        with _for_all_bytes(stored):
            return await self._tools.storage.copy(request)

    async def _commit(self, stored: StoredObject, copied: CopyAnswer, key: str) -> Receipt:
        store = await self._tools.content.store()
        return await self._tools.metadata.publish(
            wire.Publish(
                **self._claim(),
                actor=self._actor,
                storage_key=key,
                main_bucket=store.main_bucket,
                store_id=store.store_id,
                on_conflict=self._options.on_conflict,
                size=stored.size,
                etag=copied.etag,
                content_type=published_type(self._draft),
                checksum_sha256=stored.checksum_sha256,
                url_grace=self._tools.url_grace,
            )
        )

    @asynccontextmanager
    async def _renewed_lease(self) -> AsyncIterator[None]:
        renewal = asyncio.create_task(self._keep_renewing())
        try:
            yield
        finally:
            renewal.cancel()

    async def _keep_renewing(self) -> None:
        request = wire.RenewClaim(**self._claim(), lease_ttl=self._tools.lease_ttl)
        while True:
            await asyncio.sleep(self._tools.lease_ttl / 3)
            set_timeout(STEP_TIMEOUT)
            try:
                await self._tools.metadata.renew_claim(request)
            except Exception as error:  # a lost lease is found by publish; whatever else it was may be over next time
                log.warning("lease not renewed", extra={"draft_id": self._draft.id, "causes": chain(error)})

    async def _give_back(self, error: BaseException) -> None:
        reason = error.code if isinstance(error, Problem) else type(error).__name__
        log.warning("not confirmed", extra={"draft_id": self._draft.id, "reason": reason})
        stored = self._stored
        request = wire.ReleaseClaim(
            **self._claim(),
            actor=self._actor,
            reason=reason,
            outage=not isinstance(error, Problem) or error.http_status >= 500,
            size=None if stored is None else stored.size,
            etag=None if stored is None else stored.etag,
        )
        set_timeout(GIVE_BACK_TIMEOUT)
        with suppress(Problem):  # else the lease lapses and the draft is recovered
            await self._tools.metadata.release_claim(request)

    @property
    def _source(self) -> ObjectRef:
        return ObjectRef(role="draft", key=self._draft.storage_key)

    def _claim(self) -> dict[str, Any]:
        return {"tenant_id": self._draft.tenant_id, "draft_id": self._draft.id, "fence": self._draft.fence}


@contextmanager
def _for_all_bytes(stored: StoredObject) -> Iterator[None]:
    """Time for a step that moves every byte; bytes that are not the judged ones any more are `DraftChanged`."""
    set_timeout(STEP_TIMEOUT + stored.size / BYTES_PER_SECOND)
    try:
        yield
    except RelayedProblem as problem:
        if problem.code in {"precondition_failed", "object_not_found"}:
            raise DraftChanged from problem
        raise
    finally:
        set_timeout(STEP_TIMEOUT)
