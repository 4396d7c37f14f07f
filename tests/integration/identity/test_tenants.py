"""Tenants, for admin keys only."""

import asyncio
from typing import Any

import httpx
import pytest

from draftstore_common.contracts.base import DEFAULT_TENANT_ID
from draftstore_common.contracts.identity import Audience
from draftstore_common.kit.errors import RelayedProblem
from draftstore_common.kit.ids import random_base62, uuid7
from support.identity import Installation

TENANTS = "/api/v1/tenants"


def a_name() -> str:
    """A tenant name nobody else chose."""
    return f"acme-{random_base62(12).lower()}"


async def test_an_admin_key_makes_a_tenant_and_finds_it_again(identity: Installation) -> None:
    answer = await identity.call(identity.admin_key, "POST", TENANTS, {"name": a_name()})
    assert answer.status_code == 201
    assert answer.json()["status"] == "active"
    shown = await identity.call(identity.admin_key, "GET", f"{TENANTS}/{answer.json()['id']}")
    assert shown.json() == answer.json()


async def test_a_fresh_installation_has_the_default_tenant(identity: Installation) -> None:
    answer = await identity.call(identity.admin_key, "GET", f"{TENANTS}/{DEFAULT_TENANT_ID}")
    assert answer.json()["name"] == "default"


async def test_a_tenant_name_is_taken_once_whoever_races_for_it(identity: Installation) -> None:
    body = {"name": a_name()}
    answers = await asyncio.gather(*(identity.call(identity.admin_key, "POST", TENANTS, body) for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409, 409]
    assert {answer.json()["code"] for answer in answers if answer.status_code == 409} == {"tenant_exists"}


async def made(identity: Installation, **more: Any) -> dict[str, Any]:
    """A new tenant as it was answered."""
    answer = await identity.call(identity.admin_key, "POST", TENANTS, {"name": a_name(), **more})
    assert answer.status_code == 201, answer.text
    tenant: dict[str, Any] = answer.json()
    return tenant


async def change(identity: Installation, tenant: dict[str, Any], body: dict[str, Any]) -> httpx.Response:
    """A change by the administrator."""
    return await identity.call(identity.admin_key, "PATCH", f"{TENANTS}/{tenant['id']}", body)


async def test_a_tenant_is_made_with_limits_over_all_its_keys(identity: Installation) -> None:
    limits = [{"amount": 1000, "seconds": 60}, {"amount": 20_000, "seconds": 3600}]
    tenant = await made(identity, rate_limits=limits, access_audit="full")
    assert (tenant["rate_limits"], tenant["access_audit"]) == (limits, "full")
    verdict = await identity.verify((await identity.issue(tenant_id=tenant["id"])).key)
    assert [limit.model_dump() for limit in verdict.tenant_rate_limits] == limits
    assert verdict.principal.access_audit == "full"


async def test_an_admin_key_is_not_stopped_by_the_limits_of_the_tenant_it_lodges_in(identity: Installation) -> None:
    default = (await identity.call(identity.admin_key, "GET", f"{TENANTS}/{DEFAULT_TENANT_ID}")).json()
    await change(identity, default, {"rate_limits": [{"amount": 1, "seconds": 60}]})
    try:
        assert (await identity.verify(identity.data_key)).tenant_rate_limits != []
        assert (await identity.verify(identity.admin_key, Audience.IDENTITY)).tenant_rate_limits == []
    finally:
        await change(identity, default, {"rate_limits": []})


async def test_a_tenant_says_where_its_bytes_lie(identity: Installation) -> None:
    tenant = await made(identity)
    assert tenant["store_prefixes"] == {"draft": f"{tenant['id']}/", "main": f"tenants/{tenant['id']}/"}
    default = (await identity.call(identity.admin_key, "GET", f"{TENANTS}/{DEFAULT_TENANT_ID}")).json()
    assert default["store_prefixes"]["main"] == ""


async def test_a_suspended_tenant_stops_all_its_keys_and_goes_on_when_it_is_active_again(
    identity: Installation,
) -> None:
    tenant = await made(identity)
    keys = [await identity.issue(tenant_id=tenant["id"], scopes=["keys:admin", "drafts:read"]) for _ in range(2)]
    token = (await identity.verify(keys[0].key, Audience.IDENTITY)).token
    assert (await change(identity, tenant, {"status": "suspended"})).json()["status"] == "suspended"
    for key in keys:
        with pytest.raises(RelayedProblem) as refused:
            await identity.verify(key.key)
        assert (refused.value.http_status, refused.value.code) == (403, "tenant_suspended")
    administered = await identity.send("GET", "/api/v1/keys", token=token)
    assert (administered.status_code, administered.json()["code"]) == (403, "tenant_suspended")
    assert (await change(identity, tenant, {"status": "active"})).status_code == 200
    assert (await identity.verify(keys[0].key)).principal.key_id == keys[0].id


async def test_what_a_patch_leaves_out_stays(identity: Installation) -> None:
    tenant = await made(identity, rate_limits=[{"amount": 5, "seconds": 1}])
    changes: list[dict[str, Any]] = [
        {"rate_limits": []},
        {"access_audit": "off"},
        {"name": a_name()},
        {"status": "suspended"},
    ]
    for body in changes:
        answer = await change(identity, tenant, body)
        assert answer.json() == tenant | body
        tenant = answer.json()


async def test_a_tenant_takes_no_name_that_is_taken(identity: Installation) -> None:
    one, other = await made(identity), await made(identity)
    answer = await change(identity, one, {"name": other["name"]})
    assert (answer.status_code, answer.json()["code"]) == (409, "tenant_exists")
    assert (await change(identity, one, {"name": one["name"]})).json() == one


async def test_a_free_name_is_given_once_to_tenants_that_race_for_it(identity: Installation) -> None:
    tenants, name = [await made(identity) for _ in range(4)], a_name()
    answers = await asyncio.gather(*(change(identity, tenant, {"name": name}) for tenant in tenants))
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"status": "gone"}, "invalid_status"),
        ({"status": None}, "invalid_status"),
        ({"name": "-a"}, "invalid_name"),
        ({"rate_limits": [{"amount": 0, "seconds": 1}]}, "invalid_rate_limits"),
        ({"access_audit": "some"}, "invalid_access_audit"),
        ({"id": str(uuid7())}, "unknown_field"),
    ],
)
async def test_a_change_that_makes_no_sense_is_refused(identity: Installation, body: dict[str, Any], code: str) -> None:
    answer = await change(identity, {"id": DEFAULT_TENANT_ID}, body)
    assert (answer.status_code, answer.json()["code"]) == (422, code)


