"""Who could read what, and who was refused, is on record: as much as the tenant wants, and before it is granted."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio

from draftstore_common.clients.transport import Call
from draftstore_common.kit.ids import random_base62, uuid7
from support.back_end import BackEnd
from support.until import until

ALL_SCOPES = ("drafts:read", "drafts:write", "drafts:confirm", "objects:read", "objects:write", "objects:delete")
Log = Callable[..., Awaitable[list[dict[str, Any]]]]


@pytest_asyncio.fixture(loop_scope="session")
async def tenant(back_end: BackEnd) -> str:
    """The id of a tenant of one test's own."""
    admin = replace(back_end, key=back_end.admin_key)
    made = await admin.get("POST", "/api/v1/tenants", {"name": f"t-{random_base62(8).lower()}"}, 201)
    return str(made["id"])


@pytest_asyncio.fixture(loop_scope="session")
async def reader(back_end: BackEnd, tenant: str) -> BackEnd:
    """A back end of that tenant."""
    return await back_end.with_scopes(*ALL_SCOPES, tenant_id=tenant)


@pytest_asyncio.fixture(loop_scope="session")
async def log(back_end: BackEnd, tenant: str) -> AsyncIterator[Log]:
    """What the audit log says of the tenant's accesses, newest first, through the gateway."""
    auditor = await back_end.with_scopes("audit:read", tenant_id=tenant)

    async def read(**query: str) -> list[dict[str, Any]]:
        asked = "&".join(f"{name}={value}" for name, value in {"category": "access", **query}.items())
        items: list[dict[str, Any]] = (await auditor.get("GET", f"/api/v1/audit?{asked}"))["items"]
        return items

    yield read


async def wanting(back_end: BackEnd, tenant: str, mode: str) -> BackEnd:
    """A back end of the tenant, now that it wants this on record. Its key is new: no token of it says otherwise."""
    admin = replace(back_end, key=back_end.admin_key)
    await admin.get("PATCH", f"/api/v1/tenants/{tenant}", {"access_audit": mode})
    return await back_end.with_scopes(*ALL_SCOPES, tenant_id=tenant)


async def until_logged(log: Log, count: int, **query: str) -> list[dict[str, Any]]:
    async def there() -> bool:
        return len(await log(**query)) >= count

    await until(there, f"{count} accesses are on record")
    found = await log(**query)
    assert len(found) == count
    return found


def sampled_one_in(monkeypatch: pytest.MonkeyPatch, back_end: BackEnd, number: int) -> None:
    accesses = back_end.suite._drafts.state.context.accesses
    monkeypatch.setattr(accesses, "_sample", number)


async def download(reader: BackEnd, name: str, status: int = 200, **more: Any) -> dict[str, Any]:
    answer: dict[str, Any] = await reader.get(
        "POST", "/api/v1/download-url", {"object_name": name, **more}, status=status
    )
    return answer


async def test_full_every_url_is_on_record_before_it_is_answered(back_end: BackEnd, tenant: str, log: Log) -> None:
    reader = await wanting(back_end, tenant, "full")
    draft = await reader.upload(b"bytes", object_name="photos/cat.jpg")
    preview = await download(reader, "photos/cat.jpg")
    (first,) = await log(target="photos/cat.jpg")
    await reader.get("POST", f"/api/v1/drafts/{draft['id']}/confirm", {})
    url = await download(reader, "photos/cat.jpg")
    by_id = await reader.get("POST", f"/api/v1/drafts/{draft['id']}/download-url", {})
    third, second, again = await log(target="photos/cat.jpg")

    key = await reader.get("GET", "/api/v1/keys/self")
    assert again == first
    for entry, answer, kind in ((first, preview, "draft"), (second, url, "object"), (third, by_id, "object")):
        assert (entry["action"], entry["outcome"], entry["target_type"]) == ("download_url.signed", "allowed", kind)
        assert (entry["actor"], entry["tenant_id"], entry["ip"]) == (f"key:{key['id']}", tenant, "127.0.0.1")
        assert entry["detail"]["draft_id"] == draft["id"]
        assert entry["detail"]["expires_at"] == answer["expires_at"][:19] + "Z"
        assert answer["download_url"] not in json.dumps(entry)
        assert "X-Amz" not in json.dumps(entry)


