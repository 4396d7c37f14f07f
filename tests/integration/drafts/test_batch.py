"""Many drafts in one request: all or none, every mistake by its place, and each draft like one made alone."""

import asyncio
import json
from datetime import timedelta
from typing import Any

import pytest

from draftstore_common.clients.transport import Call, Reply
from draftstore_gateway.routes import BATCH_LIMIT
from support.back_end import BackEnd

BATCH = "/api/v1/drafts/batch"

_KEPT = """declared_size, declared_content_type, declared_checksum_sha256, cache_control, content_disposition,
    content_encoding, metadata, subject, state, upload_type, created_by, tenant_id, bucket,
    expires_at - created_at AS life, write_horizon_at - created_at AS horizon, lifetime_ends_at - created_at AS longest,
    warn_at - created_at AS warned, purge_due_at - created_at AS due"""
"""What a row says of its draft, but for what is every draft's own."""


async def ask(back_end: BackEnd, entries: list[Any], key: str | None = None) -> Reply:
    headers = {"authorization": f"Bearer {back_end.key}", "content-type": "application/json", "host": "suite"}
    if key is not None:
        headers["idempotency-key"] = key
    return await back_end.gateway.send(Call("POST", BATCH, json.dumps({"drafts": entries}).encode(), headers))


async def make(back_end: BackEnd, entries: list[Any], key: str | None = None) -> list[dict[str, Any]]:
    reply = await ask(back_end, entries, key)
    assert reply.status == 201, reply.body
    items: list[dict[str, Any]] = json.loads(reply.body)["items"]
    return items


def named(folder: str, count: int, **more: Any) -> list[dict[str, Any]]:
    return [{"object_name": f"batch/{folder}/{number}.txt", **more} for number in range(count)]


def offenders(reply: Reply) -> list[tuple[str, str]]:
    return [(error["field"], error["code"]) for error in json.loads(reply.body)["errors"]]


async def test_a_thousand_drafts_are_made_in_their_order_and_each_can_be_uploaded_and_confirmed(
    back_end: BackEnd,
) -> None:
    entries = named("thousand", 1000, metadata={"a": "1"}, ttl=600)
    items = await make(back_end, entries)
    assert [item["object_name"] for item in items] == [entry["object_name"] for entry in entries]
    assert len({item["id"] for item in items}) == 1000
    assert await back_end.count("drafts", object_name="batch/thousand/999.txt") == 1
    for item in (items[0], items[499], items[999]):
        await back_end.put(item, item["object_name"].encode())
        receipt = await back_end.get("POST", f"/api/v1/drafts/{item['id']}/confirm")
        assert receipt["object_name"] == item["object_name"]


async def test_a_draft_of_a_batch_is_told_and_kept_as_one_made_alone(back_end: BackEnd) -> None:
    entry = {
        "object_name": "batch/like.bin",
        "size": 5,
        "content_type": "text/plain",
        "checksum_sha256": "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
        "ttl": 120,
        "metadata": {"owner": "Zoë"},
        "subject": "alice",
        "cache_control": "no-store",
        "content_disposition": 'attachment; filename="x"',
        "content_encoding": "gzip",
    }
    alone = await back_end.get("POST", "/api/v1/drafts", entry, 201)
    (together,) = await make(back_end, [entry])
    own = {"id", "created_at", "expires_at", "upload"}
    assert {name: value for name, value in together.items() if name not in own} == {
        name: value for name, value in alone.items() if name not in own
    }
    assert together["upload"]["headers"] == alone["upload"]["headers"]
    read = await back_end.get("GET", f"/api/v1/drafts/{together['id']}")
    assert {**read, "upload": together["upload"]} == {"upload": together["upload"], **together}
    rows = await back_end.database.rows(f"SELECT {_KEPT} FROM metadata.drafts WHERE object_name = 'batch/like.bin'")  # noqa: S608
    assert rows[0] == rows[1]
    assert rows[0]["life"] == timedelta(seconds=120)
    events = [await back_end.get("GET", f"/api/v1/drafts/{draft['id']}/events") for draft in (alone, together)]
    assert [[event["type"] for event in page["items"]] for page in events] == [["draft.open"], ["draft.open"]]
    await back_end.put(together, b"hello")


async def test_every_entry_that_is_wrong_is_named_and_nothing_is_made(back_end: BackEnd) -> None:
    entries: list[Any] = named("wrong", 60)
    wrong = {0, *range(7, 50), 59}
    for place in wrong:
        entries[place] = {**entries[place], "ttl": 1}
    entries[8] = {"object_name": "", "color": "red"}
    reply = await ask(back_end, entries)
    assert reply.status == 422
    assert {int(field.split(".")[1]) for field, _ in offenders(reply)} == wrong
    assert {("drafts.0.ttl", "invalid_drafts"), ("drafts.8.object_name", "object_name_empty")} <= set(offenders(reply))
    assert await back_end.count("drafts", object_name="batch/wrong/1.txt") == 0