async def test_a_missing_tenant_is_not_changed(identity: Installation) -> None:
    answer = await change(identity, {"id": uuid7()}, {"status": "suspended"})
    assert (answer.status_code, answer.json()["code"]) == (404, "tenant_not_found")


async def test_each_change_of_a_tenant_is_a_change_that_gateways_hear_of(identity: Installation) -> None:
    tenant = await made(identity)
    await change(identity, tenant, {"status": "suspended"})
    await change(identity, tenant, {"status": "suspended"})
    rows = await identity.sql(
        "SELECT action FROM identity.changes WHERE subject = 'tenant' AND subject_id = $1 ORDER BY sequence",
        tenant["id"],
    )
    assert [row["action"] for row in rows] == ["created", "updated"]


async def test_tenants_are_listed_page_by_page(identity: Installation) -> None:
    tenants = [await identity.tenant() for _ in range(3)]
    first = (await identity.call(identity.admin_key, "GET", f"{TENANTS}?limit=2")).json()
    second = (await identity.call(identity.admin_key, "GET", f"{TENANTS}?limit=1&cursor={first['next_cursor']}")).json()
    assert [tenant["id"] for tenant in first["items"] + second["items"]] == list(reversed(tenants))


async def test_a_missing_tenant_is_not_found(identity: Installation) -> None:
    answer = await identity.call(identity.admin_key, "GET", f"{TENANTS}/{uuid7()}")
    assert (answer.status_code, answer.json()["code"]) == (404, "tenant_not_found")


async def test_a_data_key_administers_no_tenants_whatever_its_scopes(identity: Installation) -> None:
    key = await identity.issue(scopes=["keys:admin", "audit:read"])
    for method, path, body in (
        ("POST", TENANTS, {"name": a_name()}),
        ("GET", TENANTS, None),
        ("GET", f"{TENANTS}/{DEFAULT_TENANT_ID}", None),
        ("GET", f"{TENANTS}/{uuid7()}", None),
    ):
        answer = await identity.call(key.key, method, path, body)
        assert (answer.status_code, answer.json()["code"]) == (403, "wrong_key_kind")


@pytest.mark.parametrize("name", ["", "-a", "A", "a b", "a" * 64, "a\n"])
async def test_a_bad_tenant_name_is_refused(identity: Installation, name: str) -> None:
    answer = await identity.call(identity.admin_key, "POST", TENANTS, {"name": name})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_name")
