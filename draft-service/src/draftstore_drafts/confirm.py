"""Confirm: claim, judge, reserve a key, copy, publish, purge.

What happens if it dies here:
  after claim     the lease lapses; any instance gives the draft back to `uploaded`
  after reserve   the key is on record for exactly these bytes; the next attempt of the same bytes uses it,
                  any other makes it garbage
  after copy      the same: nobody can see the key until a row names it
  after publish   the receipt is fixed; draft bytes are removed at the write horizon, and every repeat
                  answers the same receipt
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from uuid import UUID

from draftstore_common.clients.metadata import MetadataClient
from draftstore_common.clients.storage import StorageClient
from draftstore_common.contracts import metadata as wire
from draftstore_common.contracts.drafts import ConfirmOptions, ConfirmPending, Receipt
from draftstore_common.contracts.metadata import DraftRecord
from draftstore_common.contracts.storage import CopyAnswer, CopyRequest, ObjectRef, StoredObject
from draftstore_common.kit.context import remaining, set_timeout
from draftstore_common.kit.errors import Problem, RelayedProblem
from draftstore_drafts.content import Content
from draftstore_drafts.domain import judge, published_headers, published_type
from draftstore_drafts.errors import DraftChanged, DraftNotUploaded

log = logging.getLogger(__name__)

STEP_TIMEOUT = 30.0
"""Seconds one step of an attempt may take, but for the copy."""

COPY_BYTES_PER_SECOND = 5 * 1024**2
"""The slowest copy that is still waited for; the lease is renewed meanwhile."""

ANSWER_MARGIN = 2.0
"""Seconds kept back from the caller's deadline, so that an answer still reaches it."""

POLL_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class ConfirmSettings:
    """Durations of the protocol, in seconds."""

    lease_ttl: int
    busy_wait: float
    url_grace: int


class Confirmer:
    """Publishes drafts, each exactly once.

    An attempt is a task of its own: a caller that leaves ends its wait, not the work.
    """

    def __init__(
        self, metadata: MetadataClient, storage: StorageClient, content: Content, settings: ConfirmSettings
    ) -> None:
        self._metadata = metadata
        self._storage = storage
        self._content = content
        self._settings = settings
        self._attempts: dict[UUID, asyncio.Task[Receipt]] = {}

    async def confirm(self, ref: wire.DraftRef, options: ConfirmOptions, actor: str) -> Receipt | ConfirmPending:
        """The receipt; or word that an attempt is still at work, after the caller waited its time."""
        deadline = asyncio.get_running_loop().time() + self._settings.busy_wait
        while True:
            claim = await self._claim(ref, options, actor)
            if claim.outcome == "claimed":
                return await self._answer(self._start(claim.draft, options, actor), ref)
            if claim.receipt is not None:
                return _repeat(claim.draft, claim.receipt, options)
            if asyncio.get_running_loop().time() >= deadline:
                return ConfirmPending(draft_id=ref.draft_id)
            await self._wait_for_other(ref.draft_id)

    async def drain(self) -> None:
        """Wait for every attempt under way; called when the service stops taking requests."""
        await asyncio.gather(*self._attempts.values(), return_exceptions=True)

    async def _claim(self, ref: wire.DraftRef, options: ConfirmOptions, actor: str) -> wire.ConfirmClaim:
        return await self._metadata.claim_confirm(
            wire.ClaimConfirm(
                tenant_id=ref.tenant_id,
                draft_id=ref.draft_id,
                actor=actor,
                subject=options.subject,
                lease_ttl=self._settings.lease_ttl,
            )
        )

    async def _wait_for_other(self, draft_id: UUID) -> None:
        attempt = self._attempts.get(draft_id)
        if attempt is None:
            await asyncio.sleep(POLL_SECONDS)  # it runs in another process: its row is all we can look at
        else:
            await asyncio.wait([attempt], timeout=self._settings.busy_wait)

    def _start(self, draft: DraftRecord, options: ConfirmOptions, actor: str) -> asyncio.Task[Receipt]:
        attempt = _Attempt(self._metadata, self._storage, self._content, self._settings, draft, options, actor)
        task = asyncio.create_task(attempt.run(), name=f"confirm {draft.id}")
        self._attempts[draft.id] = task
        task.add_done_callback(lambda done: self._finished(draft.id, done))
        return task

    def _finished(self, draft_id: UUID, task: asyncio.Task[Receipt]) -> None:
        if self._attempts.get(draft_id) is task:
            del self._attempts[draft_id]
        if not task.cancelled():
            task.exception()  # retrieved here too: the caller may have left

    async def _answer(self, task: asyncio.Task[Receipt], ref: wire.DraftRef) -> Receipt | ConfirmPending:
        done, _ = await asyncio.wait([task], timeout=max(0.0, remaining() - ANSWER_MARGIN))
        return task.result() if done else ConfirmPending(draft_id=ref.draft_id)


