"""Identity as a process: `python -m draftstore_identity`."""

import asyncio
import os
import re
import sys
from asyncio.subprocess import PIPE

import httpx

from draftstore_common.clients.identity import IdentityClient
from draftstore_common.clients.service_tokens import ServiceTokens
from draftstore_common.clients.transport import HttpTransport
from draftstore_common.contracts import api_keys
from draftstore_common.contracts.identity import Audience, ServiceName, VerifyRequest
from support.identity import SERVICE_KEYS, SERVICE_SECRETS
from support.plain_http import NO_TLS
from support.ports import free_port

SERVICE_KEYS_TEXT = ",".join(f"{name}={digest}" for digest, name in SERVICE_KEYS.items())


async def start(*arguments: str, **environment: str) -> asyncio.subprocess.Process:
    """The process, with this environment only."""
    path = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME"}}
    command = [sys.executable, "-m", "draftstore_identity", *arguments]
    return await asyncio.create_subprocess_exec(*command, env=path | environment, stderr=PIPE)


async def run(*arguments: str, **environment: str) -> tuple[int | None, list[str]]:
    """Exit status and lines on stderr of a process that ends by itself."""
    process = await start(*arguments, **environment)
    _, errors = await asyncio.wait_for(process.communicate(), 30)
    return process.returncode, errors.decode().splitlines()


async def lines_until(process: asyncio.subprocess.Process, end: str) -> list[str]:
    """What a process says up to the line that contains this."""
    assert process.stderr is not None
    lines: list[str] = []
    async with asyncio.timeout(30):
        async for line in process.stderr:
            lines.append(line.decode().rstrip())
            if end in lines[-1]:
                return lines
    raise AssertionError(f"ended before {end!r}: {lines}")


async def test_it_migrates_serves_and_prints_its_first_keys_once(postgres_url: str) -> None:
    assert (await run("migrate", DATABASE_URL=postgres_url))[0] == 0
    port = free_port()
    environment = {"DATABASE_URL": postgres_url, "SERVICE_KEYS": SERVICE_KEYS_TEXT, "HTTP_PORT": str(port)}
    process = await start(**environment)
    try:
        lines = await lines_until(process, "Uvicorn running")
        printed = [line for line in lines if "ds_" in line]
        assert [re.sub(r"_[^_]+$", "", line) for line in printed] == [
            "Data API Key: ds_live",
            "Admin API Key: ds_admin",
        ]
        async with HttpTransport(f"http://127.0.0.1:{port}") as transport:
            tokens = ServiceTokens(transport, SERVICE_SECRETS[ServiceName.GATEWAY])
            request = VerifyRequest(secret=printed[1].split()[-1], audience=Audience.IDENTITY)
            verdict = await IdentityClient(transport, tokens).verify(request)
        assert verdict.principal.kind == "admin"
        async with httpx.AsyncClient(verify=NO_TLS, base_url=f"http://127.0.0.1:{port}") as http:
            assert (await http.get("/health/ready")).json() == {"status": "ok", "checks": {"database": "ok"}}
    finally:
        process.terminate()
    _, rest = await asyncio.wait_for(process.communicate(), 30)
    assert b"Application shutdown complete" in rest
    assert b"ds_" not in rest


async def test_serving_on_an_unmigrated_schema_stops_with_one_line(postgres_url: str) -> None:
    status, lines = await run(DATABASE_URL=postgres_url, SERVICE_KEYS=SERVICE_KEYS_TEXT)
    text = "the database schema 'identity' is at revision none, this release needs 0003; run the migrations first"
    assert (status, lines) == (2, [f"Cannot start: {text}"])


async def test_a_database_that_is_away_stops_the_start_with_one_line() -> None:
    away = f"postgresql://nobody@127.0.0.1:{free_port()}/nothing"
    for arguments in ([], ["migrate"]):
        status, lines = await run(*arguments, DATABASE_URL=away, SERVICE_KEYS=SERVICE_KEYS_TEXT)
        assert status == 2
        assert len(lines) == 1
        assert lines[0].startswith("Cannot start: database_unavailable")


async def test_wrong_settings_stop_the_start_with_one_line() -> None:
    secret = api_keys.make("live")
    status, lines = await run(SERVICE_KEYS="gateway=1", ADMIN_API_KEY=secret)
    assert status == 2
    assert len(lines) == 1
    assert all(name in lines[0] for name in ("DATABASE_URL", "SERVICE_KEYS", "ADMIN_API_KEY"))
    assert secret not in lines[0]
