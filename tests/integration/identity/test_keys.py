"""Issuing, showing and revoking keys, and who may."""

import asyncio
import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from draftstore_common.contracts import api_keys
from draftstore_common.contracts.base import DEFAULT_TENANT_ID
from draftstore_common.contracts.identity import Audience
from draftstore_common.kit.ids import uuid7
from support.identity import Installation

KEYS = "/api/v1/keys"


async def test_a_new_key_is_answered_once_with_its_secret(identity: Installation) -> None:
    answer = await identity.call(identity.admin_key, "POST", KEYS, {"name": "web", "scopes": ["drafts:write"]})
    made = answer.json()
    assert answer.status_code == 201
    assert answer.headers["cache-control"] == "no-store"
    assert api_keys.is_well_formed(made["key"])
    assert (made["prefix"], made["last4"]) == (api_keys.prefix(made["key"]), made["key"][-4:])
    assert (made["tenant_id"], made["kind"]) == (str(DEFAULT_TENANT_ID), "data")
    shown = (await identity.call(identity.admin_key, "GET", f"{KEYS}/{made['id']}")).json()
    assert shown == {name: value for name, value in made.items() if name != "key"}


async def test_only_the_hash_of_a_secret_is_stored(identity: Installation) -> None:
    key = await identity.issue()
    (row,) = await identity.sql("SELECT * FROM identity.keys WHERE id = $1", key.id)
    assert row["hash"] == hashlib.sha256(key.key.encode()).digest()
    assert key.key not in repr(row)


async def test_a_test_key_says_so_in_its_secret(identity: Installation) -> None:
    assert (await identity.issue(environment="test")).key.startswith("ds_test_")


async def test_an_admin_key_issues_any_data_scope_in_any_tenant(identity: Installation) -> None:
    tenant = await identity.tenant()
    scopes = ["audit:read", "cleaner:run", "keys:admin", "objects:delete"]
    key = await identity.issue(scopes=scopes, tenant_id=tenant)
    assert sorted(key.scopes) == scopes
    assert str(key.tenant_id) == tenant


async def test_an_admin_key_issues_admin_keys(identity: Installation) -> None:
    key = await identity.issue(kind="admin", scopes=[])
    assert key.key.startswith("ds_admin_")
    assert (await identity.issue(by=key.key)).kind == "data"


async def test_a_data_key_without_the_scope_administers_nothing(identity: Installation) -> None:
    key_id = (await identity.verify(identity.data_key)).principal.key_id
    body = {"name": "x", "scopes": ["drafts:read"]}
    for method, path, sent in (
        ("POST", KEYS, body),
        ("GET", KEYS, None),
        ("GET", f"{KEYS}/{key_id}", None),
        ("DELETE", f"{KEYS}/{key_id}", None),
    ):
        assert await identity.refused(identity.data_key, method, path, sent) == (403, "scope_missing")


async def test_a_keys_admin_issues_what_it_holds_in_its_own_tenant(identity: Installation) -> None:
    admin = (await identity.keys_admin()).key
    own_tenant = (await identity.verify(admin)).principal.tenant_id
    child = await identity.issue(by=admin, scopes=["drafts:read"])
    assert child.tenant_id == own_tenant


@pytest.mark.parametrize(
    ("limits", "wanted"),
    [
        ({}, {"scopes": ["drafts:confirm"]}),
        ({"name_prefixes": ["a/"]}, {"name_prefixes": []}),
        ({"cidrs": ["10.0.0.0/8", "192.0.2.0/24"]}, {}),
        ({"rate_limits": [{"amount": 5, "seconds": 60}]}, {"rate_limits": [{"amount": 6, "seconds": 60}]}),
        ({"expires_at": (datetime.now(UTC) + timedelta(days=1)).isoformat()}, {}),
    ],
    ids=["scopes", "name_prefixes", "cidrs", "rate_limits", "expires_at"],
)
async def test_a_keys_admin_issues_nothing_wider_than_itself(
    identity: Installation, limits: dict[str, Any], wanted: dict[str, Any]
) -> None:
    tenant, scopes = await identity.tenant(), ["keys:admin", "drafts:read"]
    admin = await identity.issue(tenant_id=tenant, scopes=scopes, **limits)
    body = {"name": "wider", "scopes": ["drafts:read"], **wanted}
    verdict = await identity.verify(admin.key, Audience.IDENTITY, client_ip="10.0.0.1")
    answer = await identity.send("POST", KEYS, body, token=verdict.token)
    assert (answer.status_code, answer.json()["code"]) == (403, "grant_exceeds_own")


async def test_a_keys_admin_makes_no_admin_key(identity: Installation) -> None:
    admin = (await identity.keys_admin()).key
    assert await identity.refused(admin, "POST", KEYS, {"name": "x", "kind": "admin"}) == (403, "wrong_key_kind")