async def test_full_costs_one_call_for_many_urls_at_once(back_end: BackEnd, tenant: str, log: Log) -> None:
    reader = await wanting(back_end, tenant, "full")
    await reader.upload(b"bytes", object_name="crowd.txt")
    await asyncio.gather(*(download(reader, "crowd.txt") for _ in range(60)))
    assert len(await log(target="crowd.txt")) == 60


async def test_off_nothing_is_on_record(back_end: BackEnd, tenant: str, log: Log) -> None:
    reader = await wanting(back_end, tenant, "off")
    await reader.upload(b"bytes", object_name="quiet.txt")
    await download(reader, "quiet.txt")
    await download(reader, "nothing.txt", 404)
    reader = await wanting(back_end, tenant, "full")
    await download(reader, "quiet.txt")
    assert len(await log()) == 1, "only what came after it was switched on"


async def test_sampled_some_urls_are_on_record_and_every_refusal(
    back_end: BackEnd, reader: BackEnd, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    await reader.upload(b"bytes", object_name="some.txt")
    sampled_one_in(monkeypatch, back_end, 10**9)
    for _ in range(5):
        await download(reader, "some.txt")
    await download(reader, "none.txt", 404)
    await until_logged(log, 1)
    sampled_one_in(monkeypatch, back_end, 1)
    await download(reader, "some.txt")
    (entry, _) = await until_logged(log, 2)
    assert (entry["target"], entry["detail"]["sampled_one_in"]) == ("some.txt", "1")


async def test_sampled_and_off_do_not_wait_for_identity_and_full_answers_no_url_without_it(
    back_end: BackEnd, tenant: str, reader: BackEnd, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    await reader.upload(b"bytes", object_name="wait.txt")
    sampled_one_in(monkeypatch, back_end, 1)
    identity = back_end.suite._identity.state.context.audit
    keep, gate = identity.keep, asyncio.Event()

    async def hang(events: Any) -> None:
        await gate.wait()
        await keep(events)

    monkeypatch.setattr(identity, "keep", hang)
    await asyncio.wait_for(download(reader, "wait.txt"), 3)
    reader = await wanting(back_end, tenant, "full")
    waiting = asyncio.create_task(download(reader, "wait.txt"))
    await asyncio.sleep(0.3)
    assert not waiting.done()
    gate.set()
    assert (await asyncio.wait_for(waiting, 10))["download_url"]
    assert len(await log(target="wait.txt")) == 2


async def test_full_a_record_that_cannot_be_kept_is_503_and_no_url(back_end: BackEnd, tenant: str, log: Log) -> None:
    reader = await wanting(back_end, tenant, "full")
    await reader.upload(b"bytes", object_name="kept.txt")
    await download(reader, "kept.txt")
    await back_end.database.rows("ALTER TABLE identity.audit RENAME TO audit_away")
    try:
        refused = await reader.ask("POST", "/api/v1/download-url", {"object_name": "kept.txt"})
        assert (refused.status, json.loads(refused.body)["code"]) == (503, "access_not_recorded")
        assert int(refused.headers["retry-after"]) >= 1
        assert b"X-Amz" not in refused.body
    finally:
        await back_end.database.rows("ALTER TABLE identity.audit_away RENAME TO audit")
    await download(reader, "kept.txt")
    assert len(await log(target="kept.txt")) == 2


async def test_a_refused_access_is_on_record_and_a_foreign_one_looks_like_an_absent_one(
    back_end: BackEnd, tenant: str, reader: BackEnd, log: Log
) -> None:
    foreign = (await back_end.upload(b"bytes", object_name=f"{random_base62(8)}.txt"))["id"]
    absent = str(uuid7())
    for draft in (foreign, absent):
        await reader.get("GET", f"/api/v1/drafts/{draft}", status=404)
    newest, oldest = await until_logged(log, 2)
    assert [entry["target"] for entry in (newest, oldest)] == [absent, foreign]
    said = [{**entry, "id": "", "at": "", "request_id": "", "target": ""} for entry in (newest, oldest)]
    assert said[0] == said[1]
    assert (newest["action"], newest["outcome"], newest["code"]) == ("access.refused", "refused", "draft_not_found")
    assert newest["tenant_id"] == tenant


@pytest.mark.parametrize(
    ("method", "path", "body", "target_type", "target"),
    [
        ("GET", "/api/v1/objects/a/b%20c.txt", None, "object", "a/b c.txt"),
        ("HEAD", "/api/v1/objects/a.txt", None, "object", "a.txt"),
        ("POST", "/api/v1/download-url", {"object_name": "d.txt"}, "object", "d.txt"),
        ("POST", "/api/v1/confirm-upload", {"object_name": "e.txt"}, "object", "e.txt"),
        ("POST", "/api/v1/drafts/{}/download-url", {}, "draft", "{}"),
        ("POST", "/api/v1/drafts/{}/confirm", {}, "draft", "{}"),
        ("DELETE", "/api/v1/drafts/{}", None, "draft", "{}"),
        ("GET", "/api/v1/drafts/{}/events", None, "draft", "{}"),
        ("GET", "/api/v1/confirmations/{}", None, "route", "GET /api/v1/confirmations/{}"),
    ],
)
async def test_what_was_asked_for_in_vain_is_on_record_by_its_name(
    reader: BackEnd, log: Log, method: str, path: str, body: Any, target_type: str, target: str
) -> None:
    absent = str(uuid7())
    answer = await reader.ask(method, path.replace("{}", absent), body)
    assert answer.status == 404, answer.body
    (entry,) = await until_logged(log, 1)
    assert (entry["target_type"], entry["target"]) == (target_type, target.replace("{}", absent))


async def test_a_name_outside_the_keys_prefixes_is_on_record_with_its_code(
    back_end: BackEnd, tenant: str, log: Log
) -> None:
    narrow = await back_end.with_scopes(*ALL_SCOPES, tenant_id=tenant, name_prefixes=["mine/"])
    await download(narrow, "theirs/a.txt", 403)
    await narrow.get("GET", "/api/v1/objects/theirs/a.txt", status=404)
    await narrow.get("POST", "/api/v1/drafts", {"object_name": "theirs/b.txt"}, status=403)
    third, second, first = await until_logged(log, 3)
    assert (first["code"], first["target"]) == ("object_name_not_allowed", "theirs/a.txt")
    assert (second["code"], second["target"]) == ("object_not_found", "theirs/a.txt")
    assert (third["code"], third["target"]) == ("object_name_not_allowed", "theirs/b.txt")


async def test_what_is_wrong_but_not_refused_is_not_on_record(reader: BackEnd, log: Log) -> None:
    await reader.get("POST", "/api/v1/drafts", {"object_name": ""}, status=422)
    await reader.get("POST", "/api/v1/drafts", {"object_name": "x.txt"}, status=201)
    await download(reader, "x.txt", 409)
    await download(reader, "last.txt", 404)
    (entry,) = await until_logged(log, 1)
    assert entry["target"] == "last.txt"


async def test_refusals_of_a_key_and_its_successors_are_thinned_out_together(
    back_end: BackEnd, reader: BackEnd, log: Log
) -> None:
    own = await reader.get("GET", "/api/v1/keys/self")
    for caller in (reader, replace(reader, key=await _rotated(back_end, own["id"]))):
        for number in range(20):
            await download(caller, f"{number}.txt", 404)
    await until_logged(log, 30)


async def _rotated(back_end: BackEnd, key_id: str) -> str:
    """The secret of a key's successor."""
    headers = {"authorization": f"Bearer {back_end.admin_key}", "idempotency-key": random_base62(12), "host": "suite"}
    call = Call("POST", f"/api/v1/keys/{key_id}/rotate", b"{}", {**headers, "content-type": "application/json"})
    reply = await back_end.gateway.send(call)
    assert reply.status == 201, reply.body
    return str(json.loads(reply.body)["key"])
