"""A slow service keeps out its own requests only, and those are told at once."""

import asyncio

import pytest

from draftstore_common.contracts.identity import Scope
from draftstore_gateway.upstreams import bulkhead
from support.raw_http import connected, read_answer, request
from support.running_gateway import Running, bearer, running_gateway
from support.until import until

PLACES = 4
QUEUE = PLACES // 4


def _unlimited(gateway: Running) -> dict[str, str]:
    return bearer(gateway.identity.issue(*Scope, rate_limits=[]))


async def _occupied(gateway: Running, path: str = "/api/v1/objects/silent") -> list[asyncio.Task[object]]:
    """Requests that hold every place, once all of them are with the service."""
    headers = _unlimited(gateway)
    held: list[asyncio.Task[object]] = [
        asyncio.create_task(gateway.client.get(path, headers=headers)) for _ in range(PLACES)
    ]

    async def are_there() -> bool:
        return len(gateway.service.seen) == PLACES

    await until(are_there, "all places are taken")
    return held


async def _release(held: list[asyncio.Task[object]]) -> None:
    for task in held:
        task.cancel()
    await asyncio.gather(*held, return_exceptions=True)


@pytest.mark.parametrize("in_process", [False, True], ids=["http", "in process"])
async def test_more_than_a_service_may_have_at_once_is_told_to_come_back(
    in_process: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulkhead, "QUEUE_WAIT", 0.05)
    async with running_gateway(in_process=in_process, upstream_concurrency=PLACES) as gateway:
        held = await _occupied(gateway)
        refused = await asyncio.gather(
            *(gateway.client.get("/api/v1/drafts", headers=_unlimited(gateway)) for _ in range(20))
        )
        assert {(answer.status_code, answer.json()["code"]) for answer in refused} == {(503, "overloaded")}
        assert {answer.headers["retry-after"] for answer in refused} == {"1"}
        assert len(gateway.service.seen) == PLACES
        assert (await gateway.client.get("/health/ready")).status_code == 200
        await _release(held)
        await _works_again(gateway)


async def _works_again(gateway: Running) -> None:
    async def works() -> bool:
        return (await gateway.client.get("/api/v1/drafts", headers=_unlimited(gateway))).status_code == 200

    await until(works, "places given back")


async def test_who_waits_for_a_place_gets_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulkhead, "QUEUE_WAIT", 30.0)
    async with running_gateway(upstream_concurrency=PLACES) as gateway:
        held = await _occupied(gateway)
        waiting = [
            asyncio.create_task(gateway.client.get("/api/v1/drafts", headers=_unlimited(gateway)))
            for _ in range(QUEUE + 1)
        ]
        turned_away = next(asyncio.as_completed(waiting))
        assert (await turned_away).json()["code"] == "overloaded"
        await _release(held)
        assert sorted(answer.status_code for answer in await asyncio.gather(*waiting)) == [200, 503]


async def test_streams_and_calls_do_not_take_each_others_places() -> None:
    async with running_gateway(upstream_concurrency=PLACES) as gateway:
        held = await _occupied(gateway, "/streams/silent")
        answer = await gateway.client.get("/api/v1/drafts", headers=_unlimited(gateway))
        await _release(held)
    assert answer.status_code == 200


async def test_a_client_that_leaves_gives_its_place_back() -> None:
    async with running_gateway(upstream_concurrency=1) as gateway:
        for _ in range(3):
            gateway.service.reset()
            async with connected(gateway.port) as (_, writer):
                writer.write(request("GET", "/api/v1/objects/silent", _unlimited(gateway)))
                await asyncio.wait_for(gateway.service.begun.wait(), 10)
            await asyncio.wait_for(gateway.service.client_left.wait(), 10)
        async with connected(gateway.port) as (reader, writer):
            writer.write(request("GET", "/api/v1/drafts", _unlimited(gateway)))
            assert (await asyncio.wait_for(read_answer(reader), 10)).status == 200
