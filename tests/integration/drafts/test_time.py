"""How long a confirm may take: every step has its own time, however long the steps before it took."""

import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

import draftstore_common.kit.context
import draftstore_drafts.refusals
from draftstore_common.clients.storage import StorageClient
from integration.drafts.test_confirmations import BackEnd, confirm_all, uploads


class Clock:
    """The clock deadlines are read from, which calls to the store can be made to use up."""

    def __init__(self) -> None:
        self._used = 0.0

    def monotonic(self) -> float:
        return time.monotonic() + self._used

    def used_by(self, call: Callable[..., Awaitable[Any]], seconds: float) -> Callable[..., Awaitable[Any]]:
        async def slow(*arguments: Any) -> Any:
            answer = await call(*arguments)
            self._used += seconds
            return answer

        return slow


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(draftstore_common.kit.context, "time", made)
    monkeypatch.setattr(draftstore_drafts.refusals, "AT_ONCE", 1)
    return made


async def test_bytes_that_take_minutes_to_copy_are_published(
    back_end: BackEnd, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    draft = await back_end.upload(b"as if it were large", object_name="time/copy")
    monkeypatch.setattr(StorageClient, "copy", clock.used_by(StorageClient.copy, 300))
    receipt = await back_end.get("POST", f"/api/v1/drafts/{draft['id']}/confirm")
    assert receipt["object_name"] == "time/copy"


async def test_a_draft_of_a_bundle_does_not_pay_for_the_time_of_those_before_it(
    back_end: BackEnd, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = await uploads(back_end, "time/judge", 3)
    monkeypatch.setattr(StorageClient, "head", clock.used_by(StorageClient.head, 20))
    assert (await confirm_all(back_end, ids))["state"] == "confirmed"