async def test_a_foreign_and_a_missing_tenant_look_the_same(identity: Installation) -> None:
    admin, foreign = (await identity.keys_admin()).key, await identity.tenant()
    answers = [
        await identity.refused(admin, "POST", KEYS, {"name": "x", "scopes": ["drafts:read"], "tenant_id": tenant})
        for tenant in (foreign, str(uuid7()))
    ]
    assert answers == [(404, "tenant_not_found")] * 2


async def test_a_key_for_a_missing_tenant_is_refused(identity: Installation) -> None:
    body = {"name": "x", "scopes": ["drafts:read"], "tenant_id": str(uuid7())}
    assert await identity.refused(identity.admin_key, "POST", KEYS, body) == (404, "tenant_not_found")


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_foreign_admin_and_missing_keys_look_the_same(identity: Installation, method: str) -> None:
    own_tenant = str((await identity.verify(identity.data_key)).principal.tenant_id)
    admin = (await identity.issue(scopes=["keys:admin"], tenant_id=own_tenant)).key
    foreign = await identity.issue(tenant_id=await identity.tenant())
    admin_key_id = (await identity.verify(identity.admin_key)).principal.key_id
    bodies = []
    for key_id in (foreign.id, admin_key_id, uuid7()):
        answer = await identity.call(admin, method, f"{KEYS}/{key_id}")
        assert answer.status_code == 404
        bodies.append({name: value for name, value in answer.json().items() if name != "request_id"})
    assert bodies[0] == bodies[1] == bodies[2]


async def test_revoking_is_repeatable_and_answers_the_same(identity: Installation) -> None:
    key = await identity.issue()
    first = await identity.call(identity.admin_key, "DELETE", f"{KEYS}/{key.id}")
    second = await identity.call(identity.admin_key, "DELETE", f"{KEYS}/{key.id}")
    assert first.status_code == second.status_code == 200
    assert first.json() == second.json()
    assert first.json()["revoked_at"] is not None


async def test_revoking_twice_at_once_is_one_change(identity: Installation) -> None:
    key = await identity.issue()
    call = [identity.call(identity.admin_key, "DELETE", f"{KEYS}/{key.id}") for _ in range(8)]
    answers = await asyncio.gather(*call)
    assert {answer.json()["revoked_at"] for answer in answers} == {answers[0].json()["revoked_at"]}
    rows = await identity.sql("SELECT 1 FROM identity.changes WHERE subject_id = $1 AND action = 'revoked'", key.id)
    assert len(rows) == 1


async def test_keys_made_at_once_are_all_made_and_numbered_without_a_gap(identity: Installation) -> None:
    made = await asyncio.gather(*(identity.issue() for _ in range(20)))
    rows = await identity.sql(
        "SELECT sequence FROM identity.changes WHERE subject_id = ANY($1) ORDER BY 1", [key.id for key in made]
    )
    numbers = [row["sequence"] for row in rows]
    assert len({key.key for key in made}) == 20
    assert numbers == list(range(numbers[0], numbers[0] + 20))


async def test_a_revoked_key_issues_nothing_although_its_token_still_lives(identity: Installation) -> None:
    admin = await identity.issue(kind="admin", scopes=[])
    token = (await identity.verify(admin.key, Audience.IDENTITY)).token
    await identity.call(identity.admin_key, "DELETE", f"{KEYS}/{admin.id}")
    answer = await identity.send("POST", KEYS, {"name": "x", "scopes": ["drafts:read"]}, token=token)
    assert (answer.status_code, answer.json()["code"]) == (401, "api_key_revoked")


async def test_a_list_walked_by_cursor_shows_every_key_once_newest_first(identity: Installation) -> None:
    admin = (await identity.keys_admin()).key
    made = [await identity.issue(by=admin) for _ in range(4)]
    seen: list[str] = []
    cursor = ""
    for _ in range(3):
        page = (await identity.call(admin, "GET", f"{KEYS}?limit=2{cursor}")).json()
        seen += [key["id"] for key in page["items"]]
        cursor = f"&cursor={page['next_cursor']}"
        await identity.issue(by=admin)  # a newcomer neither skips nor doubles what was there
    assert page["next_cursor"] is None
    own = str((await identity.verify(admin)).principal.key_id)
    assert seen == [str(key.id) for key in reversed(made)] + [own]


async def test_an_admin_key_lists_all_tenants_or_one(identity: Installation) -> None:
    tenant = await identity.tenant()
    key = await identity.issue(tenant_id=tenant)
    mine = (await identity.call(identity.admin_key, "GET", f"{KEYS}?tenant_id={tenant}")).json()["items"]
    newest = (await identity.call(identity.admin_key, "GET", f"{KEYS}?limit=1")).json()["items"]
    assert [item["id"] for item in mine] == [item["id"] for item in newest] == [str(key.id)]


