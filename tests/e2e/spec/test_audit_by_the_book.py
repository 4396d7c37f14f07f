"""What is promised of the audit log: every change, refusal and read, with who, what, from where, in which request."""

import asyncio
import hashlib
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from support.api import Api, problem_of
from support.clients import Clients, at_once, comes_to, issue, rotate, rotated, unique
from support.until import until

KEYS = "/api/v1/keys"
TENANTS = "/api/v1/tenants"
MISSING = "01a1f935-6ae0-76e9-8f73-000000000000"
ALL = ["drafts:read", "drafts:write", "drafts:confirm", "objects:read", "objects:delete"]
WRITTEN_PER_MINUTE = 30


async def log(reader: Api, **filters: Any) -> list[dict[str, Any]]:
    """What the log has, newest first; at most a thousand entries."""
    page = await reader.json("GET", f"/api/v1/audit?{urlencode({'limit': 1000, **filters})}")
    items: list[dict[str, Any]] = page["items"]
    return items


async def entry_of(reader: Api, answer: httpx.Response, **filters: Any) -> dict[str, Any]:
    """The one entry of a request."""
    found = [entry for entry in await log(reader, **filters) if entry["request_id"] == answer.headers["x-request-id"]]
    assert len(found) == 1, found
    return found[0]


async def comes_entry(reader: Api, answer: httpx.Response, **filters: Any) -> dict[str, Any]:
    """The one entry of a request, which need not be written before the answer."""

    async def is_there() -> bool:
        wanted = answer.headers["x-request-id"]
        return any(entry["request_id"] == wanted for entry in await log(reader, **filters))

    await until(is_there, "the entry is written", seconds=10)
    return await entry_of(reader, answer, **filters)


async def my_id(caller: Api) -> str:
    return str((await caller.json("GET", f"{KEYS}/self"))["id"])


async def test_every_change_is_on_record_when_it_is_answered(admin: Api, clients: Clients) -> None:
    actor, address = f"key:{await my_id(admin)}", clients.address
    tenant = await admin.call("POST", TENANTS, {"name": unique("t")})
    tenant_id = tenant.json()["id"]
    body = {"name": "on record", "scopes": ["drafts:read"], "tenant_id": tenant_id}
    key = await admin.call("POST", KEYS, body)
    key_id = key.json()["id"]
    digest = hashlib.sha256(unique("secret").encode()).hexdigest()
    imported = await admin.call("POST", f"{KEYS}/import", body | {"hash": digest})
    changes = [
        (tenant, "tenant", tenant_id, tenant_id),
        (key, "key", key_id, tenant_id),
        (imported, "key", imported.json()["id"], tenant_id),
        (await admin.call("PATCH", f"{KEYS}/{key_id}", {"name": "new"}), "key", key_id, tenant_id),
        (await rotate(admin, key_id, grace=60), "key", None, tenant_id),
        (await admin.call("DELETE", f"{KEYS}/{key_id}"), "key", key_id, tenant_id),
        (await admin.call("PATCH", f"{TENANTS}/{tenant_id}", {"status": "suspended"}), "tenant", tenant_id, tenant_id),
    ]
    actions = []
    for answer, target_type, target, concerned in changes:
        assert answer.is_success, answer.text
        entries = [e for e in await log(admin, actor=actor) if e["request_id"] == answer.headers["x-request-id"]]
        assert entries, f"nothing on record of {answer.request.method} {answer.request.url.path}"
        for entry in entries:
            assert (entry["category"], entry["outcome"], entry["code"]) == ("admin", "allowed", None)
            assert (entry["ip"], entry["tenant_id"], entry["target_type"]) == (address, concerned, target_type)
        assert target is None or target in {entry["target"] for entry in entries}
        actions.append(entries[0]["action"])
    assert all(action.startswith(("key.", "tenant.")) for action in actions)
    assert len(set(actions)) >= 6, "each kind of change has a name"


