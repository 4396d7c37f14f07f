"""The cleaner's commands: one run, a run every interval, a recovery, only a look, or a reconcile."""

import asyncio
import json
import logging
import sys
from collections.abc import Mapping
from dataclasses import asdict

from draftstore_cleaner.reconcile.run import Reconciler
from draftstore_cleaner.service import Cleaner
from draftstore_common.kit.errors import chain

log = logging.getLogger(__name__)

FAILED = 1
BYTES_LOST = 3
"""Exit statuses. The second: reconcile found bytes that are missing, or not those that were confirmed."""


def say(line: Mapping[str, object]) -> None:
    """One JSON object as a line of standard output, at once."""
    sys.stdout.write(f"{json.dumps(line)}\n")
    sys.stdout.flush()


async def dry_run(cleaner: Cleaner) -> dict[str, object]:
    """What a run would do now, as counts; deletes nothing."""
    return (await cleaner.plan()).model_dump(mode="json")


async def once(cleaner: Cleaner) -> dict[str, object]:
    """Run until nothing is due; the counts of the run."""
    report = await cleaner.run()
    return {"message": report.line(), **asdict(report)}


async def recover(cleaner: Cleaner) -> dict[str, object]:
    """Give back what dead attempts hold, without touching bytes; the counts."""
    return (await cleaner.recover()).model_dump()


async def loop(cleaner: Cleaner, interval: float) -> None:
    """Run now and then every `interval` seconds, for ever. A run that fails is logged; the next one tries again."""
    while True:
        try:
            await cleaner.run()
        except Exception as error:  # whatever it was, the next run is the remedy
            log.exception("cleaning failed", extra={"causes": chain(error)})
        await asyncio.sleep(interval)


async def reconcile(reconciler: Reconciler) -> int:
    """Say every finding and, at the end, the summary; the exit status."""
    summary = await reconciler.run(lambda finding: say(finding.line()))
    say(summary.line())
    return BYTES_LOST if summary.alarming else 0
