"""What one key cannot do to another: each way up, sideways or out of a tenant is refused."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from draftstore_common.contracts.administration import NewKey
from draftstore_common.contracts.base import DEFAULT_TENANT_ID
from draftstore_common.contracts.identity import Audience
from draftstore_common.kit.ids import uuid7
from support.identity import Installation

KEYS = "/api/v1/keys"
TOMORROW = (datetime.now(UTC) + timedelta(days=1)).isoformat()
HASH = "00" * 32

LIMITS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {"scopes": ["drafts:confirm"]}),
    ({"name_prefixes": ["a/"]}, {"name_prefixes": []}),
    ({"cidrs": ["10.0.0.0/8"]}, {"cidrs": ["0.0.0.0/0"]}),
    ({"rate_limits": [{"amount": 5, "seconds": 60}]}, {"rate_limits": []}),
    ({"expires_at": TOMORROW}, {"expires_at": None}),
]
"""How an administrator is limited, and what goes beyond that."""

IDS = [next(iter(beyond)) for _, beyond in LIMITS]


async def send(
    identity: Installation, by: NewKey, method: str, path: str, body: Any = None, **headers: str
) -> tuple[int, str]:
    """Status and code of a refused request that comes from inside 10.0.0.0/8."""
    token = (await identity.verify(by.key, Audience.IDENTITY, client_ip="10.0.0.1")).token
    answer = await identity.send(method, path, body, token=token, **headers)
    return answer.status_code, answer.json().get("code", "")


def within(limits: dict[str, Any]) -> dict[str, Any]:
    """What a child of an administrator with these limits may look like."""
    return {"name": "child", "scopes": ["drafts:read"], **limits}


@pytest.mark.parametrize(("limits", "beyond"), LIMITS, ids=IDS)
async def test_no_child_is_patched_beyond_the_patching_key(
    identity: Installation, limits: dict[str, Any], beyond: dict[str, Any]
) -> None:
    admin = await identity.keys_admin(**limits)
    child = await identity.issue(tenant_id=str(admin.tenant_id), **within(limits))
    assert await send(identity, admin, "PATCH", f"{KEYS}/{child.id}", beyond) == (403, "grant_exceeds_own")
    assert await send(identity, admin, "PATCH", f"{KEYS}/{child.id}", {"name": "fine"}) == (200, "")


@pytest.mark.parametrize(("limits", "beyond"), LIMITS, ids=IDS)
async def test_no_key_raises_itself(identity: Installation, limits: dict[str, Any], beyond: dict[str, Any]) -> None:
    admin = await identity.keys_admin(**limits)
    refused = await send(identity, admin, "PATCH", f"{KEYS}/{admin.id}", beyond)
    assert refused == (403, "grant_exceeds_own")


@pytest.mark.parametrize(("limits", "beyond"), LIMITS, ids=IDS)
async def test_no_key_is_imported_beyond_the_importing_key(
    identity: Installation, limits: dict[str, Any], beyond: dict[str, Any]
) -> None:
    admin = await identity.keys_admin(**limits)
    body = {**within(limits), **beyond, "hash": HASH}
    assert await send(identity, admin, "POST", f"{KEYS}/import", body) == (403, "grant_exceeds_own")


@pytest.mark.parametrize(("limits", "beyond"), LIMITS, ids=IDS)
async def test_no_key_takes_over_a_stronger_one_by_rotating_it(
    identity: Installation, limits: dict[str, Any], beyond: dict[str, Any]
) -> None:
    admin = await identity.keys_admin(**limits)
    stronger = await identity.issue(tenant_id=str(admin.tenant_id), **{**within(limits), **beyond})
    path = f"{KEYS}/{stronger.id}/rotate"
    assert await send(identity, admin, "POST", path, {}, idempotency_key="1") == (403, "grant_exceeds_own")
    assert (await identity.verify(stronger.key, client_ip="10.0.0.1")).principal.key_id == stronger.id


async def test_no_key_patches_a_stronger_one_even_downwards(identity: Installation) -> None:
    admin = await identity.keys_admin()
    stronger = await identity.issue(tenant_id=str(admin.tenant_id), scopes=["drafts:read", "objects:delete"])
    for body in ({"name": "mine"}, {"enabled": False}, {"expires_at": TOMORROW}):
        assert await send(identity, admin, "PATCH", f"{KEYS}/{stronger.id}", body) == (403, "grant_exceeds_own")


async def test_a_rotation_makes_nothing_that_outlives_the_rotating_key(identity: Installation) -> None:
    admin = await identity.keys_admin(expires_at=TOMORROW)
    child = await identity.issue(tenant_id=str(admin.tenant_id), expires_at=TOMORROW)
    later = (datetime.now(UTC) + timedelta(days=2)).isoformat()
    path = f"{KEYS}/{child.id}/rotate"
    refused = await send(identity, admin, "POST", path, {"expires_at": later}, idempotency_key="1")
    assert refused == (403, "grant_exceeds_own")


OTHERS = ["admin key", "foreign key", "missing key"]


async def another(identity: Installation, which: str) -> UUID:
    """The id of a key that a data key may not know of."""
    match which:
        case "admin key":
            return (await identity.verify(identity.admin_key)).principal.key_id
        case "foreign key":
            return (await identity.issue(tenant_id=await identity.tenant())).id
        case _:
            return uuid7()


@pytest.mark.parametrize(
    ("method", "tail", "body"),
    [("GET", "", None), ("PATCH", "", {"name": "x"}), ("DELETE", "", None), ("POST", "/rotate", {})],
    ids=["get", "patch", "revoke", "rotate"],
)
async def test_foreign_admin_and_missing_keys_look_the_same_whatever_is_tried(
    identity: Installation, method: str, tail: str, body: Any
) -> None:
    admin = await identity.issue(scopes=["keys:admin", "drafts:read"], tenant_id=str(DEFAULT_TENANT_ID))
    seen = set()
    for which in OTHERS:
        path = f"{KEYS}/{await another(identity, which)}{tail}"
        answer = await identity.call(admin.key, method, path, body, idempotency_key="1")
        seen.add((answer.status_code, *(answer.json()[name] for name in ("code", "detail", "title", "type"))))
    assert len(seen) == 1
    assert next(iter(seen))[:2] == (404, "key_not_found")


@pytest.mark.parametrize(
    ("method", "tail", "body"),
    [("PATCH", "", {"enabled": False}), ("DELETE", "", None), ("POST", "/rotate", {"grace": 0})],
    ids=["patch", "revoke", "rotate"],
)
async def test_no_key_changes_the_key_it_came_from(identity: Installation, method: str, tail: str, body: Any) -> None:
    first = await identity.keys_admin()
    second = await identity.issue(by=first.key, scopes=["keys:admin", "drafts:read", "drafts:write"])
    third = await identity.issue(by=second.key, scopes=["keys:admin", "drafts:read", "drafts:write"])
    for issuer in (first, second):
        refused = await send(identity, third, method, f"{KEYS}/{issuer.id}{tail}", body, idempotency_key="1")
        assert refused == (403, "issuer_protected")
        assert (await identity.verify(issuer.key)).principal.key_id == issuer.id


async def test_the_successor_of_the_issuing_key_is_protected_like_it(identity: Installation) -> None:
    issuer = await identity.keys_admin()
    child = await identity.issue(by=issuer.key, scopes=["keys:admin", "drafts:read", "drafts:write"])
    rotated = await identity.call(
        identity.admin_key, "POST", f"{KEYS}/{issuer.id}/rotate", {}, idempotency_key="successor"
    )
    path = f"{KEYS}/{rotated.json()['id']}"
    assert await send(identity, child, "DELETE", path) == (403, "issuer_protected")
    own = await identity.call(child.key, "POST", f"{KEYS}/{child.id}/rotate", {}, idempotency_key="own-successor")
    answer = await identity.call(own.json()["key"], "DELETE", path)
    assert (answer.status_code, answer.json()["code"]) == (403, "issuer_protected"), "by a successor of the child, too"
    grandchild = await identity.issue(by=rotated.json()["key"], scopes=["keys:admin"])
    assert await send(identity, grandchild, "DELETE", f"{KEYS}/{issuer.id}") == (403, "issuer_protected")


async def test_an_issuer_changes_and_revokes_what_it_issued(identity: Installation) -> None:
    issuer = await identity.keys_admin()
    child = await identity.issue(by=issuer.key)
    assert (await send(identity, issuer, "PATCH", f"{KEYS}/{child.id}", {"enabled": False}))[0] == 200
    assert (await send(identity, issuer, "POST", f"{KEYS}/{child.id}/rotate", {}, idempotency_key="1"))[0] == 201
    assert (await send(identity, issuer, "DELETE", f"{KEYS}/{child.id}"))[0] == 200


async def test_a_data_key_without_the_scope_changes_nothing_not_even_itself(identity: Installation) -> None:
    key = await identity.issue()
    for method, path, body in (
        ("PATCH", f"{KEYS}/{key.id}", {"name": "x"}),
        ("POST", f"{KEYS}/{key.id}/rotate", {}),
        ("POST", f"{KEYS}/import", {"name": "x", "scopes": ["drafts:read"], "hash": HASH}),
    ):
        assert await send(identity, key, method, path, body, idempotency_key="1") == (403, "scope_missing")


async def test_no_key_is_imported_into_a_foreign_or_missing_tenant(identity: Installation) -> None:
    admin, foreign = await identity.keys_admin(), await identity.tenant()
    body = {"name": "x", "scopes": ["drafts:read"], "hash": HASH}
    for tenant in (foreign, str(uuid7())):
        refused = await send(identity, admin, "POST", f"{KEYS}/import", {**body, "tenant_id": tenant})
        assert refused == (404, "tenant_not_found")


async def test_no_admin_key_is_imported(identity: Installation) -> None:
    body = {"name": "x", "kind": "admin", "hash": HASH}
    assert await identity.refused(identity.admin_key, "POST", f"{KEYS}/import", body) == (422, "unknown_field")


async def test_a_data_key_changes_no_tenant(identity: Installation) -> None:
    admin = await identity.keys_admin()
    for tenant in (admin.tenant_id, uuid7()):
        refused = await send(identity, admin, "PATCH", f"/api/v1/tenants/{tenant}", {"status": "suspended"})
        assert refused == (403, "wrong_key_kind")