async def test_a_keys_admin_never_lists_another_tenant_or_admin_keys(identity: Installation) -> None:
    admin = await identity.issue(scopes=["keys:admin"])  # in the tenant where the admin keys are
    await identity.issue(tenant_id=await identity.tenant())
    items = (await identity.call(admin.key, "GET", f"{KEYS}?limit=1000")).json()["items"]
    assert {(item["tenant_id"], item["kind"]) for item in items} == {(str(DEFAULT_TENANT_ID), "data")}
    foreign = await identity.tenant()
    assert await identity.refused(admin.key, "GET", f"{KEYS}?tenant_id={foreign}") == (404, "tenant_not_found")


@pytest.mark.parametrize("which", ["admin", "data"])
async def test_every_key_may_see_itself(identity: Installation, which: str) -> None:
    secret = identity.admin_key if which == "admin" else identity.data_key
    answer = await identity.call(secret, "GET", f"{KEYS}/self")
    assert answer.status_code == 200
    assert UUID(answer.json()["id"]) == (await identity.verify(secret)).principal.key_id
    assert "key" not in answer.json()


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"name": "x"}, "key_scopes_missing"),
        ({"name": "x", "kind": "admin", "scopes": ["drafts:read"]}, "admin_key_with_data_powers"),
        ({"name": "x", "kind": "admin", "name_prefixes": ["a/"]}, "admin_key_with_data_powers"),
        ({"name": "x", "kind": "admin", "environment": "test"}, "admin_key_with_data_powers"),
        ({"name": "x", "scopes": ["drafts:read"], "expires_at": "2020-01-01T00:00:00Z"}, "key_expiry_past"),
        ({"name": "x", "scopes": ["drafts:fly"]}, "invalid_scopes"),
        ({"name": "x", "scopes": ["drafts:read"], "cidrs": ["10.0.0.1/8"]}, "invalid_cidrs"),
        ({"name": "", "scopes": ["drafts:read"]}, "invalid_name"),
        ({"name": "x", "scopes": ["drafts:read"], "scope": "y"}, "unknown_field"),
        ({"scopes": ["drafts:read"]}, "missing_field"),
    ],
)
async def test_a_key_that_makes_no_sense_is_refused_by_its_own_code(
    identity: Installation, body: dict[str, Any], code: str
) -> None:
    assert await identity.refused(identity.admin_key, "POST", KEYS, body) == (422, code)


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("cursor=nonsense", "invalid_cursor"),
        ("cursor=%C3%A9", "invalid_cursor"),
        ("limit=0", "invalid_limit"),
        ("limit=1001", "invalid_limit"),
        ("tenant_id=x", "invalid_tenant_id"),
        ("page=2", "unknown_field"),
    ],
)
async def test_a_wrong_list_query_is_refused(identity: Installation, query: str, code: str) -> None:
    assert await identity.refused(identity.admin_key, "GET", f"{KEYS}?{query}") == (422, code)


@pytest.mark.parametrize("path", [KEYS, f"{KEYS}/self", "/api/v1/tenants"])
async def test_without_a_token_nothing_is_answered(identity: Installation, path: str) -> None:
    answer = await identity.send("GET", path)
    assert (answer.status_code, answer.json()["code"]) == (401, "token_refused")
    assert answer.headers["www-authenticate"] == "Bearer"


async def test_a_key_remembers_which_key_issued_it(identity: Installation) -> None:
    parent = await identity.issue(scopes=["keys:admin", "drafts:read"])
    child = await identity.issue(by=parent.key)
    rows = await identity.sql("SELECT id, parent_id FROM identity.keys WHERE id = ANY($1)", [parent.id, child.id])
    parents = {row["id"]: row["parent_id"] for row in rows}
    admin_id = (await identity.verify(identity.admin_key, Audience.IDENTITY)).principal.key_id
    assert parents == {parent.id: admin_id, child.id: parent.id}


async def test_a_key_made_at_the_first_start_was_issued_by_none(identity: Installation) -> None:
    data_id = (await identity.verify(identity.data_key)).principal.key_id
    (row,) = await identity.sql("SELECT parent_id FROM identity.keys WHERE id = $1", data_id)
    assert row["parent_id"] is None


@pytest.mark.parametrize("instant", ["9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00"])
async def test_an_expiry_that_utc_has_no_year_for_is_refused(identity: Installation, instant: str) -> None:
    key = await identity.issue()
    body = {"name": "a key", "scopes": ["drafts:read"], "expires_at": instant}
    requests: list[tuple[str, str, dict[str, Any]]] = [
        ("POST", "/api/v1/keys", body),
        ("PATCH", f"/api/v1/keys/{key.id}", {"expires_at": instant}),
        ("POST", f"/api/v1/keys/{key.id}/rotate", {"expires_at": instant}),
    ]
    for method, path, sent in requests:
        refusal = await identity.refused(identity.admin_key, method, path, sent, idempotency_key=instant)
        assert refusal == (422, "invalid_expires_at")