async def test_what_changed_is_on_record_but_no_secret_and_no_hash(admin: Api) -> None:
    made = await issue(admin, name="before")
    await admin.json("PATCH", f"{KEYS}/{made['id']}", {"name": "after", "scopes": ["objects:read"]})
    new = await rotated(admin, made["id"])
    entries = [*await log(admin, target=made["id"]), *await log(admin, target=new["id"])]
    text = str(entries)
    assert "'after'" in text
    assert "objects:read" in text
    for secret in (made["key"], new["key"]):
        assert secret not in text
        assert secret[-38:] not in text
        assert hashlib.sha256(secret.encode()).hexdigest() not in text


async def test_every_refused_administration_is_on_record(admin: Api, clients: Clients) -> None:
    tenant = await clients.tenant(admin)
    managing = await clients.of((await issue(admin, scopes=["keys:admin", "drafts:read"], tenant_id=tenant))["key"])
    plain = await clients.of((await issue(admin, tenant_id=tenant))["key"])
    taken = (await admin.json("GET", f"{TENANTS}/{tenant}"))["name"]
    gone = await issue(admin)
    await admin.json("DELETE", f"{KEYS}/{gone['id']}")
    refusals = [
        (plain, await plain.call("GET", KEYS), 403),
        (plain, await plain.call("POST", KEYS, {"name": "x", "scopes": ["drafts:read"]}), 403),
        (plain, await plain.call("GET", TENANTS), 403),
        (plain, await plain.call("GET", "/api/v1/audit"), 403),
        (managing, await managing.call("POST", KEYS, {"name": "x", "scopes": ["audit:read"]}), 403),
        (managing, await managing.call("GET", f"{KEYS}/{MISSING}"), 404),
        (managing, await managing.call("PATCH", f"{KEYS}/{MISSING}", {"enabled": True}), 404),
        (admin, await admin.call("POST", TENANTS, {"name": taken}), 409),
        (admin, await rotate(admin, gone["id"]), 409),
        (admin, await admin.call("POST", KEYS, {"name": "x"}), 422),
        (admin, await admin.call("GET", f"{TENANTS}/{MISSING}"), 404),
    ]
    for caller, answer, status in refusals:
        assert answer.status_code == status, answer.text
        entry = await comes_entry(admin, answer, outcome="refused")
        what = f"{answer.request.method} {answer.request.url.path}: {entry}"
        assert (entry["outcome"], entry["code"]) == ("refused", answer.json()["code"]), what
        assert entry["actor"] == f"key:{await my_id(caller)}", what
        assert entry["ip"] == clients.address, what
        assert entry["tenant_id"] == (None if caller is admin else tenant), what


async def test_refusals_by_one_key_and_its_successors_are_written_at_most_thirty_times_a_minute(
    admin: Api, clients: Clients
) -> None:
    first = await issue(admin, scopes=["keys:admin"])
    second = await rotated(admin, first["id"], grace=600)
    callers = [await clients.of(first["key"]), await clients.of(second["key"])]
    await at_once(80, lambda number: callers[number % 2].call("GET", f"{KEYS}/{MISSING}"))
    written = [
        entry for key in (first, second) for entry in await log(admin, actor=f"key:{key['id']}", outcome="refused")
    ]
    assert 1 <= len(written) <= WRITTEN_PER_MINUTE
    other = await clients.of((await issue(admin, scopes=["keys:admin"]))["key"])
    refused = await other.call("GET", f"{KEYS}/{MISSING}")
    await comes_entry(admin, refused, actor=f"key:{await my_id(other)}")


async def test_a_leak_report_says_why(admin: Api, clients: Clients, nobody: Api) -> None:
    tenant = await clients.tenant(admin)
    made = await issue(admin, tenant_id=tenant)
    answer = await nobody.call("POST", f"{KEYS}/revoke-leaked", {"keys": [made["key"]]})
    entry = await entry_of(admin, answer, target=made["id"])
    assert (entry["action"], entry["outcome"], entry["actor"]) == ("key.revoked", "allowed", "anonymous")
    assert (entry["ip"], entry["tenant_id"]) == (clients.address, tenant)
    assert entry["detail"]["reason"] == "leak_report"