def _repeat(draft: DraftRecord, receipt: Receipt, options: ConfirmOptions) -> Receipt:
    if options.etag is not None and options.etag.strip('"') not in {draft.etag, receipt.etag}:
        raise DraftChanged
    return receipt


class _Attempt:
    """One claim carried through. Every way out but publishing gives the claim back."""

    def __init__(
        self,
        metadata: MetadataClient,
        storage: StorageClient,
        content: Content,
        settings: ConfirmSettings,
        draft: DraftRecord,
        options: ConfirmOptions,
        actor: str,
    ) -> None:
        self._metadata = metadata
        self._storage = storage
        self._content = content
        self._settings = settings
        self._draft = draft
        self._options = options
        self._actor = actor
        self._stored: StoredObject | None = None

    async def run(self) -> Receipt:
        try:
            receipt = await self._publish()
        except BaseException as error:
            await self._give_back(error)
            raise
        log.info("confirmed", extra={"draft_id": self._draft.id, "location": receipt.final_location})
        set_timeout(STEP_TIMEOUT)
        await self._content.remove(self._draft)
        return receipt

    async def _publish(self) -> Receipt:
        set_timeout(STEP_TIMEOUT)
        stored = self._stored = await self._content.of(self._draft)
        if stored is None:
            raise DraftNotUploaded
        judge(self._draft, stored, self._options.etag)
        key = await self._reserve(stored)
        async with self._renewed_lease():
            copied = await self._copy(stored, key)
        set_timeout(STEP_TIMEOUT)
        return await self._commit(stored, copied, key)

    async def _reserve(self, stored: StoredObject) -> str:
        request = wire.ReserveKey(
            **self._claim(), etag=stored.etag, size=stored.size, on_conflict=self._options.on_conflict
        )
        return (await self._metadata.reserve_key(request)).storage_key

    async def _copy(self, stored: StoredObject, key: str) -> CopyAnswer:
        set_timeout(STEP_TIMEOUT + stored.size / COPY_BYTES_PER_SECOND)
        try:
            return await self._storage.copy(
                CopyRequest(
                    source=ObjectRef(role="draft", key=self._draft.storage_key),
                    target=ObjectRef(role="main", key=key),
                    if_match=stored.etag,
                    size=stored.size,
                    headers=published_headers(self._draft),
                )
            )
        except RelayedProblem as problem:
            if problem.code in {"precondition_failed", "object_not_found"}:
                raise DraftChanged from problem
            raise

    async def _commit(self, stored: StoredObject, copied: CopyAnswer, key: str) -> Receipt:
        store = await self._storage.info()
        return await self._metadata.publish(
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
                checksum_sha256=stored.checksum_sha256 or self._draft.declared_checksum_sha256,
                url_grace=self._settings.url_grace,
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
        while True:
            await asyncio.sleep(self._settings.lease_ttl / 3)
            with suppress(Problem):  # a lost lease is found by publish; an absent service may be back next time
                set_timeout(STEP_TIMEOUT)
                await self._metadata.renew_claim(wire.RenewClaim(**self._claim(), lease_ttl=self._settings.lease_ttl))

    async def _give_back(self, error: BaseException) -> None:
        reason = error.code if isinstance(error, Problem) else type(error).__name__
        log.warning("confirm refused", extra={"draft_id": self._draft.id, "reason": reason})
        stored = self._stored
        request = wire.ReleaseClaim(
            **self._claim(),
            actor=self._actor,
            reason=reason,
            size=None if stored is None else stored.size,
            etag=None if stored is None else stored.etag,
        )
        with suppress(Problem):  # else the lease lapses and the draft is recovered
            set_timeout(STEP_TIMEOUT)
            await self._metadata.release_claim(request)

    def _claim(self) -> dict[str, object]:
        return {"tenant_id": self._draft.tenant_id, "draft_id": self._draft.id, "fence": self._draft.fence}