async def test_names_a_key_may_not_touch_are_all_listed_and_nothing_is_made(back_end: BackEnd) -> None:
    narrow = await back_end.with_scopes("drafts:write", name_prefixes=["batch/mine/"])
    entries = [*named("mine", 3), *named("yours", 2)]
    reply = await ask(narrow, entries)
    assert (reply.status, json.loads(reply.body)["code"]) == (403, "object_name_not_allowed")
    assert offenders(reply) == [(f"drafts.{place}.object_name", "object_name_not_allowed") for place in (3, 4)]
    assert await back_end.count("drafts", object_name="batch/mine/0.txt") == 0
    assert len(await make(narrow, entries[:3])) == 3


async def test_an_unknown_bucket_and_a_reserved_name_are_refused_with_their_places(back_end: BackEnd) -> None:
    entries = [*named("strange", 1), {"object_name": "a", "bucket": "other"}, {"object_name": "tenants/x"}]
    reply = await ask(back_end, entries)
    assert (reply.status, json.loads(reply.body)["code"]) == (404, "bucket_not_found")
    assert offenders(reply) == [
        ("drafts.1.bucket", "bucket_not_found"),
        ("drafts.2.object_name", "object_name_reserved"),
    ]
    assert await back_end.count("drafts", object_name="batch/strange/0.txt") == 0


@pytest.mark.parametrize("count", [0, 1001])
async def test_neither_none_nor_more_than_a_thousand(back_end: BackEnd, count: int) -> None:
    reply = await ask(back_end, named("count", count))
    assert (reply.status, offenders(reply)) == (422, [("drafts", "invalid_drafts")])


async def test_a_body_above_the_limit_of_a_batch_is_refused(back_end: BackEnd) -> None:
    assert (await ask(back_end, [{"object_name": "x" * BATCH_LIMIT}])).status == 413
    large = named("large", 1000, metadata={str(part): "x" * 1000 for part in range(3)})
    assert len(await make(back_end, large)) == 1000


async def test_a_batch_needs_the_power_to_write_drafts(back_end: BackEnd) -> None:
    reader = await back_end.with_scopes("drafts:read")
    assert (await ask(reader, named("power", 1))).status == 403


async def test_a_name_may_be_there_twice_as_in_two_single_creates(back_end: BackEnd) -> None:
    first, second = await make(back_end, [{"object_name": "batch/twice.txt"}] * 2)
    assert first["id"] != second["id"]
    assert await back_end.count("drafts", object_name="batch/twice.txt") == 2


async def test_a_batch_sent_again_with_its_key_is_the_same_drafts_with_urls_for_the_same_time(
    back_end: BackEnd,
) -> None:
    entries = named("again", 5)
    first = await make(back_end, entries, "batch-again")
    again = await make(back_end, entries, "batch-again")
    told = [{name: value for name, value in item.items() if name != "upload"} for item in (*first, *again)]
    assert told[:5] == told[5:]
    for item, original in zip(again, first, strict=True):
        assert item["upload"]["expires_at"] <= original["upload"]["expires_at"]
    await back_end.put(again[4], b"bytes")
    assert await back_end.count("drafts", object_name="batch/again/4.txt") == 1
    reply = await ask(back_end, entries[:4], "batch-again")
    assert (reply.status, json.loads(reply.body)["code"]) == (422, "idempotency_key_reused")


async def test_one_key_sent_by_many_at_once_makes_one_batch(back_end: BackEnd) -> None:
    entries = named("crowd", 20)
    batches = await asyncio.gather(*(make(back_end, entries, "batch-crowd") for _ in range(8)))
    assert len({tuple(item["id"] for item in batch) for batch in batches}) == 1
    assert await back_end.count("drafts", object_name="batch/crowd/0.txt") == 1


async def test_a_replay_signs_no_url_for_a_draft_that_takes_no_bytes_any_more(back_end: BackEnd) -> None:
    entries = named("mixed", 3)
    first = await make(back_end, entries, "batch-mixed")
    await back_end.get("DELETE", f"/api/v1/drafts/{first[1]['id']}", status=204)
    again = await make(back_end, entries, "batch-mixed")
    assert [item.get("upload") is not None for item in again] == [True, False, True]
    assert [item["state"] for item in again][::2] == ["open", "open"]
