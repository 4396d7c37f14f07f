"""A live attempt keeps its lease."""

import asyncio
from typing import Any, cast
from uuid import uuid4

from draftstore_common.clients.metadata import MetadataClient
from draftstore_common.clients.transport import ServiceUnavailable
from draftstore_common.contracts.confirm import Claim, RenewClaims
from draftstore_common.kit.context import remaining
from draftstore_drafts.lease import renewed

LEASE = 4


class LosesTheFirstAnswer:
    """A metadata-service behind a line that swallows one answer."""

    def __init__(self) -> None:
        self.asked = 0
        self.answered = asyncio.Event()

    async def renew(self, _: RenewClaims) -> None:
        self.asked += 1
        if self.asked == 1:
            await asyncio.sleep(remaining())
            raise ServiceUnavailable
        self.answered.set()


async def test_a_renewal_whose_answer_is_lost_is_tried_again_before_the_lease_is_over() -> None:
    metadata: Any = LosesTheFirstAnswer()
    claims = RenewClaims(tenant_id=uuid4(), claims=[Claim(draft_id=uuid4(), fence=1)], lease_ttl=LEASE)
    with renewed(cast("MetadataClient", metadata), lambda: claims, lease_ttl=LEASE):
        await asyncio.wait_for(metadata.answered.wait(), LEASE)
