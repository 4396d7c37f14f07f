"""Keys that exist elsewhere, taken over by the hash of their secret."""

import asyncio
import hashlib
from base64 import b64encode
from typing import Any

from draftstore_common.contracts import api_keys
from support.identity import Installation

IMPORT = "/api/v1/keys/import"


def foreign_key(**more: Any) -> tuple[str, dict[str, Any]]:
    """A secret made elsewhere, and what there is to send of it."""
    secret = api_keys.make("live")
    digest = hashlib.sha256(secret.encode()).hexdigest()
    return secret, {"name": "imported", "scopes": ["drafts:read"], "hash": digest, "last4": secret[-4:], **more}


async def test_an_imported_key_opens_with_the_secret_it_always_had(identity: Installation) -> None:
    secret, body = foreign_key(tenant_id=await identity.tenant())
    answer = await identity.call(identity.admin_key, "POST", IMPORT, body)
    assert answer.status_code == 201
    assert "key" not in answer.json()
    assert (answer.json()["prefix"], answer.json()["last4"]) == ("ds_live_", secret[-4:])
    verdict = await identity.verify(secret)
    assert str(verdict.principal.key_id) == answer.json()["id"]
    assert str(verdict.principal.tenant_id) == body["tenant_id"]


async def test_a_hash_may_be_sent_in_base64(identity: Installation) -> None:
    secret, body = foreign_key()
    digest = b64encode(hashlib.sha256(secret.encode()).digest()).decode()
    await identity.call(identity.admin_key, "POST", IMPORT, {**body, "hash": digest})
    assert (await identity.verify(secret)).principal.kind == "data"


async def test_a_keys_admin_imports_within_its_own_powers(identity: Installation) -> None:
    admin = await identity.keys_admin()
    secret, body = foreign_key()
    assert (await identity.call(admin.key, "POST", IMPORT, body)).status_code == 201
    assert (await identity.verify(secret)).principal.tenant_id == admin.tenant_id


async def test_a_known_hash_is_refused_without_a_hint_whose_it_is(identity: Installation) -> None:
    admin = await identity.keys_admin()
    foreign = await identity.issue(tenant_id=await identity.tenant())
    own = await identity.issue(by=admin.key)
    bodies = []
    for secret in (foreign.key, own.key, identity.admin_key, admin.key):
        body = {**foreign_key()[1], "hash": hashlib.sha256(secret.encode()).hexdigest()}
        answer = await identity.call(admin.key, "POST", IMPORT, body)
        assert (answer.status_code, answer.json()["code"]) == (409, "key_exists")
        bodies.append({name: value for name, value in answer.json().items() if name != "request_id"})
    assert all(body == bodies[0] for body in bodies)


async def test_a_hash_is_imported_once_whoever_races_for_it(identity: Installation) -> None:
    _, body = foreign_key()
    answers = await asyncio.gather(*(identity.call(identity.admin_key, "POST", IMPORT, body) for _ in range(6)))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 5


async def test_an_imported_key_is_rotated_like_any_other(identity: Installation) -> None:
    _, body = foreign_key(environment="test")
    imported = (await identity.call(identity.admin_key, "POST", IMPORT, body)).json()
    path = f"/api/v1/keys/{imported['id']}/rotate"
    answer = await identity.call(identity.admin_key, "POST", path, {}, idempotency_key="imported")
    assert answer.json()["key"].startswith("ds_test_")
    assert (await identity.verify(answer.json()["key"])).principal.key_id is not None


async def test_neither_the_hash_nor_the_secret_is_in_the_audit_log(identity: Installation) -> None:
    secret, body = foreign_key()
    imported = (await identity.call(identity.admin_key, "POST", IMPORT, body)).json()
    (row,) = await identity.audit(imported["id"])
    assert row["action"] == "key.imported"
    assert body["hash"] not in str(row)
    assert secret not in str(row)
