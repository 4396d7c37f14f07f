"""What is promised of tenants: one switch for all their keys, one limit over all of them, bytes of their own."""

from typing import Any

import pytest

from support.api import Api, problem_of
from support.clients import BOUND, Clients, at_once, comes_to, issue, unique, works
from support.until import until

TENANTS = "/api/v1/tenants"
DRAFTS = "/api/v1/drafts"
MISSING = "01a1f935-6ae0-76e9-8f73-000000000000"


async def test_a_new_tenant_is_active_unlimited_and_samples_its_reads(admin: Api) -> None:
    name = unique("t")
    answer = await admin.call("POST", TENANTS, {"name": name})
    assert answer.status_code == 201
    made = answer.json()
    assert (made["name"], made["status"], made["rate_limits"], made["access_audit"]) == (name, "active", [], "sampled")
    assert await admin.json("GET", f"{TENANTS}/{made['id']}") == made


@pytest.mark.parametrize("name", ["", "A", "-a", "a_b", "a b", "a" * 64, "é", "a\n", "../a", None])
async def test_a_tenants_name_is_lower_case_letters_digits_and_hyphens(admin: Api, name: Any) -> None:
    assert (await admin.problem("POST", TENANTS, {"name": name}))[0] == 422


async def test_a_name_is_one_tenants(admin: Api, clients: Clients) -> None:
    taken, other = unique("t"), await clients.tenant(admin)
    answers = await at_once(6, lambda _: admin.call("POST", TENANTS, {"name": taken}))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 5
    assert await admin.problem("POST", TENANTS, {"name": taken}) == (409, "tenant_exists")
    assert await admin.problem("PATCH", f"{TENANTS}/{other}", {"name": taken}) == (409, "tenant_exists")


async def test_a_repeat_makes_no_second_tenant(admin: Api) -> None:
    body, headers = {"name": unique("t")}, {"Idempotency-Key": unique("tenant")}
    first = await admin.call("POST", TENANTS, body, headers=headers)
    again = await admin.call("POST", TENANTS, body, headers=headers)
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.headers["idempotent-replayed"] == "true"
    assert first.json() == again.json()
    other = await admin.call("POST", TENANTS, body | {"access_audit": "off"}, headers=headers)
    assert problem_of(other) == (422, "idempotency_key_reused")


async def test_a_patch_leaves_alone_what_it_leaves_out(admin: Api, clients: Clients) -> None:
    tenant = await clients.tenant(admin, rate_limits=[{"amount": 9, "seconds": 7}], access_audit="off")
    before = await admin.json("GET", f"{TENANTS}/{tenant}")
    changes: list[dict[str, Any]] = [
        {"name": unique("renamed")},
        {"access_audit": "full"},
        {"status": "suspended"},
        {"rate_limits": []},
        {"status": "active"},
        {},
    ]
    for change in changes:
        after = await admin.json("PATCH", f"{TENANTS}/{tenant}", change)
        assert after == before | change
        before = await admin.json("GET", f"{TENANTS}/{tenant}")
        assert before == after


@pytest.mark.parametrize("change", [{"status": "gone"}, {"status": None}, {"id": MISSING}, {"access_audit": "some"}])
async def test_a_wrong_change_changes_nothing(admin: Api, clients: Clients, change: dict[str, Any]) -> None:
    tenant = await clients.tenant(admin)
    before = await admin.json("GET", f"{TENANTS}/{tenant}")
    assert (await admin.problem("PATCH", f"{TENANTS}/{tenant}", change))[0] == 422
    assert await admin.json("GET", f"{TENANTS}/{tenant}") == before


async def test_a_missing_tenant_is_not_found(admin: Api) -> None:
    assert await admin.problem("GET", f"{TENANTS}/{MISSING}") == (404, "tenant_not_found")
    assert await admin.problem("PATCH", f"{TENANTS}/{MISSING}", {"status": "active"}) == (404, "tenant_not_found")
    body = {"name": "lost", "scopes": ["drafts:read"], "tenant_id": MISSING}
    assert await admin.problem("POST", "/api/v1/keys", body) == (404, "tenant_not_found")


