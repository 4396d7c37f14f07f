"""Bytes of drafts that are needed no more: removed together, and never a reason for a confirm to fail."""

import asyncio
import logging
from typing import Any

import pytest

from draftstore_common.clients.transport import ServiceUnavailable
from draftstore_common.contracts.storage import DeleteAnswer, DeleteFailure, DeleteRequest
from draftstore_drafts import content
from draftstore_drafts.content import Content

LEFT = "draft bytes left for the cleaner"


class Deletes:
    """A storage-service that keeps what it was asked to delete, and then does what `then` says."""

    def __init__(self, then: Exception | None = None, refused: tuple[str, ...] = ()) -> None:
        self.asked: list[list[str]] = []
        self._then = then
        self._refused = refused

    async def delete(self, request: DeleteRequest) -> DeleteAnswer:
        self.asked.append(sorted(request.keys))
        if self._then is not None:
            raise self._then
        refused = set(self._refused) & set(request.keys)
        return DeleteAnswer(failures=[DeleteFailure(key=key, reason="denied") for key in refused])


class NeverAnswers(Deletes):
    """A storage-service that has stopped."""

    async def delete(self, request: DeleteRequest) -> DeleteAnswer:
        self.asked.append(list(request.keys))
        await asyncio.Event().wait()
        raise AssertionError


def content_with(storage: Any) -> Content:
    nobody: Any = None
    return Content(nobody, storage, nobody, download_ttl=60)


def left(caplog: pytest.LogCaptureFixture) -> list[int]:
    """How many keys each line of the log says are left."""
    return [record.__dict__["keys"] for record in caplog.records if record.message == LEFT]


async def test_confirms_that_end_together_remove_their_bytes_in_one_request() -> None:
    storage = Deletes()
    removal = content_with(storage)
    await asyncio.gather(*(removal.remove(f"t/{number}") for number in range(5)))
    assert storage.asked == [[f"t/{number}" for number in range(5)]]


async def test_no_request_has_more_keys_than_a_store_deletes_in_good_time() -> None:
    storage = Deletes()
    removal = content_with(storage)
    await asyncio.gather(*(removal.remove(f"t/{number:04}") for number in range(2 * content.MOST_REMOVED + 1)))
    assert sorted(map(len, storage.asked)) == [1, content.MOST_REMOVED, content.MOST_REMOVED]


async def test_the_bytes_of_a_bundle_are_one_request_of_its_own() -> None:
    storage = Deletes()
    await content_with(storage).remove(*(f"t/{number}" for number in range(1000)))
    assert [len(keys) for keys in storage.asked] == [1000]


async def test_bytes_that_cannot_be_removed_are_left_to_the_cleaner(caplog: pytest.LogCaptureFixture) -> None:
    removal = content_with(Deletes(then=ServiceUnavailable()))
    with caplog.at_level(logging.WARNING):
        await asyncio.gather(removal.remove("t/1"), removal.remove("t/2"))
    assert left(caplog) == [1, 1]


async def test_a_key_the_store_refuses_to_delete_is_told_of(caplog: pytest.LogCaptureFixture) -> None:
    removal = content_with(Deletes(refused=("t/2",)))
    with caplog.at_level(logging.WARNING):
        await asyncio.gather(removal.remove("t/1"), removal.remove("t/2"))
    assert left(caplog) == [1]


async def test_nobody_waits_longer_for_a_removal_than_its_time(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(content, "REMOVE_TIMEOUT", 0.05)
    storage = NeverAnswers()
    removal = content_with(storage)
    with caplog.at_level(logging.WARNING):
        for number in range(content.REMOVALS + 1):  # the last does not even find a free lane
            await removal.remove(f"t/{number}")
    assert (len(storage.asked), left(caplog)) == (content.REMOVALS, [1] * (content.REMOVALS + 1))
