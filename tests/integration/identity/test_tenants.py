"""Tenants, for admin keys only."""

import asyncio

import pytest

from draftstore_common.contracts.base import DEFAULT_TENANT_ID
from draftstore_common.kit.ids import random_base62, uuid7
from support.identity import Installation

TENANTS = "/api/v1/tenants"


def a_name() -> str:
    """A tenant name nobody else chose."""
    return f"acme-{random_base62(12).lower()}"


async def test_an_admin_key_makes_a_tenant_and_finds_it_again(identity: Installation) -> None:
    made = await identity.call(identity.admin_key, "POST", TENANTS, {"name": a_name()})
    assert made.status_code == 201
    assert made.json()["status"] == "active"
    shown = await identity.call(identity.admin_key, "GET", f"{TENANTS}/{made.json()['id']}")
    assert shown.json() == made.json()


async def test_a_fresh_installation_has_the_default_tenant(identity: Installation) -> None:
    answer = await identity.call(identity.admin_key, "GET", f"{TENANTS}/{DEFAULT_TENANT_ID}")
    assert answer.json()["name"] == "default"


async def test_a_tenant_name_is_taken_once_whoever_races_for_it(identity: Installation) -> None:
    body = {"name": a_name()}
    answers = await asyncio.gather(*(identity.call(identity.admin_key, "POST", TENANTS, body) for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409, 409]
    assert {answer.json()["code"] for answer in answers if answer.status_code == 409} == {"tenant_exists"}


async def test_tenants_are_listed_page_by_page(identity: Installation) -> None:
    made = [await identity.tenant() for _ in range(3)]
    first = (await identity.call(identity.admin_key, "GET", f"{TENANTS}?limit=2")).json()
    second = (await identity.call(identity.admin_key, "GET", f"{TENANTS}?limit=1&cursor={first['next_cursor']}")).json()
    assert [tenant["id"] for tenant in first["items"] + second["items"]] == list(reversed(made))


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