async def test_a_key_that_revoked_itself_is_on_record_as_the_actor(admin: Api, clients: Clients) -> None:
    made = await issue(admin)
    answer = await (await clients.of(made["key"])).call("DELETE", f"{KEYS}/self")
    entry = await entry_of(admin, answer, target=made["id"])
    assert (entry["action"], entry["actor"]) == ("key.revoked", f"key:{made['id']}")


async def test_filters_select_and_combine(admin: Api, clients: Clients) -> None:
    actor = f"key:{await my_id(admin)}"
    tenant = await clients.tenant(admin)
    made = await issue(admin, tenant_id=tenant)
    await admin.call("GET", f"{KEYS}/{MISSING}")
    mine = await log(admin, actor=actor)
    assert mine
    assert {entry["actor"] for entry in mine} == {actor}
    assert mine == sorted(mine, key=lambda entry: entry["at"], reverse=True), "newest first"
    created = await log(admin, actor=actor, action="key.created")
    assert {entry["action"] for entry in created} == {"key.created"}
    assert made["id"] in {entry["target"] for entry in created}
    assert {entry["tenant_id"] for entry in await log(admin, tenant_id=tenant)} == {tenant}
    assert {entry["target"] for entry in await log(admin, target=made["id"])} == {made["id"]}
    refused = await log(admin, actor=actor, outcome="refused")
    assert {entry["outcome"] for entry in refused} == {"refused"}
    assert {entry["category"] for entry in await log(admin, category="admin", actor=actor)} == {"admin"}
    assert await log(admin, actor=actor, tenant_id=tenant, outcome="refused", action="key.created") == []
    (entry,) = [entry for entry in created if entry["target"] == made["id"]]
    after = await log(admin, actor=actor, since=entry["at"])
    assert all(_at(found) >= _at(entry) for found in after)
    before = await log(admin, actor=actor, until=entry["at"])
    assert all(_at(found) <= _at(entry) for found in before)
    assert {found["id"] for found in mine} <= {found["id"] for found in [*after, *before]} | {entry["id"]}


def _at(entry: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(entry["at"])


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=1001", "cursor=x", "outcome=maybe", "category=x", "since=x", "tenant_id=x"]
)
async def test_a_malformed_question_is_refused(admin: Api, query: str) -> None:
    assert (await admin.problem("GET", f"/api/v1/audit?{query}"))[0] == 422


async def test_pages_neither_skip_nor_double_while_the_log_grows(admin: Api, clients: Clients) -> None:
    tenant = await clients.tenant(admin)
    for _ in range(6):
        await issue(admin, tenant_id=tenant)
    there = {entry["id"] for entry in await log(admin, tenant_id=tenant)}
    seen: list[str] = []
    query = f"tenant_id={tenant}&limit=2"
    for _ in range(30):
        page = await admin.json("GET", f"/api/v1/audit?{query}")
        assert len(page["items"]) <= 2
        seen += [entry["id"] for entry in page["items"]]
        if page["next_cursor"] is None:
            break
        await issue(admin, tenant_id=tenant)
        query = f"tenant_id={tenant}&limit=2&cursor={page['next_cursor']}"
    assert len(seen) == len(set(seen))
    assert there <= set(seen)


async def test_a_tenant_reads_what_concerns_it_and_nothing_else(admin: Api, clients: Clients) -> None:
    mine, theirs = await clients.tenant(admin), await clients.tenant(admin)
    reader = await clients.of((await issue(admin, tenant_id=mine, scopes=["audit:read"]))["key"])
    own, foreign = await issue(admin, tenant_id=mine), await issue(admin, tenant_id=theirs)
    another_admin = await issue(admin, kind="admin", scopes=[])
    told = await log(reader)
    assert own["id"] in {entry["target"] for entry in told}
    assert {entry["tenant_id"] for entry in told} == {mine}
    for hidden in (foreign["id"], another_admin["id"], theirs):
        assert await log(reader, target=hidden) == []
    questions = [await reader.call("GET", f"/api/v1/audit?tenant_id={which}") for which in (theirs, MISSING)]
    assert questions[0].status_code == questions[1].status_code
    assert not questions[0].json().get("items")


