"""Limits are exact however many requests race, and paid by whom they are meant for."""

import asyncio
import os
import re
import signal
from collections import Counter
from contextlib import closing
from functools import partial
from typing import Any

import httpx
import pytest
from redis import Redis

from draftstore_common.contracts import api_keys
from draftstore_common.contracts.identity import RateLimit, Scope
from draftstore_common.kit.ids import uuid7
from draftstore_gateway import limits, verdict_cache
from draftstore_gateway.windows import charges, parse_limits
from support.limiter import limiter_on
from support.ports import free_port
from support.redis import running_redis
from support.running_gateway import Running, bearer, running_gateway
from support.tcp_server import tcp_server
from support.until import until

# A day, so that no test ever runs across the end of a window.
HUNDRED = "100/day"


async def _storm(gateway: Running, count: int, headers: dict[str, str], path: str = "/api/v1/drafts") -> Counter[int]:
    answers = await asyncio.gather(*(gateway.client.get(path, headers=headers) for _ in range(count)))
    return Counter(answer.status_code for answer in answers)


async def test_a_key_gets_exactly_its_limit_under_concurrency() -> None:
    async with running_gateway(in_process=True, rate_limit_per_key=HUNDRED) as gateway:
        statuses = await _storm(gateway, 400, gateway.headers(Scope.DRAFTS_READ))
    assert statuses == {200: 100, 429: 300}
    assert len(gateway.service.seen) == 100


async def test_an_address_gets_exactly_its_limit_of_refusals_under_concurrency() -> None:
    async with running_gateway(in_process=True, rate_limit_per_ip=HUNDRED) as gateway:
        statuses = await _storm(gateway, 400, {})
    assert statuses == {401: 100, 429: 300}


async def test_three_gateways_on_one_redis_admit_exactly_the_limit(redis_url: str) -> None:
    settings: dict[str, Any] = {"in_process": True, "rate_limit_per_key": HUNDRED, "redis_url": redis_url}
    async with running_gateway(**settings) as first:
        shared = settings | {"identity": first.identity}
        async with running_gateway(**shared) as second, running_gateway(**shared) as third:
            key = first.headers(Scope.DRAFTS_READ)
            counts = await asyncio.gather(*(_storm(gateway, 134, key) for gateway in (first, second, third)))
    assert sum(counts, Counter()) == {200: 100, 429: 302}


async def test_a_lost_redis_is_replaced_by_a_local_limit_and_taken_up_again(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "LOST_PAUSE", 0.05)
    port = free_port()
    url = f"redis://127.0.0.1:{port}/0"
    async with running_gateway(in_process=True, rate_limit_per_key="10/day", redis_url=url) as gateway:
        key = gateway.headers(Scope.DRAFTS_READ)
        with running_redis(port):
            assert await _storm(gateway, 5, key) == {200: 5}
        assert await _storm(gateway, 30, key) == {200: 10, 429: 20}
        with running_redis(port):
            await _regained(caplog)
            assert await _storm(gateway, 30, key) == {200: 10, 429: 20}
    assert _store_messages(caplog) == [LOST, BACK]


LOST = "rate limit store lost, each gateway counts alone"
BACK = "rate limit store is back"


def _store_messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if "rate limit store" in record.message]


async def _regained(caplog: pytest.LogCaptureFixture) -> None:
    async def back() -> bool:
        return _store_messages(caplog)[-1] == BACK

    await until(back, BACK)


async def test_a_redis_that_goes_silent_is_replaced_and_taken_up_again_without_a_request(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "LOST_PAUSE", 0.05)
    monkeypatch.setattr(limits, "REDIS_TIMEOUT", 0.2)
    with running_redis() as url, closing(Redis.from_url(url)) as redis:
        pid = redis.info()["process_id"]
        async with running_gateway(in_process=True, rate_limit_per_key="3/day", redis_url=url) as gateway:
            key = gateway.headers(Scope.DRAFTS_READ)
            assert await _storm(gateway, 2, key) == {200: 2}
            os.kill(pid, signal.SIGSTOP)
            assert await _storm(gateway, 4, key) == {200: 3, 429: 1}
            os.kill(pid, signal.SIGCONT)
            await _regained(caplog)
            assert _store_messages(caplog) == [LOST, BACK]
            counters = redis.dbsize()
            assert await _storm(gateway, 4, gateway.headers(Scope.DRAFTS_READ)) == {200: 3, 429: 1}
            assert redis.dbsize() > counters


