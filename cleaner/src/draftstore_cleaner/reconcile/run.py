"""One run of reconcile: four passes within a budget, each from where the run before it stopped."""

import asyncio
import logging
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import get_args

from draftstore_cleaner.clocks import refuse_skew
from draftstore_cleaner.reconcile.findings import ALARMING, Finding, Summary, Tell
from draftstore_cleaner.reconcile.judging import Rules
from draftstore_cleaner.reconcile.keys import KeyPass
from draftstore_cleaner.reconcile.looking import Pass, View
from draftstore_cleaner.reconcile.rows import RowPass
from draftstore_common.clients.reconcile import ReconcileClient
from draftstore_common.clients.storage import StorageClient
from draftstore_common.contracts.reconcile import MoveCursor, PassName, ReconcileCursor, ReconcileCursors

log = logging.getLogger(__name__)

PAGE = 1000
"""Keys per page: what one listing of S3 gives."""

PASSES: tuple[PassName, ...] = get_args(PassName)


@dataclass(frozen=True, slots=True)
class Options:
    """What a run may do and spend. `dry_run`: look from where a run would begin, delete nothing, move no cursor."""

    max_keys: int
    max_seconds: float
    min_age: int
    max_clock_skew: int
    dry_run: bool = False
    restart: bool = False
    delete_unattributed_drafts: bool = False


class Reconciler:
    """Runs reconciling. Of two at once, the one that finds a cursor moved stops."""

    def __init__(self, rows: ReconcileClient, storage: StorageClient, options: Options) -> None:
        self._rows = rows
        self._storage = storage
        self._options = options

    async def run(self, tell: Tell) -> Summary:
        """Look at keys until the round is complete or the budget is spent. `tell` gets each finding once settled."""
        summary = Summary(self._options.dry_run)

        def note(finding: Finding) -> None:
            summary.count(finding)
            if finding.finding in ALARMING:
                log.error(finding.reason, extra=finding.line())
            tell(finding)

        told, store = await asyncio.gather(self._rows.cursors(), self._storage.now())
        refuse_skew(told.now, store.now, limit=self._options.max_clock_skew)
        rules = Rules(store.now, timedelta(seconds=self._options.min_age), self._options.delete_unattributed_drafts)
        view = View(self._rows, self._storage, rules, self._options.dry_run, note)
        await self._walk_all(view, await self._standing(told), summary)
        log.info("reconciled", extra={"keys": summary.keys, "completed": summary.completed})
        return summary

    async def _standing(self, told: ReconcileCursors) -> dict[PassName, ReconcileCursor]:
        """Where each pass begins: where it stopped, or anew when the last round is complete."""
        standing = {cursor.name: cursor for cursor in told.items}
        complete = all(cursor.finished for cursor in told.items)
        if standing.keys() == set(PASSES) and not complete and not self._options.restart:
            return standing
        if self._options.dry_run:
            return {name: ReconcileCursor(name=name, position="", finished=False) for name in PASSES}
        return {cursor.name: cursor for cursor in (await self._rows.begin_round()).items}

    async def _walk_all(self, view: View, standing: dict[PassName, ReconcileCursor], summary: Summary) -> None:
        deadline = time.monotonic() + self._options.max_seconds
        passes: list[Pass] = [
            KeyPass("draft", view),
            KeyPass("main", view),
            RowPass("main", view),
            RowPass("draft", view),
        ]
        for each in passes:
            cursor = await self._walk(each, standing[each.name], summary, deadline)
            summary.passes[each.name] = "finished" if cursor.finished else cursor.position
        summary.completed = all(place == "finished" for place in summary.passes.values())

    async def _walk(self, each: Pass, cursor: ReconcileCursor, summary: Summary, deadline: float) -> ReconcileCursor:
        """One pass, to its end or the budget's; where it stands then."""
        while not cursor.finished and time.monotonic() < deadline:
            limit = min(PAGE, self._options.max_keys - summary.keys)
            if limit <= 0:
                break
            step = await each.page(cursor.position, limit)
            summary.keys += step.keys
            if not self._options.dry_run:
                await self._rows.move_cursor(
                    MoveCursor(name=each.name, before=cursor.position, after=step.position, finished=step.finished)
                )
            cursor = ReconcileCursor(name=each.name, position=step.position, finished=step.finished)
        return cursor
