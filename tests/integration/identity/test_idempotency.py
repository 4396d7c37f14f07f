"""`Idempotency-Key`: the same creation sent again makes nothing more, and tells no secret a second time."""

import asyncio
import hashlib
from typing import Any

import pytest

from draftstore_common.kit.ids import random_base62
from support.identity import Installation

KEYS, TENANTS = "/api/v1/keys", "/api/v1/tenants"


def creations() -> list[tuple[str, dict[str, Any]]]:
    """Each route that creates, with a body nobody sent before."""
    name = f"made-{random_base62(12).lower()}"
    digest = random_base62(32).encode().hex()
    return [
        (KEYS, {"name": name, "scopes": ["drafts:write", "drafts:read", "objects:read"]}),
        (f"{KEYS}/import", {"name": name, "scopes": ["drafts:read"], "hash": digest}),
        (TENANTS, {"name": name}),
    ]


ROUTES = [path for path, _ in creations()]


@pytest.mark.parametrize("route", range(3), ids=ROUTES)
async def test_a_repeat_is_answered_with_what_was_made_without_its_secret(identity: Installation, route: int) -> None:
    path, body = creations()[route]
    given = random_base62(12)
    first = await identity.call(identity.admin_key, "POST", path, body, idempotency_key=given)
    repeat = await identity.call(identity.admin_key, "POST", path, body, idempotency_key=given)
    assert (first.status_code, repeat.status_code) == (201, 200)
    assert "idempotent-replayed" not in first.headers
    assert repeat.headers["idempotent-replayed"] == "true"
    assert repeat.json() == {name: value for name, value in first.json().items() if name != "key"}


@pytest.mark.parametrize("route", range(3), ids=ROUTES)
async def test_the_same_request_many_times_at_once_makes_one_thing(identity: Installation, route: int) -> None:
    path, body = creations()[route]
    given = random_base62(12)
    calls = [identity.call(identity.admin_key, "POST", path, body, idempotency_key=given) for _ in range(8)]
    answers = await asyncio.gather(*calls)
    assert sorted(answer.status_code for answer in answers) == [200] * 7 + [201]
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert sum("key" in answer.json() for answer in answers) == (path == KEYS)


@pytest.mark.parametrize("route", range(3), ids=ROUTES)
async def test_another_payload_under_the_same_key_is_refused(identity: Installation, route: int) -> None:
    path, body = creations()[route]
    given = random_base62(12)
    await identity.call(identity.admin_key, "POST", path, body, idempotency_key=given)
    other = {**body, "name": "another-name"}
    refused = await identity.refused(identity.admin_key, "POST", path, other, idempotency_key=given)
    assert refused == (422, "idempotency_key_reused")


async def test_the_order_of_scopes_makes_no_other_payload(identity: Installation) -> None:
    path, body = creations()[0]
    given = random_base62(12)
    first = await identity.call(identity.admin_key, "POST", path, body, idempotency_key=given)
    turned = {**body, "scopes": body["scopes"][::-1]}
    repeat = await identity.call(identity.admin_key, "POST", path, turned, idempotency_key=given)
    assert (repeat.status_code, repeat.json()["id"]) == (200, first.json()["id"])


async def test_after_a_day_a_key_is_free_again_and_its_row_goes(identity: Installation) -> None:
    path, body = creations()[0]
    given, other = random_base62(12), random_base62(12)
    first, second = [
        await identity.call(identity.admin_key, "POST", path, body, idempotency_key=used) for used in (given, other)
    ]
    kept = [hashlib.sha256(used.encode()).hexdigest() for used in (given, other)]
    aged = "UPDATE identity.idempotency_keys SET created_at = now() - interval '24 hours' WHERE key = ANY($1)"
    await identity.sql(aged, kept)
    answer = await identity.call(identity.admin_key, "POST", path, body, idempotency_key=given)
    assert answer.status_code == 201
    assert answer.json()["id"] not in {first.json()["id"], second.json()["id"]}
    rows = await identity.sql("SELECT key FROM identity.idempotency_keys WHERE key = ANY($1)", kept)
    assert [row["key"] for row in rows] == kept[:1]


async def test_each_lineage_has_idempotency_keys_of_its_own(identity: Installation) -> None:
    path, body = creations()[0]
    given = random_base62(12)
    others = [await identity.issue(kind="admin", scopes=[]) for _ in range(2)]
    ids = set()
    for by in others:
        answer = await identity.call(by.key, "POST", path, body, idempotency_key=given)
        assert answer.status_code == 201
        ids.add(answer.json()["id"])
    assert len(ids) == 2


async def test_the_successor_of_a_key_repeats_what_its_predecessor_sent(identity: Installation) -> None:
    path, body = creations()[0]
    old = await identity.issue(kind="admin", scopes=[])
    first = await identity.call(old.key, "POST", path, body, idempotency_key="shared")
    new = await identity.call(old.key, "POST", f"{KEYS}/{old.id}/rotate", {}, idempotency_key="turn")
    repeat = await identity.call(new.json()["key"], "POST", path, body, idempotency_key="shared")
    assert (repeat.status_code, repeat.json()["id"]) == (200, first.json()["id"])


async def test_a_creation_that_was_refused_leaves_its_key_free(identity: Installation) -> None:
    path, body = creations()[0]
    given = random_base62(12)
    wrong = {**body, "expires_at": "2020-01-01T00:00:00Z"}
    refused = await identity.refused(identity.admin_key, "POST", path, wrong, idempotency_key=given)
    assert refused == (422, "key_expiry_past")
    answer = await identity.call(identity.admin_key, "POST", path, body, idempotency_key=given)
    assert answer.status_code == 201


async def test_no_secret_is_kept_for_a_repeat(identity: Installation) -> None:
    path, body = creations()[0]
    given = random_base62(12)
    made = await identity.call(identity.admin_key, "POST", path, body, idempotency_key=given)
    for table in ("idempotency_keys", "audit", "changes", "keys"):
        (row,) = await identity.sql(f"SELECT string_agg(t::text, ' ') AS text FROM identity.{table} t")  # noqa: S608
        assert made.json()["key"] not in row["text"]
        assert made.json()["key"].rpartition("_")[2] not in row["text"]
