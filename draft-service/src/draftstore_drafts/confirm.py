"""Confirm as callers see it: one attempt for all who ask for the same, and a wait that ends in time."""

import asyncio
from uuid import UUID

from draftstore_common.contracts import metadata as wire
from draftstore_common.contracts.drafts import ConfirmOptions, ConfirmPending, Receipt
from draftstore_common.contracts.metadata import ConfirmClaim
from draftstore_common.kit.context import remaining, set_timeout
from draftstore_drafts.attempt import STEP_TIMEOUT, Attempt, Tools
from draftstore_drafts.domain import check_same_bytes

ANSWER_MARGIN = 2.0
"""Seconds kept back from the caller's deadline, so that an answer still reaches it."""

POLL_SECONDS = 0.25

_Outcome = Receipt | ConfirmPending
_Key = tuple[UUID, UUID, ConfirmOptions]


class Confirmer:
    """Publishes drafts, each exactly once.

    The work is a task of its own, from the claim on: a caller that leaves ends its wait, not the work. All who
    ask for the same thing in this process share one task and its outcome. `busy_wait` (seconds) is how long it
    waits for an attempt in another process.
    """

    def __init__(self, tools: Tools, *, busy_wait: float) -> None:
        self._tools = tools
        self._busy_wait = busy_wait
        self._tasks: dict[_Key, asyncio.Task[_Outcome]] = {}

    async def confirm(self, ref: wire.DraftRef, options: ConfirmOptions, actor: str) -> _Outcome:
        """The receipt; or word that an attempt is still at work, after the caller waited its time."""
        task = self._shared_task(ref, options, actor)
        done, _ = await asyncio.wait([task], timeout=max(0.0, remaining() - ANSWER_MARGIN))
        return task.result() if done else ConfirmPending(draft_id=ref.draft_id)

    async def drain(self, seconds: float) -> None:
        """Let the work under way end, for so long; then cancel it, which gives its claims back."""
        tasks = list(self._tasks.values())
        if tasks:
            await asyncio.wait(tasks, timeout=seconds)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _shared_task(self, ref: wire.DraftRef, options: ConfirmOptions, actor: str) -> asyncio.Task[_Outcome]:
        key = (ref.tenant_id, ref.draft_id, options)
        if key not in self._tasks:
            task = asyncio.create_task(self._settle(ref, options, actor), name=f"confirm {ref.draft_id}")
            task.add_done_callback(lambda done: self._finished(key, done))
            self._tasks[key] = task
        return self._tasks[key]

    def _finished(self, key: _Key, task: asyncio.Task[_Outcome]) -> None:
        del self._tasks[key]
        if not task.cancelled():
            task.exception()  # looked at, even if everybody who waited has left

    async def _settle(self, ref: wire.DraftRef, options: ConfirmOptions, actor: str) -> _Outcome:
        clock = asyncio.get_running_loop()
        deadline = clock.time() + self._busy_wait
        while True:
            claim = await self._claim(ref, options, actor)
            if claim.outcome == "claimed":
                return await Attempt(self._tools, claim.draft, options, actor).run()
            if claim.receipt is not None:
                check_same_bytes(options.etag, claim.draft.etag, claim.receipt.etag)
                return claim.receipt
            if clock.time() >= deadline:
                return ConfirmPending(draft_id=ref.draft_id)
            await asyncio.sleep(POLL_SECONDS)  # the attempt runs elsewhere: its row is all we can look at

    async def _claim(self, ref: wire.DraftRef, options: ConfirmOptions, actor: str) -> ConfirmClaim:
        set_timeout(STEP_TIMEOUT)
        request = wire.ClaimConfirm(
            tenant_id=ref.tenant_id,
            draft_id=ref.draft_id,
            actor=actor,
            subject=options.subject,
            lease_ttl=self._tools.lease_ttl,
        )
        return await self._tools.metadata.claim_confirm(request)