async def test_a_silent_redis_is_tried_once_and_then_left_to_no_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "REDIS_TIMEOUT", 0.1)
    monkeypatch.setattr(limits, "LOST_PAUSE", 0.0)
    tried = 0

    async def never_answer(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        nonlocal tried
        tried += 1
        await reader.read()

    async with tcp_server(never_answer) as port:
        # Not entered: nothing but its requests reaches for the store.
        limiter = limiter_on(f"redis://127.0.0.1:{port}/0")
        decisions = [await limiter.hit(charges("key", "a", parse_limits("2/day"))) for _ in range(3)]
    assert [decision.admitted for decision in decisions] == [True, True, False]
    assert tried == 1


async def test_a_key_that_was_good_passes_from_an_address_that_is_over_its_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with running_gateway(in_process=True, rate_limit_per_ip="10/day") as gateway:
        key = gateway.headers(Scope.DRAFTS_READ)
        assert (await gateway.client.get("/api/v1/drafts", headers=key)).status_code == 200
        await _storm(gateway, 11, {})
        assert (await gateway.client.get("/api/v1/drafts")).status_code == 429
        assert (await gateway.client.get("/api/v1/drafts", headers=key)).status_code == 200
        monkeypatch.setattr(verdict_cache, "VERDICT_TTL", 0.0)
        assert (await gateway.client.get("/api/v1/drafts", headers=key)).status_code == 200
    assert gateway.identity.verifications == 2


async def test_identity_hears_of_no_new_key_from_an_address_that_is_over_its_limit() -> None:
    async with running_gateway(in_process=True, rate_limit_per_ip="3/day") as gateway:
        good = gateway.headers(Scope.DRAFTS_READ)
        for _ in range(3):
            made_up = {"authorization": f"Bearer {api_keys.make('live')}"}
            assert (await gateway.client.get("/api/v1/drafts", headers=made_up)).status_code == 401
        for headers in (made_up, {"authorization": f"Bearer {api_keys.make('live')}"}, good):
            answer = await gateway.client.get("/api/v1/drafts", headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (429, "rate_limited")
            assert int(answer.headers["retry-after"]) > 0
    assert gateway.identity.verifications == 3


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/api/v1/drafts", {}),
        ("/api/v1/drafts", {"authorization": "Bearer nonsense"}),
        ("/api/v1/drafts", {"authorization": f"Bearer {api_keys.make('live')}"}),
        ("/nowhere", {}),
        ("/api/v1/upload-url", {}),
    ],
    ids=["no key", "malformed key", "unknown key", "unknown route", "wrong method"],
)
async def test_what_is_refused_is_charged_to_the_address(path: str, headers: dict[str, str]) -> None:
    async with running_gateway(in_process=True, rate_limit_per_ip="3/day") as gateway:
        statuses = [(await gateway.client.get(path, headers=headers)).status_code for _ in range(5)]
    assert 429 not in statuses[:3]
    assert statuses[3:] == [429, 429]


async def test_a_404_of_the_service_is_charged_to_the_key_alone() -> None:
    async with running_gateway(in_process=True, rate_limit_per_ip="1/day") as gateway:
        key = gateway.headers(Scope.DRAFTS_READ)
        for _ in range(5):
            answer = await gateway.client.get("/api/v1/drafts", headers=key)
            assert answer.headers["ratelimit-policy"].startswith('"key-')
        assert (await gateway.client.get("/api/v1/drafts")).status_code == 401


async def test_a_keys_own_windows_replace_the_default() -> None:
    own = [RateLimit(amount=50, seconds=86_400), RateLimit(amount=3, seconds=3_600)]
    async with running_gateway(in_process=True, rate_limit_per_key="1/day") as gateway:
        key = bearer(gateway.identity.issue(Scope.DRAFTS_READ, rate_limits=own))
        assert (await _storm(gateway, 10, key)) == {200: 3, 429: 7}


async def test_a_key_without_limits_is_not_counted() -> None:
    async with running_gateway(in_process=True, rate_limit_per_key="1/day") as gateway:
        key = bearer(gateway.identity.issue(Scope.DRAFTS_READ, rate_limits=[]))
        answer = await gateway.client.get("/api/v1/drafts", headers=key)
        assert "ratelimit" not in answer.headers
        assert (await _storm(gateway, 20, key)) == {200: 20}


async def test_a_rotated_key_and_its_successor_share_one_count() -> None:
    three = [RateLimit(amount=3, seconds=86_400)]
    async with running_gateway(in_process=True) as gateway:
        old = gateway.identity.issue(Scope.DRAFTS_READ, rate_limits=three)
        new = gateway.identity.issue(Scope.DRAFTS_READ, rate_limits=three, lineage=old.principal.lineage)
        assert await _storm(gateway, 2, bearer(old)) == {200: 2}
        assert await _storm(gateway, 5, bearer(new)) == {200: 1, 429: 4}


