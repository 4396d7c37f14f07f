"""The feed of changes is followed whatever identity does, and nothing it told is missed."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from draftstore_common.clients.identity import IdentityClient
from draftstore_common.clients.transport import AsgiTransport
from draftstore_common.contracts.identity import Audience, Change
from draftstore_common.kit.ids import uuid7
from draftstore_gateway import feed
from draftstore_gateway.feed import ChangeFeed
from draftstore_gateway.verdict_cache import VerdictCache
from support.gateway import SmallIdentity
from support.small_feed import SmallFeed


class _AnyToken:
    async def token(self, audience: Audience) -> str:
        return audience

    def forget(self, audience: Audience, token: str) -> None:
        raise AssertionError(f"a good token for {audience} was refused: {token}")


class _Heard(VerdictCache):
    """Remembers what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.changes: list[int] = []
        self.restarts: list[int] = []
        self._told = asyncio.Event()

    def note(self, changes: Sequence[Change]) -> None:
        super().note(changes)
        self.changes += [change.sequence for change in changes]
        self._told.set()

    def restart(self, sequence: int) -> None:
        super().restart(sequence)
        self.restarts.append(sequence)

    async def told(self) -> None:
        """Return when it was told something since this was last asked."""
        await asyncio.wait_for(self._told.wait(), 10)
        self._told.clear()


@asynccontextmanager
async def _following(identity: SmallIdentity, cache: _Heard | None = None) -> AsyncIterator[tuple[SmallFeed, _Heard]]:
    cache = cache or _Heard()
    async with ChangeFeed(IdentityClient(AsgiTransport(identity.app), _AnyToken()), cache):
        yield identity.feed, cache


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "LONGEST_PAUSE", 0.01)


def _messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message.partition(",")[0] for record in caplog.records if "feed" in record.message]


LOST, BACK = "revocation feed lost", "revocation feed is back"


async def test_it_begins_where_identity_is_and_trusts_nothing_from_before() -> None:
    identity = SmallIdentity()
    await identity.feed.note(uuid7())
    async with _following(identity) as (_, heard):
        await heard.told()
    assert (heard.restarts, heard.changes) == ([1], [])


async def test_changes_are_told_as_they_happen_each_once() -> None:
    async with _following(SmallIdentity()) as (told, heard):
        await heard.told()
        for number in range(1, 4):
            await told.note(uuid7())
            while heard.changes != list(range(1, number + 1)):
                await heard.told()
    assert heard.restarts == [0]


async def test_what_changed_while_the_feed_was_away_is_told_afterwards(caplog: pytest.LogCaptureFixture) -> None:
    async with _following(SmallIdentity()) as (told, heard):
        await heard.told()
        await told.cut()
        for _ in range(3):
            await told.note(uuid7())
        polls = len(told.asked)
        while len(told.asked) < polls + 3:
            await asyncio.sleep(0.001)  # polls that fail tell nobody
        await told.restore()
        while heard.changes != [1, 2, 3]:
            await heard.told()
    assert heard.restarts == [0]
    assert _messages(caplog) == [LOST, BACK]


async def test_a_feed_that_is_away_from_the_start_is_found_when_it_comes(caplog: pytest.LogCaptureFixture) -> None:
    identity = SmallIdentity()
    await identity.feed.cut()
    async with _following(identity) as (told, heard):
        while len(told.asked) < 3:
            await asyncio.sleep(0.001)  # polls that fail tell nobody
        await told.restore()
        await heard.told()
    assert heard.restarts == [0]
    assert _messages(caplog) == [LOST, BACK]


async def test_where_changes_are_not_known_any_more_everything_is_asked_again() -> None:
    async with _following(SmallIdentity()) as (told, heard):
        await heard.told()
        await told.cut()
        await told.note(uuid7())
        await told.trim()
        await told.restore()
        while heard.restarts != [0, 1]:
            await heard.told()
        await told.note(uuid7())
        while heard.changes != [2]:
            await heard.told()


async def test_a_poll_on_a_dead_line_ends_by_its_own_deadline(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(feed, "WAIT", 0.05)
    monkeypatch.setattr(feed, "MARGIN", 0.05)
    identity = SmallIdentity()
    identity.feed.fall_silent()
    async with _following(identity) as (told, heard):
        while len(told.asked) < 2:
            await asyncio.sleep(0.001)  # polls that fail tell nobody
        await told.restore()
        await heard.told()
    assert _messages(caplog) == [LOST, BACK]


class _Upset(_Heard):
    """Cannot take the first thing it is told."""

    def restart(self, sequence: int) -> None:
        super().restart(sequence)
        if len(self.restarts) == 1:
            raise ValueError("not what was agreed")


async def test_whatever_goes_wrong_with_an_answer_the_next_is_asked_for(caplog: pytest.LogCaptureFixture) -> None:
    async with _following(SmallIdentity(), _Upset()) as (_, heard):
        await heard.told()
    assert heard.restarts == [0, 0]
    assert _messages(caplog) == [LOST, BACK]


async def test_nothing_of_it_is_left_when_the_gateway_ends(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    before = asyncio.all_tasks()
    async with _following(SmallIdentity()) as (_, heard):
        await heard.told()
    assert asyncio.all_tasks() == before
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
