"""Three gateway processes admit exactly the limit together, and lose Redis without letting everything through."""

import asyncio
from collections import Counter
from contextlib import ExitStack
from itertools import cycle, islice
from pathlib import Path

import aiohttp

from draftstore_common.contracts.identity import Scope
from support.fleet import Fleet, fleet
from support.ports import free_port
from support.redis import running_redis
from support.running_gateway import bearer

PATH = "/api/v1/drafts"
LIMIT, GATEWAYS = 100, 3
SHARE = LIMIT // GATEWAYS


def _limits(port: int) -> dict[str, str]:
    return {
        "REDIS_URL": f"redis://127.0.0.1:{port}/0",
        "RATE_LIMIT_PER_KEY": f"{LIMIT}/day",
        "GATEWAY_REPLICAS": str(GATEWAYS),
        "MAX_CONCURRENT_PER_KEY": "1000",
    }


async def _one(gateway: aiohttp.ClientSession, key: dict[str, str], tally: Counter[int]) -> None:
    async with gateway.get(PATH, headers=key) as answer:
        await answer.read()
        tally[answer.status] += 1


async def _storm(running: Fleet, count: int, key: dict[str, str], tally: Counter[int]) -> None:
    """So many requests at once."""
    gateways = islice(cycle(running.gateways), count)
    await asyncio.gather(*(_one(gateway, key, tally) for gateway in gateways))


async def test_three_processes_admit_exactly_the_limit(tmp_path: Path) -> None:
    with running_redis(port := free_port()):
        async with fleet(GATEWAYS, tmp_path, **_limits(port)) as running:
            key, tally = bearer(running.identity.issue(Scope.DRAFTS_READ)), Counter[int]()
            await _storm(running, 400, key, tally)
    assert tally == {200: LIMIT, 429: 400 - LIMIT}
    assert len(running.service.seen) == LIMIT


async def test_redis_killed_in_the_middle_of_a_storm_lets_no_more_through_than_each_gateways_share(
    tmp_path: Path,
) -> None:
    with ExitStack() as redis:
        redis.enter_context(running_redis(port := free_port()))
        async with fleet(GATEWAYS, tmp_path, **_limits(port)) as running:
            key, tally = bearer(running.identity.issue(Scope.DRAFTS_READ)), Counter[int]()
            storm = asyncio.create_task(_storm(running, 400, key, tally))
            while tally[200] < LIMIT // 2:
                await asyncio.sleep(0)
            redis.close()
            await storm
            assert set(tally) == {200, 429}
            assert tally[200] <= LIMIT + GATEWAYS * SHARE
            afterwards = Counter[int]()
            await _storm(running, 150, key, afterwards)
            assert set(afterwards) <= {200, 429}
            assert tally[200] + afterwards[200] <= LIMIT + GATEWAYS * SHARE
            assert (await _counts_alone(running)) == [True] * GATEWAYS


async def _counts_alone(running: Fleet) -> list[bool]:
    texts = [await (await gateway.get("/metrics")).text() for gateway in running.gateways]
    return ["\ndraftstore_gateway_limits_shared 0.0\n" in text for text in texts]
