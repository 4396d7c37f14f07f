"""Who administered what, and who tried: the audit log of keys and tenants."""

from typing import Any
from uuid import UUID

import pytest

from draftstore_common.contracts.base import DEFAULT_TENANT_ID
from draftstore_common.contracts.identity import Audience
from draftstore_common.kit.context import set_timeout
from draftstore_common.kit.ids import uuid7
from draftstore_identity.author import Caller
from draftstore_identity.context import Context
from draftstore_identity.errors import KeyNotFound
from draftstore_identity.service.refusals import PER_MINUTE, Refusals
from support.identity import Installation, installed

KEYS, TENANTS = "/api/v1/keys", "/api/v1/tenants"


async def admin_id(identity: Installation) -> UUID:
    return (await identity.verify(identity.admin_key)).principal.key_id


async def by_request(identity: Installation, request_id: str) -> list[dict[str, Any]]:
    """What the audit log says of a request."""
    rows = await identity.sql("SELECT * FROM identity.audit WHERE request_id = $1 ORDER BY id", request_id)
    return [dict(row) for row in rows]


async def test_a_change_is_on_record_with_who_what_whom_which_request_and_from_where(identity: Installation) -> None:
    tenant = await identity.tenant()
    body = {"name": "web", "scopes": ["drafts:write", "drafts:read"], "tenant_id": tenant, "name_prefixes": ["a/"]}
    answer = await identity.call(
        identity.admin_key, "POST", KEYS, body, x_request_id="request-of-mine", x_forwarded_for="192.0.2.9"
    )
    (row,) = await identity.audit(answer.json()["id"])
    assert (row["category"], row["action"], row["outcome"], row["code"]) == ("admin", "key.created", "allowed", None)
    assert row["actor"] == f"key:{await admin_id(identity)}"
    assert (row["target_type"], str(row["tenant_id"])) == ("key", tenant)
    assert (row["request_id"], str(row["ip"]), row["suppressed"]) == ("request-of-mine", "192.0.2.9", 0)
    assert row["detail"] == {
        "name": "web",
        "kind": "data",
        "scopes": ["drafts:read", "drafts:write"],
        "rate_limits": None,
        "cidrs": [],
        "name_prefixes": ["a/"],
        "enabled": True,
        "expires_at": None,
        "rotated_from": None,
    }
    assert answer.json()["key"] not in str(row)


async def test_a_change_says_which_fields_got_which_values(identity: Installation) -> None:
    key = await identity.issue()
    await identity.call(identity.admin_key, "PATCH", f"{KEYS}/{key.id}", {"enabled": False, "name": key.name})
    assert (await identity.audit(key.id))[-1]["detail"] == {"enabled": False}
    tenant = await identity.tenant()
    await identity.call(identity.admin_key, "PATCH", f"{TENANTS}/{tenant}", {"status": "suspended"})
    made, changed = await identity.audit(tenant)
    assert (made["action"], changed["action"]) == ("tenant.created", "tenant.updated")
    assert changed["detail"] == {"status": "suspended"}
    assert str(changed["tenant_id"]) == tenant


async def test_a_rotation_is_on_record_for_both_keys(identity: Installation) -> None:
    old = await identity.issue()
    answer = await identity.call(
        identity.admin_key, "POST", f"{KEYS}/{old.id}/rotate", {"grace": 60}, idempotency_key="audited"
    )
    created, rotated = await identity.audit(old.id)
    (successor,) = await identity.audit(answer.json()["id"])
    assert (created["action"], rotated["action"]) == ("key.created", "key.rotated")
    assert rotated["detail"]["successor"] == answer.json()["id"]
    assert successor["detail"]["rotated_from"] == str(old.id)
    assert answer.json()["key"] not in str([rotated, successor])


async def test_what_is_done_with_an_admin_key_is_in_the_log_of_no_tenant(identity: Installation) -> None:
    key = await identity.issue(kind="admin", scopes=[])
    await identity.call(identity.admin_key, "DELETE", f"{KEYS}/{key.id}")
    assert {row["tenant_id"] for row in await identity.audit(key.id)} == {None}


async def test_the_first_start_is_on_record(identity: Installation) -> None:
    (row,) = await identity.audit(DEFAULT_TENANT_ID)
    (key,) = await identity.audit(await admin_id(identity))
    assert [(entry["actor"], entry["outcome"]) for entry in (row, key)] == [("service:identity", "allowed")] * 2


async def test_a_change_and_its_record_are_made_together_or_not_at_all(postgres_url: str) -> None:
    async with installed(postgres_url) as identity:
        key = await identity.issue()
        await identity.sql("REVOKE INSERT ON identity.audit FROM draftstore_identity")
        answer = await identity.call(identity.admin_key, "DELETE", f"{KEYS}/{key.id}")
        assert answer.status_code == 500
        assert (await identity.verify(key.key)).principal.key_id == key.id
        assert len(await identity.sql("SELECT 1 FROM identity.changes WHERE subject_id = $1", key.id)) == 1


