"""The access audit through the gateway, with everything running, and while parts of it are killed."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from support.api import Api, problem_of
from support.leaks import leaked
from support.stack import ProcessesStack, Stack, make_stack, running, temporary_data_dir
from support.until import until

READERS = 6


@asynccontextmanager
async def watched_tenant(stack: Stack) -> AsyncIterator[Api]:
    """A back end of a new tenant that wants every access on record."""
    name = f"watched-{secrets.token_hex(4)}"
    async with stack.api(stack.admin_key) as admin:
        tenant = await admin.json("POST", "/api/v1/tenants", {"name": name, "access_audit": "full"}, status=201)
    async with stack.api((await stack.issue_key(tenant_id=tenant["id"]))["key"]) as api:
        yield api


async def test_who_could_read_an_object_is_answered_by_the_audit_log(stack: Stack, admin: Api) -> None:
    name = f"reports/{secrets.token_hex(4)}.pdf"
    async with watched_tenant(stack) as api:
        await api.confirmed(name, b"numbers")
        key = await api.json("GET", "/api/v1/keys/self")
        url = await api.json("POST", "/api/v1/download-url", {"object_name": name})
        assert await api.download(url["download_url"]) == b"numbers"
        assert (await api.problem("GET", f"/api/v1/objects/{name}.bak"))[0] == 404

        (entry,) = (await admin.json("GET", f"/api/v1/audit?target={name}"))["items"]
        assert (entry["action"], entry["actor"], entry["ip"]) == (
            "download_url.signed",
            f"key:{key['id']}",
            "127.0.0.1",
        )
        assert url["download_url"].partition("?")[2] not in str(entry)

        async def refusal_is_on_record() -> bool:
            found = await admin.json("GET", f"/api/v1/audit?target={name}.bak")
            return [item["code"] for item in found["items"]] == ["object_not_found"]

        await until(refusal_is_on_record, "the refused access is on record, too")


async def test_a_request_without_a_key_is_on_record_by_address(stack: Stack, admin: Api) -> None:
    async with stack.api(None) as nobody:
        answer = await nobody.call("GET", f"/api/v1/objects/{secrets.token_hex(8)}")
    assert answer.status_code == 401

    async def is_on_record() -> bool:
        found = await admin.json("GET", "/api/v1/audit?actor=anonymous&outcome=refused&limit=1000")
        return answer.headers["x-request-id"] in {item["request_id"] for item in found["items"]}

    await until(is_on_record, "the refusal is on record")


@pytest.fixture(scope="module")
async def breakable() -> AsyncIterator[ProcessesStack]:
    """A stack of processes for what breaks them."""
    with temporary_data_dir() as data_dir:
        described = make_stack("processes", "s3", data_dir)
        assert isinstance(described, ProcessesStack)
        async with running(described) as started:
            yield started
        assert leaked(described) == []


async def test_without_identity_a_known_key_gets_no_url(breakable: ProcessesStack) -> None:
    async with watched_tenant(breakable) as api:
        await api.confirmed("known/secret.txt", b"bytes")
        asked = ("POST", "/api/v1/download-url", {"object_name": "known/secret.txt"})
        await api.json(*asked)  # the gateway knows the key now, for some seconds
        await breakable.services["identity"].child.kill()
        try:
            answer = await api.call(*asked)
            assert problem_of(answer) == (503, "access_not_recorded")
            assert int(answer.headers["retry-after"]) >= 1
        finally:
            await breakable.services["identity"].start()

        async def is_back() -> bool:
            return (await api.call(*asked)).status_code == 200

        await until(is_back, "URLs are answered again")


async def test_no_url_is_answered_without_its_record_whatever_is_killed(breakable: ProcessesStack) -> None:
    stack = breakable
    async with watched_tenant(stack) as api:
        await api.confirmed("kept/secret.txt", b"bytes")
        answered: set[str] = set()
        refused: list[tuple[int, str]] = []
        stop = asyncio.Event()
        readers = [asyncio.create_task(_read(api, stop, answered, refused)) for _ in range(READERS)]
        try:
            for step in (
                stack.services["identity"].child.kill,
                stack.services["identity"].start,
                stack.postgres.kill,
                stack.postgres.start,
            ):
                await _more(answered, refused)
                await step()
            await _more(answered, refused, answers=True)
        finally:
            stop.set()
            await asyncio.gather(*readers)
    rows = await stack.sql("SELECT request_id FROM identity.audit WHERE action = 'download_url.signed'")
    recorded = {row["request_id"] for row in rows}
    assert len(answered) > READERS
    assert answered <= recorded, "a URL was answered that is not on record"
    assert {status for status, _ in refused} == {503}


async def _read(api: Api, stop: asyncio.Event, answered: set[str], refused: list[tuple[int, str]]) -> None:
    while not stop.is_set():
        try:
            answer = await api.call("POST", "/api/v1/download-url", {"object_name": "kept/secret.txt"})
        except httpx.TransportError:
            continue
        if answer.status_code == 200:
            answered.add(answer.headers["x-request-id"])
        else:
            refused.append(problem_of(answer))
            await asyncio.sleep(0.02)  # an outage is answered at once, and asked about more calmly


async def _more(answered: set[str], refused: list[tuple[int, str]], *, answers: bool = False) -> None:
    """Return when more requests were answered, or refused, if that will do."""
    before = len(answered) if answers else len(answered) + len(refused)

    async def more() -> bool:
        return (len(answered) if answers else len(answered) + len(refused)) >= before + READERS

    await until(more, "more requests were answered")
