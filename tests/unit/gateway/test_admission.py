"""What a caller is charged for, and what is remembered of callers."""

from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client import CollectorRegistry
from starlette.types import Message

from draftstore_common.contracts.identity import Principal, RateLimit, Verdict
from draftstore_common.kit.ids import uuid7
from draftstore_gateway import admission
from draftstore_gateway.admission import Admission
from draftstore_gateway.concurrency import Concurrency
from draftstore_gateway.errors import RateLimited, TooManyConcurrent
from draftstore_gateway.exchange import Answer, RequestBody
from draftstore_gateway.metrics import LimiterMetrics
from draftstore_gateway.windows import parse_limits
from support.limiter import limiter_on


def _admission(places: int = 10) -> Admission:
    concurrency = Concurrency(places, LimiterMetrics(CollectorRegistry()))
    limits = parse_limits("5/day")
    return Admission(limiter_on(None), concurrency, per_address=limits, per_key=limits)


def _verdict(amount: int, principal: Principal | None = None) -> Verdict:
    key = uuid7()
    return Verdict(
        principal=principal or Principal(tenant_id=uuid7(), key_id=key, lineage=key, kind="data"),
        token="a token",
        token_expires_at=datetime.now(UTC) + timedelta(seconds=60),
        rate_limits=[RateLimit(amount=amount, seconds=86_400)],
        sequence=1,
    )


def _answer() -> Answer:
    async def nothing() -> Message:
        return {"type": "http.disconnect"}

    async def nowhere(_: Message) -> None:
        """Send to nobody."""

    return Answer(nowhere, RequestBody(nothing, 0))


async def _request(admission_: Admission, verdict: Verdict) -> None:
    place = await admission_.enter(_answer(), verdict)
    place()


async def test_a_new_verdict_brings_its_own_limits_at_once() -> None:
    asked, first = _admission(), _verdict(1)
    await _request(asked, first)
    with pytest.raises(RateLimited):
        await _request(asked, first)
    await _request(asked, _verdict(3, first.principal))


async def test_a_request_that_is_refused_keeps_no_place() -> None:
    asked, verdict = _admission(places=1), _verdict(1)
    await _request(asked, verdict)
    for _ in range(3):
        with pytest.raises(RateLimited):
            await asked.enter(_answer(), verdict)


async def test_a_place_is_kept_until_it_is_given_back() -> None:
    asked, verdict = _admission(places=1), _verdict(5)
    place = await asked.enter(_answer(), verdict)
    with pytest.raises(TooManyConcurrent):
        await asked.enter(_answer(), verdict)
    place()
    await asked.enter(_answer(), verdict)
    place()  # given back twice is given back once
    with pytest.raises(TooManyConcurrent):
        await asked.enter(_answer(), verdict)


async def test_what_is_remembered_of_callers_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "CALLERS", 3)
    asked = _admission()
    for _ in range(10):
        await _request(asked, _verdict(5))
    assert len(asked._callers) == 3
