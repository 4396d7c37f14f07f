"""The gateway as a process of its own: starts from its environment, and ends without dropping anybody."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from draftstore_common.contracts.identity import Scope
from support.gateway import SERVICE_KEY, EchoService, SmallIdentity
from support.plain_http import NO_TLS
from support.ports import free_port
from support.raw_http import connected, read_answer, request
from support.running_gateway import bearer
from support.uvicorn_server import served

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


async def _spawn(environment: dict[str, Any]) -> Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "draftstore_gateway",
        env={"PATH": os.environ["PATH"]} | {name: str(value) for name, value in environment.items()},
        stderr=asyncio.subprocess.PIPE,
    )


@asynccontextmanager
async def _process(identity: SmallIdentity, service: EchoService) -> AsyncIterator[tuple[Process, int]]:
    port = free_port()
    async with served(identity.app) as identity_port, served(service) as drafts_port:
        process = await _spawn(
            {
                "HTTP_PORT": port,
                "DRAIN_DELAY": 0,
                "SERVICE_KEY": SERVICE_KEY,
                "IDENTITY_URL": f"http://127.0.0.1:{identity_port}",
                "DRAFTS_URL": f"http://127.0.0.1:{drafts_port}",
            }
        )
        try:
            await asyncio.wait_for(_until_it_listens(port), 30)
            yield process, port
        finally:
            if process.returncode is None:
                process.kill()
            await process.communicate()


async def _until_it_listens(port: int) -> None:
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.05)  # another process's start has no event to wait for
        else:
            writer.close()
            await writer.wait_closed()
            return


async def test_a_gateway_process_serves_and_lets_requests_under_way_end_before_it_does() -> None:
    identity, service = SmallIdentity(), EchoService()
    key = bearer(identity.issue(Scope.DRAFTS_WRITE))
    async with _process(identity, service) as (process, port), connected(port) as (reader, writer):
        writer.write(request("POST", "/api/v1/drafts", key | {"Content-Length": "10"}, b"01234"))
        await asyncio.wait_for(identity.asked.wait(), 10)
        process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(_until_it_refuses(port), 10)
        writer.write(b"56789")
        answer = await asyncio.wait_for(read_answer(reader), 10)
        assert (answer.status, answer.json()["bytes"]) == (200, 10)
        await asyncio.wait_for(process.wait(), 10)


async def _until_it_refuses(port: int) -> None:
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            return
        writer.close()
        await writer.wait_closed()
        await asyncio.sleep(0.05)  # another process's end has no event to wait for


async def test_its_log_names_the_request_and_no_secret() -> None:
    identity, service = SmallIdentity(), EchoService()
    key = identity.issue(Scope.DRAFTS_READ)
    async with _process(identity, service) as (process, port):
        async with httpx.AsyncClient(verify=NO_TLS, base_url=f"http://127.0.0.1:{port}") as client:
            answer = await client.get("/api/v1/drafts?cursor=private", headers=bearer(key) | {"traceparent": PARENT})
        process.send_signal(signal.SIGTERM)
        _, log = await asyncio.wait_for(process.communicate(), 10)
    assert answer.headers["x-request-id"] in log.decode()
    assert f'"trace_id":"{PARENT[3:35]}"' in log.decode()
    token = service.seen[-1].header("authorization") or "absent"
    for secret in (key.secret, token.removeprefix("Bearer "), SERVICE_KEY, "private"):
        assert secret not in log.decode()


@pytest.mark.parametrize(
    ("wrong", "name"),
    [
        ({}, "SERVICE_KEY"),
        ({"SERVICE_KEY": "k", "RATE_LIMIT_PER_IP": "many"}, "RATE_LIMIT_PER_IP"),
        ({"SERVICE_KEY": "k", "TRUSTED_PROXIES": "10.0.0.0/40"}, "TRUSTED_PROXIES"),
        ({"SERVICE_KEY": "k", "REDIS_URL": "localhost:6379"}, "REDIS_URL"),
        ({"SERVICE_KEY": "k", "DRAFTS_URL": "drafts:7861"}, "DRAFTS_URL"),
    ],
)
async def test_a_wrong_setting_stops_the_start_with_one_line_that_names_it(wrong: dict[str, str], name: str) -> None:
    process = await _spawn(wrong)
    _, output = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 2
    assert name in output.decode()
    assert len(output.decode().strip().splitlines()) == 1
