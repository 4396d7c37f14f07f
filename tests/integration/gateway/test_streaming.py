"""Bytes pass through the gateway as they come: no buffering, and whoever leaves is noticed by the other side."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from draftstore_common.clients.transport import AsgiTransport
from draftstore_common.contracts.identity import Audience, Scope
from draftstore_gateway.app import create_app
from draftstore_gateway.settings import GatewaySettings
from draftstore_gateway.upstreams import HttpUpstream
from support.gateway import SERVICE_KEY, SmallIdentity
from support.plain_http import NO_TLS
from support.ports import free_port
from support.raw_http import connected, read_answer, request
from support.running_gateway import Running, bearer
from support.uvicorn_server import served

MEBIBYTE = 1024 * 1024
LENGTH = 200 * MEBIBYTE
BOUND = 48 * MEBIBYTE
"""What gateway, service and client of these tests, all in this process, may hold together."""


class PeakMemory:
    """The most resident memory this process had since `reset` (proc(5))."""

    def reset(self) -> None:
        Path("/proc/self/clear_refs").write_text("5")
        self._before = self._read("VmRSS")

    def grown(self) -> int:
        return self._read("VmHWM") - self._before

    @staticmethod
    def _read(name: str) -> int:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


async def _bytes(length: int) -> AsyncIterator[bytes]:
    chunk = b"\xa5" * 65536
    for _ in range(length // len(chunk)):
        yield chunk


@pytest.mark.parametrize("declared", [True, False], ids=["with a length", "chunked"])
async def test_a_long_upload_passes_in_bounded_memory(gateway: Running, declared: bool) -> None:
    headers = gateway.headers(Scope.OBJECTS_WRITE)
    memory = PeakMemory()
    memory.reset()
    if declared:
        headers["content-length"] = str(LENGTH)
    answer = await gateway.client.put("/streams/a", content=_bytes(LENGTH), headers=headers)
    assert memory.grown() < BOUND
    assert answer.json()["bytes"] == LENGTH
    assert gateway.service.seen[-1].body_sha256 == hashlib.sha256(b"\xa5" * LENGTH).hexdigest()


async def test_a_long_download_passes_in_bounded_memory(gateway: Running) -> None:
    headers = gateway.headers(Scope.OBJECTS_READ)
    memory = PeakMemory()
    memory.reset()
    received = 0
    async with gateway.client.stream("GET", "/streams/stream-200", headers=headers) as answer:
        assert answer.headers["content-length"] == str(LENGTH)
        async for chunk in answer.aiter_raw():
            received += len(chunk)
    assert received == LENGTH
    assert memory.grown() < BOUND


async def test_a_reader_that_pauses_holds_the_service_back(gateway: Running) -> None:
    head = request("GET", "/streams/stream-200", gateway.headers(Scope.OBJECTS_READ))
    memory = PeakMemory()
    async with connected(gateway.port) as (reader, writer):
        memory.reset()
        writer.write(head)
        await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(MEBIBYTE)  # the rest is never read: 199 MiB must stay where they are
        await gateway.client.get("/health/live")
        assert memory.grown() < BOUND


@pytest.mark.parametrize("name", ["endless", "silent"])
async def test_a_client_that_leaves_is_noticed_by_the_service(gateway: Running, name: str) -> None:
    async with connected(gateway.port) as (reader, writer):
        writer.write(request("GET", f"/streams/{name}", gateway.headers(Scope.OBJECTS_READ)))
        await gateway.service.begun.wait()
        if name == "endless":
            await reader.readexactly(MEBIBYTE)
    await asyncio.wait_for(gateway.service.client_left.wait(), 10)


async def test_a_client_that_leaves_in_the_middle_of_its_body_is_noticed(gateway: Running) -> None:
    headers = gateway.headers(Scope.OBJECTS_WRITE) | {"content-length": "1000000"}
    async with connected(gateway.port) as (_, writer):
        writer.write(request("PUT", "/streams/a", headers, b"only a part"))
        await gateway.service.begun.wait()
    await asyncio.wait_for(gateway.service.client_left.wait(), 10)


async def test_the_gateway_serves_on_after_clients_left(gateway: Running) -> None:
    key = gateway.headers(Scope.OBJECTS_READ)
    for _ in range(5):
        async with connected(gateway.port) as (reader, writer):
            writer.write(request("GET", "/streams/endless", key))
            await reader.readexactly(1000)
    answer = await gateway.client.get("/api/v1/objects/a", headers=key)
    assert answer.status_code == 200


async def test_an_answer_that_breaks_off_is_not_taken_for_whole(gateway: Running) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        await gateway.client.get("/streams/break", headers=gateway.headers(Scope.OBJECTS_READ))


async def test_an_answer_before_the_body_was_read_reaches_a_client_that_still_sends(gateway: Running) -> None:
    body = b"x" * (10 * MEBIBYTE)
    headers = gateway.headers(Scope.OBJECTS_WRITE) | {"content-length": str(len(body) + 1)}
    async with connected(gateway.port) as (reader, writer):
        writer.write(request("PUT", "/streams/early", headers, body))
        await writer.drain()
        answer = await asyncio.wait_for(read_answer(reader), 10)
    assert answer.status == 409
    assert answer.headers["connection"] == "close"


async def test_a_refusal_reaches_a_client_that_still_sends(gateway: Running) -> None:
    body = b"x" * (10 * MEBIBYTE)
    headers = {"content-length": str(len(body) + 1)}
    async with connected(gateway.port) as (reader, writer):
        writer.write(request("POST", "/api/v1/drafts", headers, body))
        await writer.drain()
        answer = await asyncio.wait_for(read_answer(reader), 10)
    assert answer.status == 413


async def test_a_service_that_is_away_is_a_503_that_says_when_to_come_back() -> None:
    identity = SmallIdentity()
    app = create_app(
        GatewaySettings(service_key=SERVICE_KEY),
        identity=AsgiTransport(identity.app),
        upstreams={Audience.DRAFTS: HttpUpstream(f"http://127.0.0.1:{free_port()}")},
    )
    async with served(app) as port, httpx.AsyncClient(verify=NO_TLS, base_url=f"http://127.0.0.1:{port}") as client:
        key = bearer(identity.issue(Scope.DRAFTS_WRITE))
        answer = await client.post("/api/v1/drafts", json={"object_name": "a"}, headers=key)
    assert answer.status_code == 503
    assert answer.json()["code"] == "service_unavailable"
    assert int(answer.headers["retry-after"]) >= 1