async def test_keys_of_a_tenant_share_its_windows_beside_their_own() -> None:
    tenant, own = [RateLimit(amount=5, seconds=86_400)], [RateLimit(amount=3, seconds=86_400)]
    async with running_gateway(in_process=True) as gateway:
        issue = partial(gateway.identity.issue, Scope.DRAFTS_READ, tenant_rate_limits=tenant)
        limited, unlimited, other = issue(rate_limits=own), issue(rate_limits=[]), issue(tenant_id=uuid7())
        assert await _storm(gateway, 10, bearer(limited)) == {200: 3, 429: 7}
        assert await _storm(gateway, 10, bearer(unlimited)) == {200: 2, 429: 8}
        assert await _storm(gateway, 5, bearer(other)) == {200: 5}


async def test_answers_tell_of_the_tenants_windows_too() -> None:
    async with running_gateway(in_process=True, rate_limit_per_key="5/minute") as gateway:
        hourly = [RateLimit(amount=9, seconds=3600)]
        key = bearer(gateway.identity.issue(Scope.DRAFTS_READ, tenant_rate_limits=hourly))
        answer = await gateway.client.get("/api/v1/drafts", headers=key)
    assert answer.headers["ratelimit-policy"] == '"key-60s";q=5;w=60, "tenant-3600s";q=9;w=3600'
    assert re.fullmatch(r'"key-60s";r=4;t=\d+, "tenant-3600s";r=8;t=\d+', answer.headers["ratelimit"])


async def test_a_gateway_that_lost_redis_admits_its_share_of_what_all_of_them_do() -> None:
    port = free_port()
    settings: dict[str, Any] = {"rate_limit_per_key": "12/day", "redis_url": f"redis://127.0.0.1:{port}/0"}
    async with running_gateway(in_process=True, gateway_replicas=3, **settings) as gateway:
        with running_redis(port):
            assert await _storm(gateway, 20, gateway.headers(Scope.DRAFTS_READ)) == {200: 12, 429: 8}
        assert await _storm(gateway, 20, gateway.headers(Scope.DRAFTS_READ)) == {200: 4, 429: 16}


async def test_metrics_tell_whether_the_store_is_there_and_whom_it_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LOST_PAUSE", 0.05)
    port = free_port()
    settings: dict[str, Any] = {"rate_limit_per_key": "1/day", "rate_limit_per_ip": "1/day"}
    url = f"redis://127.0.0.1:{port}/0"
    async with running_gateway(in_process=True, redis_url=url, **settings) as gateway:
        with running_redis(port):
            await _storm(gateway, 3, gateway.headers(Scope.DRAFTS_READ))
            await _storm(gateway, 4, {})
            assert (await _metrics(gateway))[SHARED] == 1
        await _storm(gateway, 1, gateway.headers(Scope.DRAFTS_READ))
        lost = await _metrics(gateway)
        with running_redis(port):

            async def shared_again() -> bool:
                return (await _metrics(gateway))[SHARED] == 1

            await until(shared_again, "the store is back")
    assert (lost[SHARED], lost["draftstore_gateway_limit_store_losses_total"]) == (0, 1)
    assert lost['draftstore_gateway_limited_total{policy="key"}'] == 2
    assert lost['draftstore_gateway_limited_total{policy="ip"}'] == 3


async def test_a_gateway_without_redis_counts_alone() -> None:
    async with running_gateway(in_process=True) as first, running_gateway(in_process=True) as second:
        await _storm(first, 1, {})
        assert (await _metrics(first))[SHARED] == (await _metrics(second))[SHARED] == 0


SHARED = "draftstore_gateway_limits_shared"


async def _metrics(gateway: Running) -> dict[str, float]:
    answer = await gateway.client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    lines = (line.rpartition(" ") for line in answer.text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, _, value in lines}


async def test_answers_say_where_the_caller_stands() -> None:
    async with running_gateway(in_process=True, rate_limit_per_key="2/day;50/hour") as gateway:
        key = gateway.headers(Scope.DRAFTS_READ)
        answers: list[httpx.Response] = [await gateway.client.get("/api/v1/drafts", headers=key) for _ in range(3)]
    assert answers[0].headers["ratelimit-policy"] == '"key-3600s";q=50;w=3600, "key-86400s";q=2;w=86400'
    assert re.fullmatch(r'"key-3600s";r=49;t=\d+, "key-86400s";r=1;t=\d+', answers[0].headers["ratelimit"])
    assert answers[2].status_code == 429
    assert answers[2].json()["code"] == "rate_limited"
    assert 0 < int(answers[2].headers["retry-after"]) <= 86_400
