"""Every request of `hostile` gets its own refusal, none reaches the service, and the gateway is as well as before."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from draftstore_common.contracts.identity import Scope
from integration.gateway.hostile import GOOD, HOSTILE, KEY, Expected, Hostile
from support.gateway import EchoService, KnownKey, SmallIdentity
from support.gateway_process import GatewayProcess, gateway_process
from support.raw_http import RawAnswer, connected, exchange, read_answer
from support.running_gateway import Running
from support.until import until
from support.uvicorn_server import served

PATIENCE = 20
"""Seconds for an answer that should come at once."""


@dataclass(frozen=True)
class Target:
    """A gateway process and what stands behind it."""

    gateway: GatewayProcess
    service: EchoService
    key: KnownKey

    async def suffer(self, attack: Hostile) -> list[Expected]:
        """What a client that sends this gets, in order; fails if the connection does not end as it should."""
        return await _attack(self.gateway.port, self.key.secret, attack)

    async def open_files(self) -> int:
        """How many descriptors the gateway holds, once the connections of this test are closed."""
        return len(list((self.gateway.proc / "fd").iterdir()))


async def _attack(port: int, secret: str, attack: Hostile) -> list[Expected]:
    async with connected(port) as (reader, writer):
        sending = asyncio.create_task(_send(writer, attack.sent.replace(KEY, secret.encode())))
        async with asyncio.timeout(PATIENCE):
            answers = [_told(await read_answer(reader)) for _ in attack.answers]
            if attack.closed:
                await _ends(reader)
        sending.cancel()
    return answers


def _told(answer: RawAnswer) -> Expected:
    """Status and code. Every refusal must be a problem document that carries its request id."""
    if answer.status < 400:
        return answer.status, None
    problem = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["request_id"] == answer.headers["x-request-id"]
    assert problem["status"] == answer.status
    return answer.status, problem["code"]


async def _send(writer: asyncio.StreamWriter, data: bytes) -> None:
    with suppress(ConnectionError):  # refused before all was sent
        writer.write(data)
        await writer.drain()


async def _ends(reader: asyncio.StreamReader) -> None:
    """Wait for the end of the connection, before which nothing may come."""
    with suppress(ConnectionResetError):  # also an end: not all we sent was read
        assert await reader.read() == b""


async def _started(stack: AsyncExitStack, folder: Path) -> Target:
    identity, service = SmallIdentity(), EchoService()
    keys = await stack.enter_async_context(served(identity.app))
    drafts = await stack.enter_async_context(served(service))
    gateway = await stack.enter_async_context(
        gateway_process(folder, identity=keys, service=drafts, RATE_LIMIT_PER_IP="1000000/day")
    )
    return Target(gateway, service, identity.issue(*Scope, rate_limits=[]))


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def target(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Target]:
    """One gateway process that takes all of it."""
    async with AsyncExitStack() as stack:
        yield await _started(stack, tmp_path_factory.mktemp("hostile"))


@pytest.mark.parametrize("attack", HOSTILE, ids=lambda attack: attack.name)
async def test_a_hostile_request_gets_its_refusal(target: Target, attack: Hostile) -> None:
    target.service.reset()
    assert await target.suffer(attack) == list(attack.answers)
    assert len(target.service.seen) == attack.reaches
    assert all(seen.header("x-forwarded-for") == "127.0.0.1" for seen in target.service.seen)
    assert not any(seen.header("idempotency-key") for seen in target.service.seen)


async def test_after_all_of_them_at_once_the_gateway_is_as_well_as_before(target: Target) -> None:
    before = await target.open_files()
    for _ in range(3):
        await asyncio.gather(*map(target.suffer, HOSTILE))

    async def holds_no_more_than_before() -> bool:
        return await target.open_files() <= before + 10  # connections to services may stay open

    await until(holds_no_more_than_before, "connections are closed")
    assert await target.gateway.is_ready()
    good = await exchange(target.gateway.port, GOOD.replace(KEY, target.key.secret.encode()))
    assert good.status == 200


async def test_none_of_them_makes_the_gateway_log_an_error(target: Target) -> None:
    await asyncio.gather(*map(target.suffer, HOSTILE))
    log = target.gateway.child.stderr.read_text()
    assert '"level":"ERROR"' not in log
    assert "Traceback" not in log


async def test_none_of_them_leaves_a_task_behind(gateway: Running) -> None:
    secret = gateway.identity.issue(*Scope, rate_limits=[]).secret
    await gateway.client.get("/health/ready")
    before = len(asyncio.all_tasks())
    await asyncio.gather(*(_attack(gateway.port, secret, attack) for attack in HOSTILE))

    async def as_many_as_before() -> bool:
        return len(asyncio.all_tasks()) <= before

    await until(as_many_as_before, "tasks have ended")