async def test_the_log_is_read_by_who_may_only(admin: Api, clients: Clients) -> None:
    managing = await clients.of((await issue(admin, scopes=["keys:admin", *ALL]))["key"])
    assert await managing.problem("GET", "/api/v1/audit") == (403, "scope_missing")


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_nobody_changes_the_log(admin: Api, method: str) -> None:
    assert await admin.problem(method, "/api/v1/audit", {}) == (405, "method_not_allowed")
    (entry,) = (await admin.json("GET", "/api/v1/audit?limit=1"))["items"]
    assert (await admin.problem(method, f"/api/v1/audit/{entry['id']}", {}))[0] in {404, 405}


async def test_the_services_role_may_not_change_or_remove_what_is_on_record(clients: Clients) -> None:
    granted = await clients.stack.sql(
        "SELECT privilege, has_table_privilege('draftstore_identity', 'identity.audit', privilege) AS granted"
        " FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'TRIGGER']) AS privilege"
    )
    assert {row["privilege"]: row["granted"] for row in granted} == {
        "SELECT": True,
        "INSERT": True,
        "UPDATE": False,
        "DELETE": False,
        "TRUNCATE": False,
        "TRIGGER": False,
    }
    (row,) = await clients.stack.sql(
        "SELECT has_any_column_privilege('draftstore_identity', 'identity.audit', 'UPDATE') AS columns,"
        " pg_has_role('draftstore_identity', relowner, 'USAGE') AS owns,"
        " (SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = 'draftstore_identity') AS rules"
        " FROM pg_class WHERE oid = 'identity.audit'::regclass"
    )
    assert (row["columns"], row["owns"], row["rules"]) == (False, False, False)


async def test_in_full_mode_every_signed_url_is_on_record_before_it_is_answered(admin: Api, clients: Clients) -> None:
    tenant = await clients.tenant(admin, access_audit="full")
    made = await issue(admin, tenant_id=tenant, scopes=ALL)
    owner = await clients.of(made["key"])
    name = unique("secret/plan") + ".pdf"
    draft = await owner.uploaded(name, b"x")
    preview = await owner.call("POST", f"/api/v1/drafts/{draft['id']}/download-url")
    by_name = await owner.call("POST", "/api/v1/download-url", {"object_name": name})
    await owner.confirm(draft["id"])
    confirmed = await owner.call("POST", "/api/v1/download-url", {"object_name": name})
    by_draft = await owner.call("POST", f"/api/v1/drafts/{draft['id']}/download-url")
    answers = [preview, by_name, confirmed] + ([by_draft] if by_draft.is_success else [])
    for answer in answers:
        assert answer.status_code == 200, answer.text
        entry = await entry_of(admin, answer, category="access", tenant_id=tenant)
        assert (entry["action"], entry["outcome"]) == ("download_url.signed", "allowed")
        assert (entry["actor"], entry["ip"]) == (f"key:{made['id']}", clients.address)
    assert confirmed.json()["download_url"].split("?")[1] not in str(await log(admin, tenant_id=tenant))


async def test_who_could_read_this_object_has_an_answer(admin: Api, clients: Clients) -> None:
    """Every reader is found, whether it asked by name or by draft, before and after the confirm."""
    tenant = await clients.tenant(admin, access_audit="full")
    keys = [await issue(admin, tenant_id=tenant, scopes=ALL) for _ in range(4)]
    readers = [await clients.of(key["key"]) for key in keys]
    name = unique("wanted")
    draft = await readers[0].uploaded(name, b"x")
    assert (await readers[0].call("POST", f"/api/v1/drafts/{draft['id']}/download-url")).status_code == 200
    assert (await readers[1].call("POST", "/api/v1/download-url", {"object_name": name})).status_code == 200
    await readers[3].confirm(draft["id"])
    assert (await readers[2].call("POST", "/api/v1/download-url", {"object_name": name})).status_code == 200
    found = await log(admin, target=name, action="download_url.signed")
    found += await log(admin, target=draft["id"], action="download_url.signed")
    assert {entry["actor"] for entry in found} == {f"key:{key['id']}" for key in keys[:3]}


