"""How often one key may administer."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, closing

import httpx
import pytest_asyncio
from anyio import to_thread
from pydantic import SecretStr
from redis import Redis

from draftstore_common.clients.transport import AsgiLifespan
from draftstore_common.contracts.identity import Audience
from draftstore_identity.app import create_app
from support.identity import Installation, Revealed, installed, settings
from support.ports import free_port
from support.redis import running_redis

ALLOWED = 10


@pytest_asyncio.fixture(loop_scope="session")
async def limited(postgres_url: str) -> AsyncIterator[Installation]:
    """An installation that counts in its own memory."""
    async with installed(postgres_url, admin_requests_per_minute=ALLOWED) as identity:
        yield identity


async def own_key(identity: Installation, secret: str, times: int) -> list[httpx.Response]:
    """Ask that often, at once, which key this is."""
    token = (await identity.verify(secret, Audience.IDENTITY)).token
    return await asyncio.gather(*(identity.send("GET", "/api/v1/keys/self", token=token) for _ in range(times)))


def passed(answers: list[httpx.Response]) -> int:
    """How many were answered. All others must be refused by the limit."""
    assert {answer.status_code for answer in answers} <= {200, 429}
    return sum(answer.status_code == 200 for answer in answers)


async def test_exactly_the_allowed_requests_pass(limited: Installation) -> None:
    assert passed(await own_key(limited, limited.data_key, 3 * ALLOWED)) == ALLOWED


async def test_a_refusal_is_a_problem_that_says_when_to_come_back(limited: Installation) -> None:
    await own_key(limited, limited.data_key, ALLOWED)
    (answer,) = await own_key(limited, limited.data_key, 1)
    assert answer.status_code == 429
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "rate_limited"
    assert 1 <= int(answer.headers["retry-after"]) <= 60


async def test_all_administrative_paths_share_one_count(limited: Installation) -> None:
    await own_key(limited, limited.admin_key, ALLOWED)
    token = (await limited.verify(limited.admin_key, Audience.IDENTITY)).token
    for path in ("/api/v1/keys", "/api/v1/tenants", "/api/v1/keys/self"):
        assert (await limited.send("GET", path, token=token)).status_code == 429


async def test_each_key_has_a_count_of_its_own(limited: Installation) -> None:
    await own_key(limited, limited.data_key, ALLOWED)
    assert passed(await own_key(limited, limited.admin_key, 1)) == 1


async def test_a_key_and_its_successor_share_one_count(limited: Installation) -> None:
    old = await limited.issue()
    answer = await limited.call(
        limited.admin_key, "POST", f"/api/v1/keys/{old.id}/rotate", {}, idempotency_key="limited"
    )
    assert passed(await own_key(limited, old.key, ALLOWED - 1)) == ALLOWED - 1
    assert passed(await own_key(limited, answer.json()["key"], ALLOWED)) == 1


async def test_verifying_is_not_counted(limited: Installation) -> None:
    for _ in range(2 * ALLOWED):
        await limited.verify(limited.data_key)


async def test_instances_share_the_count_in_redis(postgres_url: str) -> None:
    with running_redis() as redis_url:
        shared = {"admin_requests_per_minute": ALLOWED, "redis_url": SecretStr(redis_url)}
        async with AsyncExitStack() as stack:
            one = await stack.enter_async_context(installed(postgres_url, **shared))
            other_app = create_app(settings(postgres_url, **shared), reveal=Revealed())
            await stack.enter_async_context(AsgiLifespan(other_app))
            other = Installation(other_app, postgres_url, one.admin_key, one.data_key)
            answers = await asyncio.gather(*(own_key(each, one.data_key, ALLOWED) for each in (one, other)))
    assert passed(answers[0] + answers[1]) == ALLOWED


async def test_a_redis_lost_in_the_middle_lets_nobody_through_uncounted(postgres_url: str) -> None:
    with running_redis() as redis_url:
        shared = {"admin_requests_per_minute": ALLOWED, "redis_url": SecretStr(redis_url)}
        async with AsyncExitStack() as stack:
            identity = await stack.enter_async_context(installed(postgres_url, **shared))
            assert passed(await own_key(identity, identity.data_key, ALLOWED - 1)) == ALLOWED - 1
            with closing(Redis.from_url(redis_url)) as redis:
                redis.shutdown(nosave=True)
            assert passed(await own_key(identity, identity.data_key, 3 * ALLOWED)) == ALLOWED


async def test_without_redis_each_instance_counts_for_itself(postgres_url: str) -> None:
    """Neither closed nor open: requests pass, and the limit holds."""
    away = SecretStr(f"redis://127.0.0.1:{free_port()}/0")
    async with installed(postgres_url, admin_requests_per_minute=ALLOWED, redis_url=away) as identity:
        assert passed(await own_key(identity, identity.data_key, 3 * ALLOWED)) == ALLOWED


async def test_requests_wait_for_no_thread_that_others_hold(limited: Installation) -> None:
    """The count has a thread of its own, and nothing else needs one."""
    threads = to_thread.current_default_thread_limiter()
    holders = [object() for _ in range(int(threads.available_tokens))]
    for holder in holders:
        threads.acquire_on_behalf_of_nowait(holder)
    try:
        answers = await asyncio.wait_for(own_key(limited, limited.data_key, 1), 10)
    finally:
        for holder in holders:
            threads.release_on_behalf_of(holder)
    assert passed(answers) == 1
