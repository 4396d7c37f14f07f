"""Keys and tenants from outside: what is changed here holds at the gateway within the published bound."""

from typing import Any

import httpx
import pytest

from draftstore_common.kit.ids import random_base62, uuid7
from support.api import Api, problem_of
from support.stack import Stack
from support.until import until

BOUND = 5.0
"""Seconds after which a revoked key opens nothing, feed or no feed."""


async def until_refused(api: Api, status: int, code: str) -> None:
    """Wait until the gateway refuses this key by this code, at most as long as is promised."""

    async def refused() -> bool:
        answer = await api.call("GET", "/api/v1/drafts")
        return answer.status_code != 200 and problem_of(answer) == (status, code)

    await until(refused, f"refused by {code}", seconds=BOUND)


async def rotate(admin: Api, key_id: str, body: dict[str, Any], idempotency_key: str) -> httpx.Response:
    path = f"/api/v1/keys/{key_id}/rotate"
    return await admin.call("POST", path, body, headers={"Idempotency-Key": idempotency_key})


async def test_a_key_is_rotated_without_a_gap_and_its_secret_is_told_once(stack: Stack, admin: Api) -> None:
    old = await stack.issue_key()
    given = random_base62(12)
    async with stack.api(old["key"]) as before:
        draft = await before.uploaded("rotation/a.txt", b"bytes")
        answer = await rotate(admin, old["id"], {"grace": 3600}, given)
        assert answer.status_code == 201, answer.text
        async with stack.api(answer.json()["key"]) as after:
            assert (await before.call("GET", f"/api/v1/drafts/{draft['id']}")).status_code == 200
            assert (await after.confirm(draft["id"]))["size"] == 5
        repeat = await rotate(admin, old["id"], {"grace": 3600}, given)
        assert (repeat.status_code, repeat.headers["idempotent-replayed"]) == (200, "true")
        assert "key" not in repeat.json()
        assert problem_of(await rotate(admin, old["id"], {}, random_base62(12))) == (409, "key_already_rotated")


async def test_without_grace_the_old_key_stops_within_the_bound(stack: Stack, admin: Api) -> None:
    old = await stack.issue_key()
    async with stack.api(old["key"]) as before:
        await before.json("GET", "/api/v1/drafts")
        answer = await rotate(admin, old["id"], {"grace": 0}, random_base62(12))
        async with stack.api(answer.json()["key"]) as after:
            assert (await after.call("GET", "/api/v1/drafts")).status_code == 200
        await until_refused(before, 401, "api_key_expired")


async def test_a_suspended_tenant_stops_and_goes_on(stack: Stack, admin: Api) -> None:
    tenant = await admin.json("POST", "/api/v1/tenants", {"name": f"t-{random_base62(10).lower()}"}, status=201)
    path = f"/api/v1/tenants/{tenant['id']}"
    async with stack.api((await stack.issue_key(tenant_id=tenant["id"]))["key"]) as api:
        await api.json("GET", "/api/v1/drafts")
        assert (await admin.json("PATCH", path, {"status": "suspended"}))["status"] == "suspended"
        await until_refused(api, 403, "tenant_suspended")
        await admin.json("PATCH", path, {"status": "active"})
        assert (await api.call("GET", "/api/v1/drafts")).status_code == 200


async def test_a_scope_that_is_taken_away_is_gone_within_the_bound(stack: Stack, admin: Api) -> None:
    key = await stack.issue_key()
    async with stack.api(key["key"]) as api:
        await api.json("GET", "/api/v1/drafts")
        await admin.json("PATCH", f"/api/v1/keys/{key['id']}", {"scopes": ["drafts:write"]})
        await until_refused(api, 403, "scope_missing")


async def test_any_key_ends_itself(stack: Stack) -> None:
    key = await stack.issue_key()
    async with stack.api(key["key"]) as api:
        assert (await api.json("DELETE", "/api/v1/keys/self"))["id"] == key["id"]
        await until_refused(api, 401, "api_key_revoked")


async def test_whoever_finds_a_key_ends_it_without_having_one(stack: Stack) -> None:
    key = await stack.issue_key()
    async with stack.api(None) as finder, stack.api(key["key"]) as api:
        answer = await finder.call("POST", "/api/v1/keys/revoke-leaked", {"keys": [key["key"], "nonsense"]})
        assert (answer.status_code, answer.content) == (202, b"")
        await until_refused(api, 401, "api_key_revoked")


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PATCH", f"/api/v1/keys/{uuid7()}", {"name": "x"}),
        ("POST", f"/api/v1/keys/{uuid7()}/rotate", {}),
        ("POST", "/api/v1/keys/import", {"name": "x", "scopes": ["drafts:read"], "hash": "00" * 32}),
        ("PATCH", f"/api/v1/tenants/{uuid7()}", {"status": "active"}),
    ],
)
async def test_a_data_key_without_the_scope_reaches_none_of_this(
    api: Api, method: str, path: str, body: dict[str, Any]
) -> None:
    answer = await api.call(method, path, body, headers={"Idempotency-Key": "x"})
    status, code = problem_of(answer)
    assert status == 403
    assert code in {"scope_missing", "wrong_key_kind"}
