"""A client that is slow to send holds nobody else back, and has no power any more than when it is done sending."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from draftstore_common.contracts.identity import Scope
from draftstore_gateway import arrival, pipeline
from support.raw_http import Connection, connected, read_answer, request
from support.running_gateway import Running, bearer, running_gateway
from support.until import until

PLACES = 4


@asynccontextmanager
async def slow(gateway: Running, path: str, headers: dict[str, str], *, sent: int, length: int) -> AsyncIterator[None]:
    """Twice as many requests as there are places, each in the middle of its body."""
    head = request("POST", path, {**headers, "content-length": str(length)}, b"x" * sent)
    async with AsyncExitStack() as stack:
        for _ in range(2 * PLACES):
            _, writer = await stack.enter_async_context(connected(gateway.port))
            writer.write(head)
            await writer.drain()
        await asyncio.sleep(0.3)  # nothing tells that they are as far as they get
        yield


@pytest.mark.parametrize("in_process", [False, True], ids=["http", "in process"])
async def test_slow_reports_without_a_key_keep_nobody_from_administering_keys(in_process: bool) -> None:
    async with (
        running_gateway(in_process=in_process, upstream_concurrency=PLACES) as gateway,
        slow(gateway, "/api/v1/keys/revoke-leaked", {}, sent=1, length=100),
    ):
        admin = bearer(gateway.identity.issue(kind="admin"))
        assert (await gateway.client.get("/api/v1/keys", headers=admin)).status_code == 200


@pytest.mark.parametrize("sent", [1, 2 * arrival.SMALL], ids=["small", "large"])
async def test_slow_bodies_of_one_caller_take_no_places_from_others(sent: int) -> None:
    async with running_gateway(upstream_concurrency=PLACES) as gateway:
        async with slow(gateway, "/api/v1/drafts", gateway.headers(*Scope), sent=sent, length=sent + 1):
            answer = await gateway.client.post("/api/v1/drafts", headers=gateway.headers(*Scope), content=b"{}")
            assert answer.status_code == 200
        assert len(gateway.service.seen) == 1


async def test_large_bodies_in_memory_are_bounded_and_small_ones_pass_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrival, "LARGE_BODIES", 1)
    large = b"x" * (8 * arrival.SMALL)
    async with running_gateway() as gateway:
        headers = gateway.headers(*Scope)
        async with slow(gateway, "/api/v1/drafts", headers, sent=len(large), length=len(large) + 1):
            refused = await gateway.client.post("/api/v1/drafts", headers=headers, content=large)
            assert (refused.status_code, refused.json()["code"]) == (503, "overloaded")
            assert (await gateway.client.post("/api/v1/drafts", headers=headers, content=b"{}")).status_code == 200

        async def accepted() -> bool:
            answer = await gateway.client.post("/api/v1/drafts", headers=headers, content=large)
            return bool(answer.json().get("bytes") == len(large))

        await until(accepted, "the place is given back when its client has left")


async def begun(gateway: Running, connection: Connection, headers: dict[str, str]) -> None:
    """A request that lacks its last byte, once the gateway has asked who sends it."""
    gateway.identity.asked.clear()
    connection[1].write(request("POST", "/api/v1/download-url", {**headers, "content-length": "2"}, b"{"))
    await asyncio.wait_for(gateway.identity.asked.wait(), 5)


async def test_a_key_that_is_revoked_while_its_request_is_being_sent_opens_nothing() -> None:
    async with running_gateway() as gateway, connected(gateway.port) as connection:
        key = gateway.identity.issue(*Scope)
        await begun(gateway, connection, bearer(key))
        await gateway.identity.revoke(key)
        await asyncio.sleep(pipeline.SLOW_BODY + 0.1)
        connection[1].write(b"}")
        answer = await asyncio.wait_for(read_answer(connection[0]), 10)
        assert (answer.status, answer.json()["code"]) == (401, "api_key_unknown")
        assert gateway.service.seen == []


async def test_a_slow_request_of_a_good_key_is_served() -> None:
    async with running_gateway() as gateway, connected(gateway.port) as connection:
        await begun(gateway, connection, gateway.headers(*Scope))
        await asyncio.sleep(pipeline.SLOW_BODY + 0.1)
        connection[1].write(b"}")
        assert (await asyncio.wait_for(read_answer(connection[0]), 10)).json()["bytes"] == 2
