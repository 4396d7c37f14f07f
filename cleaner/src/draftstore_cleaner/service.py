"""One cleaning run: take what is due in leased batches, delete its bytes, report what is gone.

It asks metadata-service what is due and never lists a bucket, so a run costs what has expired. A run that dies
anywhere loses nothing: leases lapse, deletes are repeatable, and only bytes that are gone are reported gone.
"""

import asyncio
import logging
import math
from collections.abc import Iterable
from dataclasses import dataclass

from draftstore_cleaner.clocks import refuse_skew
from draftstore_common.clients.metadata import MetadataClient
from draftstore_common.clients.storage import StorageClient
from draftstore_common.contracts.base import BucketRole
from draftstore_common.contracts.metadata import (
    ClaimDue,
    DueBatch,
    DueItem,
    DuePlan,
    PurgedItem,
    ReportPurged,
    Tended,
)
from draftstore_common.contracts.storage import DeleteRequest, MultipartRef
from draftstore_common.kit.context import set_timeout
from draftstore_common.kit.errors import Problem, chain

log = logging.getLogger(__name__)

SMALLEST_BATCH, LARGEST_BATCH = 100, 500
"""Keys per batch; between these, a share of what is due for each that goes side by side."""

LEASE_TTL = 300
"""Seconds nobody else gets a batch, and the longest it is worked on; a dead cleaner's comes back after it."""

BATCHES_AT_ONCE = 4
"""While batches are deleted, the next is taken and the last reported. SeaweedFS deletes 1.5 times as much in several
calls at once as in one after the other; many small batches took longer than few large ones (docs/decisions.md)."""

ABORTS_AT_ONCE = 16
"""S3 has no call that aborts several uploads."""


@dataclass(frozen=True, slots=True)
class Brakes:
    """What stops a run: a ceiling of deletions, and clocks that disagree by more than so many seconds."""

    max_items: int
    max_clock_skew: int


@dataclass(slots=True)
class Report:
    """What a run did. `objects` and `bytes` count removals; `again` counts second removals after a horizon."""

    objects: int = 0
    bytes: int = 0
    again: int = 0
    expired: int = 0
    recovered: int = 0
    failed: int = 0
    stopped_at_ceiling: bool = False

    def line(self) -> str:
        """The run in one line."""
        return f"Cleaned up {self.objects} expired objects ({self.bytes} bytes)"


class Cleaner:
    """Runs cleaning. Several at once share the work."""

    def __init__(self, metadata: MetadataClient, storage: StorageClient, brakes: Brakes) -> None:
        self._metadata = metadata
        self._storage = storage
        self._brakes = brakes

    async def plan(self) -> DuePlan:
        """What a run would do now; raises `ClockSkewError` if it would refuse. Changes nothing."""
        plan, store = await asyncio.gather(self._metadata.plan_due(), self._storage.now())
        refuse_skew(plan.now, store.now, limit=self._brakes.max_clock_skew)
        return plan

    async def recover(self) -> Tended:
        """Give back what dead attempts hold, and let time pass for drafts; no bytes are touched."""
        return await self._metadata.tend_all()

    async def run(self) -> Report:
        """Say what is due, then delete it, up to the ceiling."""
        plan = await self.plan()
        log.info("due", extra={"plan": plan.model_dump(mode="json", exclude={"now"})})
        tended = await self.recover()
        report = Report(expired=tended.expired, recovered=tended.recovered)
        try:
            await self._batches(report, _batch_size(plan))
        except ExceptionGroup as failures:  # what else is under way ends with the first; its leases lapse
            first = failures.exceptions[0]
            raise first from first.__cause__
        log.info(report.line(), extra={"expired": report.expired, "again": report.again, "failed": report.failed})
        return report

    async def _batches(self, report: Report, size: int) -> None:
        """Take batches until nothing is due or the ceiling is reached; `BATCHES_AT_ONCE` are under way."""
        slots = asyncio.Semaphore(BATCHES_AT_ONCE)
        left = self._brakes.max_items
        async with asyncio.TaskGroup() as group:
            while left > 0:
                await slots.acquire()
                batch = await self._metadata.claim_due(ClaimDue(limit=min(size, left), lease_ttl=LEASE_TTL))
                if not batch.items:
                    return
                left -= len(batch.items)
                group.create_task(self._finish(batch, report)).add_done_callback(lambda _: slots.release())
        report.stopped_at_ceiling = True

    async def _finish(self, batch: DueBatch, report: Report) -> None:
        """Remove the bytes of a batch and say which are gone, within its lease."""
        set_timeout(LEASE_TTL)
        gone = await self._purge(batch)
        if gone:
            purged = [PurgedItem(kind=item.kind, id=item.id, final=item.final) for item in gone]
            await self._metadata.report_purged(ReportPurged(items=purged))
        _count(report, batch, gone)

    async def _purge(self, batch: DueBatch) -> list[DueItem]:
        """Remove the bytes of a batch; the items whose bytes are certainly gone."""
        failed = await self._stuck(batch.items)
        roles: tuple[BucketRole, ...] = ("draft", "main")
        kept = await asyncio.gather(*(self._delete(role, batch.items) for role in roles))
        failed |= {(role, key) for role, keys in zip(roles, kept, strict=True) for key in keys}
        return [item for item in batch.items if (item.role, item.storage_key) not in failed]

    async def _stuck(self, items: Iterable[DueItem]) -> set[tuple[BucketRole, str]]:
        """Abort the multipart uploads; where those lie that resist."""
        slots = asyncio.Semaphore(ABORTS_AT_ONCE)

        async def abort(upload: MultipartRef) -> bool:
            async with slots:
                return await self._aborted(upload)

        uploads = [MultipartRef(key=item.storage_key, upload_id=item.upload_id) for item in items if item.upload_id]
        aborted = await asyncio.gather(*map(abort, uploads))
        return {("draft", upload.key) for upload, done in zip(uploads, aborted, strict=True) if not done}

    async def _aborted(self, upload: MultipartRef) -> bool:
        """Whether nothing of a multipart upload is left; one that resists does not hold up the others."""
        try:
            await self._storage.abort_multipart(upload)
        except Problem as problem:
            log.error("not aborted", extra={"key": upload.key, "causes": chain(problem)})  # noqa: TRY400
            return False
        return True

    async def _delete(self, role: BucketRole, items: Iterable[DueItem]) -> list[str]:
        """Delete the items of one bucket; the keys the store would not delete."""
        keys = [item.storage_key for item in items if item.role == role]
        if not keys:
            return []
        answer = await self._storage.delete(DeleteRequest(role=role, keys=keys))
        for failure in answer.failures:
            log.error("not deleted", extra={"role": role, "key": failure.key, "reason": failure.reason})
        return [failure.key for failure in answer.failures]


def _batch_size(plan: DuePlan) -> int:
    due = plan.expired_drafts + plan.leftovers + plan.object_keys
    return min(max(SMALLEST_BATCH, math.ceil(due / BATCHES_AT_ONCE)), LARGEST_BATCH)


def _count(report: Report, batch: DueBatch, gone: list[DueItem]) -> None:
    first = [item for item in gone if _is_first(item)]
    report.objects += len(first)
    report.bytes += sum(item.size or 0 for item in first)
    report.again += len(gone) - len(first)
    report.failed += len(batch.items) - len(gone)


def _is_first(item: DueItem) -> bool:
    """Whether this removal is the one that frees the bytes, not the repeat after a horizon."""
    return item.state == "purging" if item.kind == "draft" else not item.final
