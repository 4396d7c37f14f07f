"""Accesses on their way into the audit log: grouped, awaited where asked for, bounded, and never silently lost."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from draftstore_common.clients import access_log as module
from draftstore_common.clients.access_log import AccessLog, AccessNotRecorded
from draftstore_common.clients.identity import IdentityClient
from draftstore_common.clients.service_tokens import ServiceMisconfigured
from draftstore_common.clients.transport import ServiceUnavailable
from draftstore_common.contracts.audit import AccessEvent, AccessEvents
from draftstore_common.kit.context import set_timeout
from draftstore_common.kit.errors import InvalidRequest, Problem, RelayedProblem
from draftstore_common.kit.ids import uuid7
from support.until import until


class Identity(IdentityClient):
    """Keeps what it is told; can be away, refuse, or hang."""

    def __init__(self) -> None:
        self.groups: list[list[AccessEvent]] = []
        self.calls = 0
        self.problem: Problem | None = None
        self.indigestible: AccessEvent | None = None
        """What it fails at."""
        self.open = asyncio.Event()
        self.open.set()

    async def record(self, request: AccessEvents) -> None:
        self.calls += 1
        await self.open.wait()
        if self.problem is not None:
            raise self.problem
        if self.indigestible in request.events:
            raise RelayedProblem(Problem().document("request-1"))
        self.groups.append(request.events)

    @property
    def kept(self) -> list[AccessEvent]:
        return [event for group in self.groups for event in group]


def event(**more: Any) -> AccessEvent:
    given = {"id": uuid7(), "at": datetime.now(UTC), "action": "download_url.signed", "outcome": "allowed"}
    return AccessEvent.model_validate({**given, "request_id": "request-1", **more})


@asynccontextmanager
async def running(identity: Identity, **more: Any) -> AsyncIterator[AccessLog]:
    async with AccessLog(identity, **more) as log:
        yield log


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SHORTEST_PAUSE", 0.01)
    monkeypatch.setattr(module, "LONGEST_PAUSE", 0.02)
    monkeypatch.setattr(module, "DRAIN_SECONDS", 0.2)


async def kept(identity: Identity, events: list[AccessEvent]) -> None:
    async def all_there() -> bool:
        return identity.kept == events

    await until(all_there, "all are on record, once and in order", seconds=5)


def lost(caplog: pytest.LogCaptureFixture) -> int:
    return sum(vars(record)["lost"] for record in caplog.records if record.message == "accesses are not on record")


async def test_an_access_that_is_kept_is_on_record_when_the_call_returns() -> None:
    identity = Identity()
    async with running(identity) as log:
        one = event()
        await log.keep(one)
        assert identity.kept == [one]


async def test_accesses_that_come_while_a_call_is_under_way_go_together_with_the_next() -> None:
    identity = Identity()
    identity.open.clear()
    async with running(identity) as log:
        calls = [asyncio.create_task(log.keep(event())) for _ in range(50)]
        for _ in range(50):
            log.note(event())
        await asyncio.sleep(0.05)
        identity.open.set()
        await asyncio.gather(*calls)
    assert len(identity.kept) == 100
    assert identity.calls <= 3


async def test_no_group_is_larger_than_identity_takes() -> None:
    identity = Identity()
    identity.open.clear()
    async with running(identity) as log:
        events = [event() for _ in range(2500)]
        for each in events:
            log.note(each)
        identity.open.set()
        await kept(identity, events)
    assert max(len(group) for group in identity.groups) == 1000


async def test_noting_waits_for_nothing_and_nobody() -> None:
    identity = Identity()
    identity.open.clear()
    async with running(identity) as log:
        log.note(event())
        await asyncio.sleep(0)
        assert identity.kept == []
        identity.open.set()


async def test_what_was_noted_while_identity_was_away_is_on_record_when_it_is_back() -> None:
    identity = Identity()
    identity.problem = ServiceUnavailable()
    async with running(identity) as log:
        events = [event() for _ in range(30)]
        for each in events:
            log.note(each)
            await asyncio.sleep(0.005)
        assert identity.kept == []
        identity.problem = None
        await kept(identity, events)


async def test_while_identity_is_away_nothing_is_kept_and_the_caller_is_told_at_once() -> None:
    identity = Identity()
    identity.problem = ServiceUnavailable()
    async with running(identity) as log:
        log.note(event())
        for _ in range(3):
            with pytest.raises(AccessNotRecorded) as refused:
                await asyncio.wait_for(log.keep(event()), 5)
            assert (refused.value.http_status, refused.value.code) == (503, "access_not_recorded")
            assert refused.value.retry_after is not None


async def test_an_access_that_was_not_kept_in_time_was_not_granted_and_is_not_sent_twice() -> None:
    identity = Identity()
    identity.problem = ServiceUnavailable()
    async with running(identity) as log:
        with pytest.raises(AccessNotRecorded):
            await log.keep(event())
        identity.problem = None
        good = event()
        await log.keep(good)
        assert identity.kept == [good]


async def test_waiting_for_a_record_ends_with_the_callers_own_time() -> None:
    identity = Identity()
    identity.open.clear()

    async def hurried(log: AccessLog) -> None:
        set_timeout(0.1)
        await log.keep(event())

    async with running(identity) as log:
        with pytest.raises(AccessNotRecorded):
            await asyncio.wait_for(asyncio.create_task(hurried(log)), 5)
        identity.open.set()


async def test_a_caller_who_leaves_disturbs_nobody_else() -> None:
    identity = Identity()
    identity.open.clear()
    async with running(identity) as log:
        leaving, staying = (asyncio.create_task(log.keep(event())) for _ in range(2))
        await asyncio.sleep(0.01)
        leaving.cancel()
        identity.open.set()
        await asyncio.wait_for(staying, 5)
    assert len(identity.kept) == 2, "one more on record than granted, never one less"


async def test_memory_is_bounded_and_what_does_not_fit_is_counted_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    identity = Identity()
    identity.problem = ServiceUnavailable()
    async with running(identity, capacity=10) as log:
        events = [event() for _ in range(25)]
        for each in events:
            log.note(each)
        identity.problem = None
        await kept(identity, events[:10])
    assert lost(caplog) == 15


async def test_what_is_left_at_the_end_is_sent_and_what_cannot_be_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    identity = Identity()
    async with running(identity) as log:
        events = [event() for _ in range(5)]
        for each in events:
            log.note(each)
    assert identity.kept == events
    assert lost(caplog) == 0
    identity.problem = ServiceUnavailable()
    async with running(identity) as log:
        for _ in range(7):
            log.note(event())
    assert lost(caplog) == 7


async def test_a_group_that_is_refused_for_what_it_is_does_not_block_the_next(caplog: pytest.LogCaptureFixture) -> None:
    identity = Identity()
    identity.problem = InvalidRequest()
    async with running(identity) as log:
        log.note(event())

        async def was_asked() -> bool:
            return identity.calls > 0

        await until(was_asked, "it was sent")
        identity.problem = None
        good = event()
        log.note(good)
        await kept(identity, [good])
    assert lost(caplog) == 1


async def test_one_access_that_identity_fails_at_keeps_no_other_off_the_record(
    caplog: pytest.LogCaptureFixture,
) -> None:
    identity = Identity()
    identity.open.clear()
    async with running(identity) as log:
        events = [event() for _ in range(1500)]
        identity.indigestible = events[700]
        for each in events:
            log.note(each)
        identity.open.set()
        await kept(identity, [each for each in events if each is not identity.indigestible])
        await log.keep(event())
    assert lost(caplog) == 1


async def test_a_service_that_identity_does_not_know_loses_nothing_meanwhile(caplog: pytest.LogCaptureFixture) -> None:
    identity = Identity()
    identity.problem = ServiceMisconfigured()
    async with running(identity) as log:
        one = event()
        log.note(one)

        async def tried_often() -> bool:
            return identity.calls >= 5

        await until(tried_often, "it was tried again and again")
        identity.problem = None
        await kept(identity, [one])
    assert lost(caplog) == 0


async def test_an_outage_is_told_once_and_its_end_too(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    identity = Identity()
    identity.problem = ServiceUnavailable()
    async with running(identity) as log:
        one = event()
        log.note(one)

        async def tried_often() -> bool:
            return identity.calls >= 5

        await until(tried_often, "it was tried again and again")
        identity.problem = None
        await kept(identity, [one])
    told = [record.message for record in caplog.records if record.name == module.__name__]
    assert told == ["accesses wait to be put on record", "accesses are put on record again"]


async def test_refusals_of_one_actor_are_thinned_out_and_counted() -> None:
    identity = Identity()
    async with running(identity) as log:
        for _ in range(module.REFUSALS_PER_MINUTE + 12):
            log.refused("key:a", lambda: event(outcome="refused"))
        log.refused("key:b", lambda: event(outcome="refused"))
        log._by_actor._clock = lambda: 10**9
        log.refused("key:a", lambda: event(outcome="refused"))
    assert len(identity.kept) == module.REFUSALS_PER_MINUTE + 2
    assert [each.suppressed for each in identity.kept][-3:] == [0, 0, 12]


async def test_refusals_of_very_many_actors_are_bounded_too(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "ALL_REFUSALS_PER_MINUTE", 20)
    identity = Identity()
    async with running(identity) as log:
        for number in range(50):
            log.refused(f"ip:{number}", lambda: event(outcome="refused"))
    assert len(identity.kept) == 20
    assert lost(caplog) == 30