async def test_a_list_of_tenants_neither_skips_nor_doubles(admin: Api, clients: Clients) -> None:
    there = {await clients.tenant(admin) for _ in range(5)}
    seen: list[str] = []
    cursor = ""
    for _ in range(500):
        page = await admin.json("GET", f"{TENANTS}?limit=3{cursor}")
        seen += [tenant["id"] for tenant in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert len(seen) == len(set(seen))
    assert there <= set(seen)


async def test_a_suspended_tenants_keys_all_stop_and_go_on_where_they_were(admin: Api, clients: Clients) -> None:
    tenant = await clients.tenant(admin)
    keys = [await issue(admin, tenant_id=tenant) for _ in range(3)]
    owners = [await clients.of(key["key"]) for key in keys]
    bystander = await clients.of((await issue(admin))["key"])
    draft = await owners[0].draft("kept.txt")
    await admin.json("PATCH", f"{TENANTS}/{tenant}", {"status": "suspended"})
    for owner in owners:
        await comes_to(owner, 403, "tenant_suspended", path=DRAFTS)
    assert await works(bystander)
    assert (await admin.json("GET", f"{TENANTS}/{tenant}"))["status"] == "suspended"
    assert len((await admin.json("GET", f"/api/v1/keys?tenant_id={tenant}"))["items"]) == 3
    await admin.json("PATCH", f"{TENANTS}/{tenant}", {"status": "active"})
    for owner in owners:
        await until(lambda owner=owner: works(owner), "it goes on", seconds=BOUND)  # type: ignore[misc]
    assert (await owners[0].json("GET", f"{DRAFTS}/{draft['id']}"))["state"] == "open"


async def test_a_key_made_in_a_suspended_tenant_opens_nothing_before_the_tenant_is_active(
    admin: Api, clients: Clients
) -> None:
    tenant = await clients.tenant(admin)
    await admin.json("PATCH", f"{TENANTS}/{tenant}", {"status": "suspended"})
    body = {"name": "early", "scopes": ["drafts:read"], "tenant_id": tenant}
    answer = await admin.call("POST", "/api/v1/keys", body)
    if answer.status_code == 201:
        assert await (await clients.of(answer.json()["key"])).problem("GET", DRAFTS) == (403, "tenant_suspended")


async def test_a_tenants_limit_counts_all_its_keys_together(admin: Api, clients: Clients) -> None:
    tenant = await clients.tenant(admin, rate_limits=[{"amount": 20, "seconds": 600}])
    owners = [await clients.of((await issue(admin, tenant_id=tenant))["key"]) for _ in range(3)]
    answers = await at_once(60, lambda number: owners[number % 3].call("GET", DRAFTS))
    statuses = [answer.status_code for answer in answers]
    assert (statuses.count(200), statuses.count(429)) == (20, 40)
    for owner in owners:
        answer = await owner.call("GET", DRAFTS)
        assert problem_of(answer) == (429, "rate_limited")
        assert int(answer.headers["retry-after"]) >= 1


async def test_a_key_keeps_to_the_stricter_of_its_own_and_its_tenants_limits(admin: Api, clients: Clients) -> None:
    tenant = await clients.tenant(admin, rate_limits=[{"amount": 8, "seconds": 600}])
    narrow = await clients.of(
        (await issue(admin, tenant_id=tenant, rate_limits=[{"amount": 3, "seconds": 600}]))["key"]
    )
    wide = await clients.of((await issue(admin, tenant_id=tenant))["key"])
    assert [await works(narrow) for _ in range(5)] == [True] * 3 + [False] * 2
    used = 3
    assert [await works(wide) for _ in range(7)] == [True] * (8 - used) + [False] * 2, "refusals cost nothing"


async def test_a_new_limit_of_a_tenant_holds(admin: Api, clients: Clients) -> None:
    tenant = await clients.tenant(admin)
    owner = await clients.of((await issue(admin, tenant_id=tenant))["key"])
    assert await works(owner)
    await admin.json("PATCH", f"{TENANTS}/{tenant}", {"rate_limits": [{"amount": 1, "seconds": 600}]})
    await comes_to(owner, 429, "rate_limited")
    await admin.json("PATCH", f"{TENANTS}/{tenant}", {"rate_limits": []})
    await until(lambda: works(owner), "the limit is lifted", seconds=BOUND)


async def test_the_same_name_in_two_tenants_is_two_objects_under_the_prefixes_told(
    admin: Api, clients: Clients
) -> None:
    name = unique("shared")
    scopes = ["drafts:read", "drafts:write", "drafts:confirm", "objects:read"]
    tenants = [await clients.tenant(admin) for _ in range(2)]
    for number, tenant in enumerate(tenants):
        owner = await clients.of((await issue(admin, tenant_id=tenant, scopes=scopes))["key"])
        receipt = await owner.confirmed(name, b"x" * (number + 1))
        assert (await owner.json("GET", f"/api/v1/objects/{name}"))["size"] == number + 1
        told = (await admin.json("GET", f"{TENANTS}/{tenant}"))["store_prefixes"]
        bucket, _, key = receipt["final_location"].partition("/")
        assert bucket == clients.stack.main_bucket
        assert key.startswith(told["main"])
        assert told["main"] == f"tenants/{tenant}/"


async def test_what_another_tenant_has_looks_like_what_nobody_has(admin: Api, clients: Clients) -> None:
    scopes = ["drafts:read", "drafts:write", "drafts:confirm", "objects:read", "objects:delete"]
    theirs = await clients.of((await issue(admin, tenant_id=await clients.tenant(admin), scopes=scopes))["key"])
    mine = await clients.of((await issue(admin, tenant_id=await clients.tenant(admin), scopes=scopes))["key"])
    draft, name = await theirs.uploaded("draft", b"x"), unique("object")
    await theirs.confirmed(name, b"x")
    for method, path, body in (
        ("GET", f"{DRAFTS}/{{id}}", None),
        ("POST", f"{DRAFTS}/{{id}}/confirm", {}),
        ("POST", f"{DRAFTS}/{{id}}/download-url", None),
        ("POST", f"{DRAFTS}/{{id}}/upload-url", None),
        ("POST", f"{DRAFTS}/{{id}}/extend", {"ttl": 600}),
        ("DELETE", f"{DRAFTS}/{{id}}", None),
        ("GET", f"{DRAFTS}/{{id}}/events", None),
        ("POST", "/api/v1/confirmations", {"draft_ids": ["{id}"]}),
        ("GET", "/api/v1/objects/{name}", None),
        ("POST", "/api/v1/download-url", {"object_name": "{name}"}),
    ):
        refusals = [await _refusal(mine, method, path, body, **which) for which in _both(draft["id"], name)]
        assert refusals[0] == refusals[1], f"{method} {path}"
    assert (await theirs.json("GET", f"{DRAFTS}/{draft['id']}"))["state"] in {"open", "uploaded"}


def _both(draft_id: str, name: str) -> list[dict[str, str]]:
    return [{"id": draft_id, "name": name}, {"id": MISSING, "name": unique("nothing")}]


async def _refusal(api: Api, method: str, path: str, body: Any, **which: str) -> tuple[int, Any]:
    """What is told of something, without its name."""

    def filled(value: Any) -> Any:
        if isinstance(value, str):
            return value.replace("{id}", which["id"]).replace("{name}", which["name"])
        if isinstance(value, list):
            return [filled(one) for one in value]
        return {name: filled(one) for name, one in value.items()} if isinstance(value, dict) else value

    answer = await api.call(method, filled(path), filled(body))
    told = answer.text.replace(which["id"], "{id}").replace(which["name"], "{name}")
    return answer.status_code, told.replace(answer.headers["x-request-id"], "")
