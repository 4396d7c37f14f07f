"""So many requests of one key are under way at once; each gives its place back, however it ends."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from starlette.types import Receive, Send
from starlette.types import Scope as ASGIScope

from draftstore_common.contracts.identity import RateLimit, Scope
from draftstore_gateway import pipeline
from draftstore_gateway.upstreams import AsgiUpstream
from support.gateway import EchoService, KnownKey
from support.raw_http import connected, request
from support.running_gateway import Running, bearer, running_gateway
from support.until import until

SCOPES = (Scope.DRAFTS_READ, Scope.OBJECTS_READ)


@asynccontextmanager
async def _two_at_once() -> AsyncIterator[tuple[Running, KnownKey]]:
    async with running_gateway(in_process=True, max_concurrent_per_key=2) as gateway:
        yield gateway, gateway.identity.issue(*SCOPES)


async def _occupy(gateway: Running, key: KnownKey, places: int) -> list[asyncio.Task[httpx.Response]]:
    """Requests that take places and keep them, until they are cancelled."""
    tasks = []
    for _ in range(places):
        gateway.service.begun.clear()
        silent = gateway.client.get("/api/v1/objects/silent", headers=bearer(key))
        tasks.append(asyncio.create_task(silent))
        await asyncio.wait_for(gateway.service.begun.wait(), 10)
    return tasks


async def _leave(tasks: list[asyncio.Task[httpx.Response]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _ask(gateway: Running, key: KnownKey, path: str = "/api/v1/drafts") -> httpx.Response:
    return await gateway.client.get(path, headers=bearer(key))


async def test_one_request_too_many_is_told_to_wait_and_other_keys_are_not() -> None:
    async with _two_at_once() as (gateway, key):
        under_way = await _occupy(gateway, key, 2)
        answer = await _ask(gateway, key)
        assert (answer.status_code, answer.json()["code"]) == (429, "too_many_concurrent")
        assert int(answer.headers["retry-after"]) > 0
        assert (await _ask(gateway, gateway.identity.issue(*SCOPES))).status_code == 200
        await _leave(under_way)


class _Lingering(EchoService):
    """A service that answers, and has still something to do then."""

    async def __call__(self, scope: ASGIScope, receive: Receive, send: Send) -> None:
        await super().__call__(scope, receive, send)
        if scope["type"] == "http":
            await asyncio.sleep(60)  # cancelled with the gateway


async def test_who_has_the_answer_may_ask_again_while_the_service_is_still_at_the_last_request() -> None:
    async with running_gateway(upstream=AsgiUpstream(_Lingering()), max_concurrent_per_key=1) as gateway:
        key = gateway.identity.issue(*SCOPES)
        assert [(await _ask(gateway, key)).status_code for _ in range(3)] == [200, 200, 200]


async def test_a_rotated_key_shares_the_places_of_its_successor() -> None:
    async with _two_at_once() as (gateway, key):
        under_way = await _occupy(gateway, key, 2)
        successor = gateway.identity.issue(*SCOPES, lineage=key.principal.lineage)
        assert (await _ask(gateway, successor)).status_code == 429
        await _leave(under_way)


async def test_what_finds_no_place_is_not_charged() -> None:
    async with running_gateway(in_process=True, max_concurrent_per_key=1) as gateway:
        key = gateway.identity.issue(*SCOPES, rate_limits=[RateLimit(amount=2, seconds=86_400)])
        under_way = await _occupy(gateway, key, 1)
        for _ in range(5):
            assert (await _ask(gateway, key)).json()["code"] == "too_many_concurrent"
        await _leave(under_way)
        await _until_a_place_is_free(gateway, key)


async def _until_a_place_is_free(gateway: Running, key: KnownKey) -> None:
    async def free() -> bool:
        return (await _ask(gateway, key)).status_code == 200

    await until(free, "a place is free")


async def test_a_client_that_leaves_gives_its_place_back() -> None:
    async with _two_at_once() as (gateway, key):
        async with connected(gateway.port) as (_, writer):
            writer.write(request("GET", "/api/v1/objects/silent", bearer(key)))
            await asyncio.wait_for(gateway.service.begun.wait(), 10)
            under_way = await _occupy(gateway, key, 1)
            assert (await _ask(gateway, key)).status_code == 429
        await _until_a_place_is_free(gateway, key)
        await _leave(under_way)


@pytest.mark.parametrize("end", ["drafts", "crash", "break", "early", "refused", "limited"])
async def test_a_request_that_ends_gives_its_place_back(end: str) -> None:
    async with _two_at_once() as (gateway, key):
        under_way = await _occupy(gateway, key, 1)  # so one place is left, and every request needs it
        for _ in range(3):
            await _end(gateway, key, end)
        assert (await _ask(gateway, key)).status_code == 200
        await _leave(under_way)


async def _end(gateway: Running, key: KnownKey, end: str) -> None:
    match end:
        case "drafts":
            assert (await _ask(gateway, key)).status_code == 200
        case "break":
            with pytest.raises(httpx.HTTPError):
                await _ask(gateway, key, "/api/v1/objects/break")
        case "refused":
            answer = await gateway.client.post("/api/v1/drafts", headers=bearer(key))
            assert answer.json()["code"] == "scope_missing"
        case "limited":
            lineage = key.principal.lineage
            none = gateway.identity.issue(*SCOPES, lineage=lineage, rate_limits=[RateLimit(amount=1, seconds=86_400)])
            statuses = [(await _ask(gateway, none)).status_code for _ in range(2)]
            assert statuses[1] == 429
        case _:
            answer = await _ask(gateway, key, f"/api/v1/objects/{end}")
            assert answer.status_code in {409, 500}


async def test_a_request_that_takes_too_long_gives_its_place_back(monkeypatch: pytest.MonkeyPatch) -> None:
    async with _two_at_once() as (gateway, key):
        under_way = await _occupy(gateway, key, 1)
        with monkeypatch.context() as hurry:
            hurry.setattr(pipeline, "DEFAULT_TIMEOUT", 0.2)
            assert (await _ask(gateway, key, "/api/v1/objects/silent")).status_code == 503
        assert (await _ask(gateway, key)).status_code == 200
        await _leave(under_way)
