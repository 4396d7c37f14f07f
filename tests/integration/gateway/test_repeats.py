"""A connection that fails is not the client's business, as long as sending again changes nothing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from draftstore_common.contracts.identity import Scope
from draftstore_gateway.upstreams import HttpUpstream
from support.flaky_service import Behaviour, FlakyService, flaky_service
from support.ports import free_port
from support.running_gateway import Running, bearer, running_gateway

REPEATED = [
    ("GET", "/api/v1/drafts", {}),
    ("HEAD", "/api/v1/objects/a", {}),
    ("DELETE", "/api/v1/drafts/1", {}),
    ("POST", "/api/v1/drafts", {"idempotency-key": "k"}),
]


@asynccontextmanager
async def _before(*script: Behaviour, otherwise: Behaviour = "answer") -> AsyncIterator[tuple[Running, FlakyService]]:
    async with flaky_service(*script, otherwise=otherwise) as service:
        upstream = HttpUpstream(f"http://127.0.0.1:{service.port}")
        async with running_gateway(upstream=upstream) as gateway:
            yield gateway, service


async def _send(
    gateway: Running, method: str, path: str, headers: dict[str, str], body: bytes | None = None
) -> httpx.Response:
    key = bearer(gateway.identity.issue(*Scope, rate_limits=[]))
    return await gateway.client.request(method, path, headers=headers | key, content=body)


@pytest.mark.parametrize(("method", "path", "headers"), REPEATED)
async def test_a_repeatable_request_survives_one_failed_connection(
    method: str, path: str, headers: dict[str, str]
) -> None:
    async with _before("hang up") as (gateway, service):
        answer = await _send(gateway, method, path, headers)
    assert answer.status_code == 200
    assert len(service.heads) == 2


async def test_a_request_is_repeated_once_only() -> None:
    async with _before("hang up", "hang up") as (gateway, service):
        answer = await _send(gateway, "GET", "/api/v1/drafts", {})
    assert (answer.status_code, answer.json()["code"]) == (503, "service_unavailable")
    assert len(service.heads) == 2


async def test_a_connection_that_was_used_before_is_no_exception() -> None:
    async with _before("answer", "hang up", "hang up") as (gateway, service):
        statuses = [(await _send(gateway, "GET", "/api/v1/drafts", {})).status_code for _ in range(3)]
    assert statuses == [200, 503, 200]
    assert len(service.heads) == 4


@pytest.mark.parametrize(
    ("method", "path", "headers", "body"),
    [
        ("POST", "/api/v1/drafts", {}, b"{}"),
        ("POST", "/api/v1/drafts", {}, None),
        ("POST", "/api/v1/drafts", {"idempotency-key": "k"}, b"{}"),
        ("PUT", "/streams/a", {}, None),
        ("DELETE", "/api/v1/drafts/1", {}, b"{}"),
    ],
    ids=["a post", "an empty post", "a body that was sent", "a put", "a deletion with a body"],
)
async def test_what_the_service_may_have_taken_is_not_sent_again(
    method: str, path: str, headers: dict[str, str], body: bytes | None
) -> None:
    async with _before("hang up after the body") as (gateway, service):
        answer = await _send(gateway, method, path, headers, body)
    assert (answer.status_code, answer.json()["code"]) == (503, "service_unavailable")
    assert len(service.heads) == 1


async def test_an_answer_that_began_is_not_asked_for_again() -> None:
    async with _before("break off") as (gateway, service):
        with pytest.raises(httpx.RemoteProtocolError):
            await _send(gateway, "GET", "/api/v1/drafts", {})
    assert len(service.heads) == 1


async def test_a_service_in_trouble_gets_few_repeats() -> None:
    async with _before(otherwise="hang up") as (gateway, service):
        requests = (_send(gateway, "GET", "/api/v1/drafts", {}) for _ in range(100))
        statuses = {answer.status_code for answer in await asyncio.gather(*requests)}
    assert statuses == {503}
    assert 100 < len(service.heads) <= 100 + 3 + 20


async def test_the_second_attempt_tells_the_time_that_is_left_then(monkeypatch: pytest.MonkeyPatch) -> None:
    left = iter([7.0, 5.0])
    monkeypatch.setattr("draftstore_gateway.upstreams.base.remaining", lambda: next(left))
    async with _before("hang up") as (gateway, service):
        await _send(gateway, "GET", "/api/v1/drafts", {})
    assert ["x-request-timeout: 7.000" in service.heads[0], "x-request-timeout: 5.000" in service.heads[1]] == [
        True
    ] * 2


async def test_a_service_that_takes_no_connection_is_a_503() -> None:
    async with running_gateway(upstream=HttpUpstream(f"http://127.0.0.1:{free_port()}")) as gateway:
        answer = await _send(gateway, "POST", "/api/v1/drafts", {}, b"{}")
    assert (answer.status_code, answer.json()["code"]) == (503, "service_unavailable")
    assert int(answer.headers["retry-after"]) >= 1
