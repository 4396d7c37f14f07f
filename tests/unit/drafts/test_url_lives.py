"""How long upload URLs live: as long as the row allows, and never longer than their draft."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from draftstore_common.contracts.metadata import DraftRecord
from draftstore_common.contracts.storage import PresignPut, SignedRequest
from draftstore_drafts.content import Content

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Signs:
    """A storage-service that keeps the lives it was asked for."""

    def __init__(self) -> None:
        self.lives: list[int] = []

    async def presign_puts(self, requests: list[PresignPut]) -> list[SignedRequest]:
        return [await self.presign_put(request) for request in requests]

    async def presign_put(self, request: PresignPut) -> SignedRequest:
        self.lives.append(request.expires_in)
        return SignedRequest(method="PUT", url="http://store/key", expires_at=NOW)


def draft(*, left: int, allowed: int) -> DraftRecord:
    return DraftRecord(
        id=UUID(int=1),
        tenant_id=UUID(int=2),
        bucket="main",
        object_name="a",
        storage_key="t/a",
        state="open",
        upload_type="put",
        fence=0,
        created_at=NOW,
        expires_at=NOW + timedelta(seconds=left),
        ttl_left=left,
        url_ttl=allowed,
    )


@pytest.mark.parametrize(
    ("left", "allowed", "waited", "life"),
    [
        (86_400, 3600, 0.0, 3600),
        (60, 60, 0.0, 59),  # a moment is over in any case
        (60, 60, 5.5, 54),
        (60, 30, 5.5, 30),
        (3, 3, 30.0, 1),  # S3 signs no shorter one
    ],
)
async def test_a_url_ends_with_its_draft_however_long_the_row_took(
    left: int, allowed: int, waited: float, life: int
) -> None:
    storage: Any = Signs()
    nobody: Any = None
    content = Content(nobody, storage, nobody, download_ttl=60)
    one = draft(left=left, allowed=allowed)
    asked_at = time.monotonic() - waited
    await content.sign_upload(one, asked_at)
    await content.sign_uploads([one], asked_at)
    assert storage.lives == [life, life]
