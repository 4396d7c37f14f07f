"""Confirm as callers see it: one attempt for all who ask for the same, and a wait that ends in time."""

import asyncio
from dataclasses import dataclass

from draftstore_common.contracts import confirm as wire
from draftstore_common.contracts.confirm import ConfirmationRecord
from draftstore_common.kit.context import remaining, set_timeout
from draftstore_drafts.attempt import STEP_TIMEOUT, Attempt, Tools
from draftstore_drafts.refusals import Refused
from draftstore_drafts.work import Outcome, Work

ANSWER_MARGIN = 2.0
"""Seconds kept back from the caller's deadline, so that an answer still reaches it."""

POLL_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class Pending:
    """The work is not done yet; here, or in another process. With a confirmation, callers can ask for its state."""

    confirmation: ConfirmationRecord | None


@dataclass(slots=True)
class _Run:
    """Work under way, and its confirmation once that is on record."""

    task: asyncio.Task[Outcome | Pending] | None = None
    confirmation: ConfirmationRecord | None = None


class Confirmer:
    """Publishes drafts, each exactly once.

    The work is a task of its own, from the claim on: a caller that leaves ends its wait, not the work. All who
    ask for the same thing in this process share one task and its outcome. `busy_wait` (seconds) is how long it
    waits for an attempt in another process.
    """

    def __init__(self, tools: Tools, *, busy_wait: float) -> None:
        self._tools = tools
        self._busy_wait = busy_wait
        self._runs: dict[Work, _Run] = {}

    async def confirm(self, work: Work) -> Outcome | Pending:
        """What came of the work; or word that it is still going on, after the caller waited its time.

        Raises `Refused` with every draft that cannot be confirmed: then none was.
        """
        run = self._shared_run(work)
        assert run.task is not None  # noqa: S101  set by `_shared_run`
        done, _ = await asyncio.wait([run.task], timeout=max(0.0, remaining() - ANSWER_MARGIN))
        return run.task.result() if done else Pending(run.confirmation)

    async def drain(self, seconds: float) -> None:
        """Let the work under way end, for so long; then cancel it, which gives its claims back."""
        tasks = [run.task for run in self._runs.values() if run.task is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=seconds)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _shared_run(self, work: Work) -> _Run:
        run = self._runs.get(work)
        if run is None:
            run = self._runs[work] = _Run()
            run.task = asyncio.create_task(self._settle(work, run), name=f"confirm {work.draft_ids[0]}")
            run.task.add_done_callback(lambda done: self._finished(work, done))
        return run

    def _finished(self, work: Work, task: asyncio.Task[Outcome | Pending]) -> None:
        del self._runs[work]
        if not task.cancelled():
            task.exception()  # looked at, even if everybody who waited has left

    async def _settle(self, work: Work, run: _Run) -> Outcome | Pending:
        clock = asyncio.get_running_loop()
        deadline = clock.time() + self._busy_wait
        while True:
            claim = await self._claim(work)
            if claim.outcome != "busy":
                run.confirmation = claim.confirmation
                return await self._go_on(work, claim)
            if clock.time() >= deadline:
                return Pending(None)
            await asyncio.sleep(POLL_SECONDS)  # the attempt runs elsewhere: its row is all we can look at

    async def _go_on(self, work: Work, claim: wire.ClaimAnswer) -> Outcome:
        if claim.outcome == "known":
            return Outcome(confirmation=claim.confirmation)
        if not claim.claimed:
            if claim.refused:
                raise Refused(claim.refused)
            return _repeated(claim)
        outcome = await Attempt(self._tools, work, claim).run()
        if work.mode == "prepare" or claim.confirmation is None:
            return outcome
        ref = wire.ConfirmationRef(tenant_id=work.tenant_id, confirmation_id=claim.confirmation.id)
        set_timeout(STEP_TIMEOUT)
        return Outcome(confirmation=await self._tools.metadata.get_confirmation(ref))

    async def _claim(self, work: Work) -> wire.ClaimAnswer:
        set_timeout(STEP_TIMEOUT)
        return await self._tools.metadata.claim(
            wire.ClaimDrafts(
                tenant_id=work.tenant_id,
                draft_ids=list(work.draft_ids),
                actor=work.actor,
                subject=work.subject,
                etags=work.previewed,
                lease_ttl=self._tools.lease_ttl,
                confirmation=work.new_confirmation(),
            )
        )


def _repeated(claim: wire.ClaimAnswer) -> Outcome:
    receipts = tuple(draft.receipt for draft in claim.confirmed if draft.receipt is not None)
    return Outcome(receipts=receipts, confirmation=claim.confirmation)
