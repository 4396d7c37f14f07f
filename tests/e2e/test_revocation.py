"""What a key may no longer do ends at once, in the composed process as between processes."""

from typing import Any

import pytest

from support.api import Api
from support.stack import Stack
from support.until import until

AT_ONCE = 3.0
"""Seconds: less than the age at which a verdict is asked for again anyway."""


async def _until_refused(api: Api, status: int, code: str) -> None:
    async def refused() -> bool:
        return (await api.call("GET", "/api/v1/drafts")).status_code != 200

    await until(refused, "the key is refused", seconds=AT_ONCE)
    assert await api.problem("GET", "/api/v1/drafts") == (status, code)


@pytest.mark.parametrize(
    ("method", "body", "code"),
    [("DELETE", None, "api_key_revoked"), ("PATCH", {"enabled": False}, "api_key_disabled")],
    ids=["revoked", "disabled"],
)
async def test_a_key_stops_at_once(stack: Stack, admin: Api, method: str, body: Any, code: str) -> None:
    key = await stack.issue_key()
    async with stack.api(key["key"]) as api:
        await api.json("GET", "/api/v1/drafts")
        await admin.json(method, f"/api/v1/keys/{key['id']}", body)
        await _until_refused(api, 401, code)


async def test_the_keys_of_a_suspended_tenant_stop_at_once_and_go_on_with_it(stack: Stack, admin: Api) -> None:
    tenant = await admin.json("POST", "/api/v1/tenants", {"name": "to-be-suspended"}, status=201)
    async with stack.api((await stack.issue_key(tenant_id=tenant["id"]))["key"]) as api:
        await api.json("GET", "/api/v1/drafts")
        await admin.json("PATCH", f"/api/v1/tenants/{tenant['id']}", {"status": "suspended"})
        await _until_refused(api, 403, "tenant_suspended")
        await admin.json("PATCH", f"/api/v1/tenants/{tenant['id']}", {"status": "active"})
        await api.json("GET", "/api/v1/drafts")


async def test_a_reported_key_stops_at_once(stack: Stack) -> None:
    key = (await stack.issue_key())["key"]
    async with stack.api(key) as api, stack.api(None) as finder:
        await api.json("GET", "/api/v1/drafts")
        answer = await finder.call("POST", "/api/v1/keys/revoke-leaked", {"keys": [key]})
        assert answer.status_code == 202
        await _until_refused(api, 401, "api_key_revoked")