async def test_every_refused_read_is_on_record(admin: Api, clients: Clients) -> None:
    for mode in ("full", "sampled"):
        tenant = await clients.tenant(admin, access_audit=mode)
        foreign = await clients.of((await issue(admin, scopes=ALL))["key"])
        draft = await foreign.uploaded(unique("theirs"), b"x")
        curious = await issue(admin, tenant_id=tenant, scopes=["drafts:read", "objects:read"], name_prefixes=["a/"])
        caller = await clients.of(curious["key"])
        refusals = [
            await caller.call("GET", f"/api/v1/drafts/{draft['id']}"),
            await caller.call("POST", f"/api/v1/drafts/{draft['id']}/download-url"),
            await caller.call("POST", "/api/v1/download-url", {"object_name": "a/nothing"}),
            await caller.call("POST", "/api/v1/download-url", {"object_name": "b/outside"}),
            await caller.call("GET", "/api/v1/objects/b/outside"),
            await caller.call("POST", "/api/v1/drafts", {"object_name": "a/written"}),
        ]
        for answer in refusals:
            assert answer.status_code in {403, 404}, answer.text
            entry = await comes_entry(admin, answer, category="access", outcome="refused")
            what = f"{mode}: {answer.request.method} {answer.request.url.path}: {entry}"
            assert (entry["action"], entry["code"]) == ("access.refused", answer.json()["code"]), what
            assert (entry["actor"], entry["tenant_id"]) == (f"key:{curious['id']}", tenant), what
            assert entry["ip"] == clients.address, what


async def test_a_tenant_that_wants_nothing_on_record_has_nothing_of_its_reads(admin: Api, clients: Clients) -> None:
    """A tenant in full mode beside it does the same, so that there is something to wait for."""
    quiet = await clients.tenant(admin, access_audit="off")
    loud = await clients.tenant(admin, access_audit="full")
    for tenant in (quiet, loud):
        owner = await clients.of((await issue(admin, tenant_id=tenant, scopes=ALL))["key"])
        await owner.uploaded("read", b"x")
        await owner.download_url("read")
        refused = await owner.call("GET", f"/api/v1/drafts/{MISSING}")
    await comes_entry(admin, refused, tenant_id=loud)
    assert await log(admin, tenant_id=quiet, category="access") == []


async def test_a_tenant_that_switches_to_full_has_every_read_from_then_on(admin: Api, clients: Clients) -> None:
    tenant = await clients.tenant(admin, access_audit="off")
    owner = await clients.of((await issue(admin, tenant_id=tenant, scopes=ALL))["key"])
    await owner.uploaded("read", b"x")
    await admin.json("PATCH", f"{TENANTS}/{tenant}", {"access_audit": "full"})

    async def is_on_record() -> bool:
        await owner.download_url("read")
        return bool(await log(admin, tenant_id=tenant, action="download_url.signed"))

    await until(is_on_record, "the switch holds", seconds=5)


async def test_a_log_of_many_callers_at_once_has_them_all(admin: Api, clients: Clients) -> None:
    tenant = await clients.tenant(admin, access_audit="full")
    owner = await clients.of((await issue(admin, tenant_id=tenant, scopes=ALL))["key"])
    await owner.uploaded("crowd", b"x")
    body = {"object_name": "crowd"}
    answers = await asyncio.gather(*(owner.call("POST", "/api/v1/download-url", body) for _ in range(40)))
    assert {answer.status_code for answer in answers} == {200}
    told = {entry["request_id"] for entry in await log(admin, tenant_id=tenant, action="download_url.signed")}
    assert {answer.headers["x-request-id"] for answer in answers} <= told


async def test_a_suspended_callers_attempts_are_refused_accesses(admin: Api, clients: Clients) -> None:
    tenant = await clients.tenant(admin, access_audit="full")
    owner = await clients.of((await issue(admin, tenant_id=tenant, scopes=ALL))["key"])
    await admin.json("PATCH", f"{TENANTS}/{tenant}", {"status": "suspended"})
    await comes_to(owner, 403, "tenant_suspended", path="/api/v1/drafts")
    answer = await owner.call("GET", "/api/v1/drafts")
    assert problem_of(answer) == (403, "tenant_suspended")
    entry = await comes_entry(admin, answer, category="access", outcome="refused")
    assert entry["code"] == "tenant_suspended"
