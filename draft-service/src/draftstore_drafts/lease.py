"""The lease of an attempt, renewed while it works."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from draftstore_common.clients.metadata import MetadataClient
from draftstore_common.contracts.confirm import RenewClaims
from draftstore_common.kit.context import set_timeout
from draftstore_common.kit.errors import chain

log = logging.getLogger(__name__)


@asynccontextmanager
async def renewed(metadata: MetadataClient, claims: RenewClaims) -> AsyncIterator[None]:
    """Prolong the claims every third of their lease until the block ends. One renewal that fails does not cost it."""
    renewal = asyncio.create_task(_keep_renewing(metadata, claims), name="lease")
    try:
        yield
    finally:
        renewal.cancel()


async def _keep_renewing(metadata: MetadataClient, claims: RenewClaims) -> None:
    third = claims.lease_ttl / 3
    pause = third
    while True:
        await asyncio.sleep(pause)
        set_timeout(third)  # an answer that is lost on the way leaves the last third for another try
        try:
            await metadata.renew(claims)
            pause = third
        except Exception as error:  # a lost lease is found by publish; whatever else it was may be over next time
            log.warning("lease not renewed", extra={"causes": chain(error)})
            pause = third / 4
