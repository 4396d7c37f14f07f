"""The background pass: whoever runs gives back what dead attempts held, and lets time pass for drafts."""

import asyncio
import logging
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from draftstore_common.clients.metadata import MetadataClient
from draftstore_common.kit.context import set_timeout
from draftstore_common.kit.errors import chain

log = logging.getLogger(__name__)

TIMEOUT = 30.0
"""Seconds one pass may take; what is left then is the next one's."""


@asynccontextmanager
async def tending(metadata: MetadataClient, interval: float) -> AsyncIterator[None]:
    """Tend drafts every `interval` seconds or so until the block ends. Several instances share the work."""
    task = asyncio.create_task(_keep_tending(metadata, interval), name="tending")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _keep_tending(metadata: MetadataClient, interval: float) -> None:
    while True:
        await asyncio.sleep(interval * random.uniform(0.5, 1.5))  # noqa: S311  so that instances spread out
        try:
            set_timeout(TIMEOUT)
            tended = await metadata.tend_all()
            if tended.recovered:
                log.warning("dead attempts given back", extra={"drafts": tended.recovered})
        except Exception as error:  # whatever it was, the next pass is the remedy
            log.warning("drafts not tended", extra={"causes": chain(error)})
