"""The lease of an attempt, renewed while it works."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from draftstore_common.clients.metadata import MetadataClient
from draftstore_common.contracts.confirm import RenewClaims
from draftstore_common.kit.context import set_timeout
from draftstore_common.kit.errors import chain

log = logging.getLogger(__name__)


@contextmanager
def renewed(metadata: MetadataClient, claims: Callable[[], RenewClaims], *, lease_ttl: float) -> Iterator[None]:
    """Prolong the claims every third of their lease until the block ends. One renewal that fails does not cost it."""
    renewals: list[asyncio.Task[None]] = []

    def begin() -> None:
        renewals.append(asyncio.create_task(_keep_renewing(metadata, claims(), lease_ttl / 3), name="lease"))

    # A timer until then: most attempts end long before, and need no task for it.
    alarm = asyncio.get_running_loop().call_later(lease_ttl / 3, begin)
    try:
        yield
    finally:
        alarm.cancel()
        for renewal in renewals:
            renewal.cancel()


async def _keep_renewing(metadata: MetadataClient, claims: RenewClaims, third: float) -> None:
    while True:
        set_timeout(third)  # an answer that is lost on the way leaves the last third for another try
        try:
            await metadata.renew(claims)
            pause = third
        except Exception as error:  # a lost lease is found by publish; whatever else it was may be over next time
            log.warning("lease not renewed", extra={"causes": chain(error)})
            pause = third / 4
        await asyncio.sleep(pause)