REFUSED: list[tuple[str, str, str, Any, int, str, str]] = [
    ("admin", "POST", KEYS, {"name": "x"}, 422, "key_scopes_missing", "key.created"),
    ("admin", "GET", f"{KEYS}/{uuid7()}", None, 404, "key_not_found", "key.read"),
    ("admin", "PATCH", f"{TENANTS}/{uuid7()}", {"status": "active"}, 404, "tenant_not_found", "tenant.updated"),
    ("admin", "POST", TENANTS, {"name": "default"}, 409, "tenant_exists", "tenant.created"),
    ("admin", "POST", f"{KEYS}/{uuid7()}/rotate", {}, 422, "idempotency_key_missing", "key.rotated"),
    ("data", "POST", KEYS, {"name": "x", "scopes": ["drafts:read"]}, 403, "scope_missing", "key.created"),
    ("data", "GET", KEYS, None, 403, "scope_missing", "key.listed"),
    ("data", "DELETE", f"{KEYS}/{uuid7()}", None, 403, "scope_missing", "key.revoked"),
    ("data", "PATCH", f"{KEYS}/{uuid7()}", {"name": "x"}, 403, "scope_missing", "key.updated"),
    ("data", "POST", f"{KEYS}/import", {"name": "x", "hash": "00" * 32}, 403, "scope_missing", "key.imported"),
    ("data", "GET", TENANTS, None, 403, "wrong_key_kind", "tenant.listed"),
    ("data", "GET", f"{TENANTS}/{uuid7()}", None, 403, "wrong_key_kind", "tenant.read"),
]


@pytest.mark.parametrize(("which", "method", "path", "body", "status", "code", "action"), REFUSED)
async def test_every_refusal_of_administration_is_on_record(
    identity: Installation, which: str, method: str, path: str, body: Any, status: int, code: str, action: str
) -> None:
    key = await identity.issue(kind=which, scopes=["drafts:read"] if which == "data" else [])
    request_id = uuid7().hex
    refused = await identity.refused(
        key.key, method, path, body, x_request_id=request_id, x_forwarded_for="2001:db8::1"
    )
    assert refused == (status, code)
    (row,) = await by_request(identity, request_id)
    assert (row["outcome"], row["action"], row["code"]) == ("refused", action, code)
    assert (row["actor"], str(row["ip"])) == (f"key:{key.id}", "2001:db8::1")
    named = path.split("/")[4] if path.count("/") > 3 and "import" not in path else None
    assert row["target"] == named
    assert row["tenant_id"] == (key.tenant_id if which == "data" else None)


async def test_a_revoked_key_that_still_has_a_token_is_on_record(identity: Installation) -> None:
    key = await identity.issue(kind="admin", scopes=[])
    token = (await identity.verify(key.key, Audience.IDENTITY)).token
    await identity.call(identity.admin_key, "DELETE", f"{KEYS}/{key.id}")
    await identity.send("GET", f"{KEYS}/self", token=token, x_request_id="a-dead-key")
    (row,) = await by_request(identity, "a-dead-key")
    assert (row["outcome"], row["code"]) == ("refused", "api_key_revoked")


async def test_a_refusal_in_the_last_moment_of_a_request_is_on_record(identity: Installation) -> None:
    context: Context = identity.app.state.context
    caller = Caller((await identity.verify(identity.data_key)).principal, ip=None)
    target = uuid7()

    async def refused() -> None:
        async with Refusals(context.store).watched(caller, "key.read", "key", target):
            set_timeout(0)
            raise KeyNotFound

    with pytest.raises(KeyNotFound):
        await refused()
    (row,) = await identity.audit(target)
    assert (row["outcome"], row["code"]) == ("refused", "key_not_found")


async def test_a_flood_of_refusals_fills_no_table_and_is_counted(
    identity: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = await identity.issue()
    other = await identity.issue()
    throttle = identity.app.state.context.keys._refusals._throttle
    for _ in range(PER_MINUTE + 5):
        assert await identity.refused(key.key, "GET", KEYS) == (403, "scope_missing")
    actor = "SELECT suppressed FROM identity.audit WHERE actor = $1 ORDER BY id"
    assert len(await identity.sql(actor, f"key:{key.id}")) == PER_MINUTE
    assert await identity.refused(other.key, "GET", KEYS) == (403, "scope_missing")
    assert len(await identity.sql(actor, f"key:{other.id}")) == 1, "each key is counted for itself"
    before = throttle._clock
    monkeypatch.setattr(throttle, "_clock", lambda: before() + 61)
    await identity.refused(key.key, "GET", KEYS)
    rows = await identity.sql(actor, f"key:{key.id}")
    assert [row["suppressed"] for row in rows] == [0] * PER_MINUTE + [5]


async def test_a_key_gets_no_second_allowance_by_being_rotated(identity: Installation) -> None:
    old = await identity.issue()
    for _ in range(PER_MINUTE):
        await identity.refused(old.key, "GET", KEYS)
    answer = await identity.call(identity.admin_key, "POST", f"{KEYS}/{old.id}/rotate", {}, idempotency_key="flood")
    await identity.refused(answer.json()["key"], "GET", KEYS)
    assert await identity.sql("SELECT 1 FROM identity.audit WHERE actor = $1", f"key:{answer.json()['id']}") == []


async def test_a_refusal_that_cannot_be_recorded_stays_a_refusal(
    postgres_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with installed(postgres_url) as identity:
        await identity.sql("REVOKE INSERT ON identity.audit FROM draftstore_identity")
        assert await identity.refused(identity.data_key, "GET", KEYS) == (403, "scope_missing")
    assert "a refusal is not on record" in caplog.text
