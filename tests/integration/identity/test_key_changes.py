"""Changing a key: what is left out stays, what is given holds at the next verification."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from draftstore_common.contracts.identity import Audience
from draftstore_common.kit.errors import RelayedProblem
from draftstore_common.kit.ids import uuid7
from support.identity import Installation

KEYS = "/api/v1/keys"
SOON = (datetime.now(UTC) + timedelta(days=1)).replace(microsecond=0)


async def test_what_a_patch_leaves_out_stays(identity: Installation) -> None:
    key = await identity.issue(scopes=["drafts:read", "drafts:write"], rate_limits=[{"amount": 5, "seconds": 60}])
    before = (await identity.call(identity.admin_key, "GET", f"{KEYS}/{key.id}")).json()
    patched = await identity.call(identity.admin_key, "PATCH", f"{KEYS}/{key.id}", {"name": "renamed"})
    assert patched.status_code == 200
    assert patched.json() == {**before, "name": "renamed"}
    assert (await identity.call(identity.admin_key, "GET", f"{KEYS}/{key.id}")).json() == patched.json()


@pytest.mark.parametrize(
    "change",
    [
        {"scopes": ["drafts:confirm", "drafts:read"]},
        {"rate_limits": [{"amount": 7, "seconds": 60}]},
        {"rate_limits": []},
        {"rate_limits": None},
        {"cidrs": ["10.0.0.0/8", "2001:db8::/32"]},
        {"name_prefixes": ["a/", "b/"]},
        {"expires_at": SOON.isoformat().replace("+00:00", ".000Z")},
        {"enabled": False},
    ],
    ids=str,
)
async def test_every_field_of_a_grant_can_be_changed_and_changed_back(
    identity: Installation, change: dict[str, Any]
) -> None:
    key = await identity.issue(rate_limits=[{"amount": 5, "seconds": 60}])
    before = (await identity.call(identity.admin_key, "GET", f"{KEYS}/{key.id}")).json()
    patched = (await identity.call(identity.admin_key, "PATCH", f"{KEYS}/{key.id}", change)).json()
    assert patched == {**before, **change}
    back = {field: before[field] for field in change}
    assert (await identity.call(identity.admin_key, "PATCH", f"{KEYS}/{key.id}", back)).json() == before


async def test_a_key_switched_off_opens_nothing_until_it_is_switched_on(identity: Installation) -> None:
    key = await identity.issue()
    await identity.call(identity.admin_key, "PATCH", f"{KEYS}/{key.id}", {"enabled": False})
    with pytest.raises(RelayedProblem) as refused:
        await identity.verify(key.key)
    assert refused.value.code == "api_key_disabled"
    await identity.call(identity.admin_key, "PATCH", f"{KEYS}/{key.id}", {"enabled": True})
    assert (await identity.verify(key.key)).principal.key_id == key.id


async def test_a_patch_that_changes_nothing_leaves_no_trace(identity: Installation) -> None:
    key = await identity.issue()
    for same in ({}, {"name": key.name}, {"enabled": True, "scopes": ["drafts:read"], "expires_at": None}):
        assert (await identity.call(identity.admin_key, "PATCH", f"{KEYS}/{key.id}", same)).status_code == 200
    assert [row["action"] for row in await identity.audit(key.id)] == ["key.created"]
    assert len(await identity.sql("SELECT 1 FROM identity.changes WHERE subject_id = $1", key.id)) == 1


@pytest.mark.parametrize(
    ("kind", "change", "code"),
    [
        ("data", {"scopes": []}, "key_scopes_missing"),
        ("data", {"expires_at": "2020-01-01T00:00:00Z"}, "key_expiry_past"),
        ("data", {"name": None}, "invalid_name"),
        ("data", {"scopes": None}, "invalid_scopes"),
        ("data", {"tenant_id": str(uuid7())}, "unknown_field"),
        ("data", {"kind": "admin"}, "unknown_field"),
        ("admin", {"scopes": ["drafts:read"]}, "admin_key_with_data_powers"),
        ("admin", {"name_prefixes": ["a/"]}, "admin_key_with_data_powers"),
    ],
)
async def test_a_change_that_makes_no_sense_is_refused_by_its_own_code(
    identity: Installation, kind: str, change: dict[str, Any], code: str
) -> None:
    key = await identity.issue(kind=kind, scopes=["drafts:read"] if kind == "data" else [])
    assert await identity.refused(identity.admin_key, "PATCH", f"{KEYS}/{key.id}", change) == (422, code)


async def test_a_revoked_key_is_not_changed_any_more(identity: Installation) -> None:
    key = await identity.issue()
    await identity.call(identity.admin_key, "DELETE", f"{KEYS}/{key.id}")
    refused = await identity.refused(identity.admin_key, "PATCH", f"{KEYS}/{key.id}", {"name": "zombie"})
    assert refused == (409, "key_ended")


async def test_a_key_that_is_changed_and_revoked_at_once_is_revoked(identity: Installation) -> None:
    for _ in range(10):
        key = await identity.issue()
        patched, revoked = await asyncio.gather(
            identity.call(identity.admin_key, "PATCH", f"{KEYS}/{key.id}", {"enabled": False, "name": "late"}),
            identity.call(identity.admin_key, "DELETE", f"{KEYS}/{key.id}"),
        )
        assert revoked.status_code == 200
        assert patched.status_code in {200, 409}
        now = (await identity.call(identity.admin_key, "GET", f"{KEYS}/{key.id}")).json()
        assert now["revoked_at"] is not None
        assert (now["name"] == "late") == (patched.status_code == 200)


async def test_a_scope_of_a_later_release_survives_a_change_of_the_name(identity: Installation) -> None:
    key = await identity.issue(scopes=["drafts:read"])
    await identity.sql("UPDATE identity.keys SET scopes = scopes || '{drafts:dream}' WHERE id = $1", key.id)
    await identity.call(identity.admin_key, "PATCH", f"{KEYS}/{key.id}", {"name": "renamed"})
    (row,) = await identity.sql("SELECT scopes FROM identity.keys WHERE id = $1", key.id)
    assert row["scopes"] == ["drafts:read", "drafts:dream"]


@pytest.mark.parametrize("which", ["admin", "data"])
async def test_every_key_may_end_itself(identity: Installation, which: str) -> None:
    key = await identity.issue(kind=which, scopes=["drafts:read"] if which == "data" else [])
    token = (await identity.verify(key.key, Audience.IDENTITY)).token
    answer = await identity.send("DELETE", f"{KEYS}/self", token=token)
    assert (answer.status_code, answer.json()["id"]) == (200, str(key.id))
    assert answer.json()["revoked_at"] is not None
    with pytest.raises(RelayedProblem) as refused:
        await identity.verify(key.key)
    assert refused.value.code == "api_key_revoked"
    again = await identity.send("DELETE", f"{KEYS}/self", token=token)
    assert (again.status_code, again.json()["code"]) == (401, "api_key_revoked")
