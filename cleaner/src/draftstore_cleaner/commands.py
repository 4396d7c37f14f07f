"""The cleaner's commands: one run, a run every interval, a recovery, or only a look."""

import asyncio
import logging
from dataclasses import asdict

from draftstore_cleaner.service import Cleaner
from draftstore_common.kit.errors import chain

log = logging.getLogger(__name__)

FAILED = 1


async def dry_run(cleaner: Cleaner) -> dict[str, object]:
    """What a run would do now, as counts; deletes nothing."""
    return (await cleaner.plan()).model_dump(mode="json")


async def once(cleaner: Cleaner) -> dict[str, object]:
    """Run until nothing is due; the counts of the run."""
    report = await cleaner.run()
    return {"message": report.line(), **asdict(report)}


async def recover(cleaner: Cleaner) -> dict[str, object]:
    """Give back what dead attempts hold, without touching bytes; the counts."""
    return asdict(await cleaner.recover())


async def loop(cleaner: Cleaner, interval: float) -> None:
    """Run now and then every `interval` seconds, for ever. A run that fails is logged; the next one tries again."""
    while True:
        try:
            await cleaner.run()
        except Exception as error:  # whatever it was, the next run is the remedy
            log.exception("cleaning failed", extra={"causes": chain(error)})
        await asyncio.sleep(interval)
