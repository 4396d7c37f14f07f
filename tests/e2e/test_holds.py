"""Prepare, commit, roll back: a file tied to the caller's own transaction."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from draftstore_common.kit.ids import uuid7
from support.api import Api
from support.rows import draft_key, state_of
from support.stack import Stack

BUNDLES = "/api/v1/confirmations"


async def prepared(api: Api, draft_id: str, **options: Any) -> dict[str, Any]:
    held = await api.confirm(draft_id, mode="prepare", **options)
    assert (held["state"], held["draft_ids"], held["receipts"]) == ("prepared", [draft_id], [])
    return held


async def ended(api: Api, held: dict[str, Any], act: str, *, status: int = 200) -> dict[str, Any]:
    answer: dict[str, Any] = await api.json("POST", f"{BUNDLES}/{held['token']}/{act}", status=status)
    return answer


async def let_lapse(stack: Stack, held: dict[str, Any]) -> None:
    """Let the deadline of a hold pass."""
    for table, column in (("drafts", "confirmation_id"), ("confirmations", "id")):
        await stack.sql(
            f"UPDATE metadata.{table} SET lease_expires_at = now() - interval '1 second' WHERE {column} = $1",  # noqa: S608
            held["id"],
        )


async def test_what_is_committed_is_what_was_judged(stack: Stack, api: Api) -> None:
    draft = await api.uploaded("hold/judged.txt", b"judged", content_type="text/x-judged", cache_control="no-store")
    held = await prepared(api, draft["id"], hold_ttl=60)
    assert await stack.store.head(stack.draft_bucket, await draft_key(stack, draft["id"])) is not None
    assert (await api.put(draft["upload"], b"other!")).status_code == 200  # its URL is still good
    done = await ended(api, held, "commit")
    (receipt,) = done["receipts"]
    assert (done["state"], receipt["size"], receipt["content_type"]) == ("confirmed", 6, "text/x-judged")
    found = await stack.store.head("main", "hold/judged.txt")
    assert found is not None
    assert (found.content_type, found.cache_control, found.metadata) == ("text/x-judged", "no-store", {})
    assert await stack.store.read("main", "hold/judged.txt") == b"judged"
    assert await ended(api, held, "commit") == done
    assert await api.confirm(draft["id"]) == receipt
    assert await api.download(await api.download_url("hold/judged.txt")) == b"judged"


async def test_what_an_uploader_slipped_in_is_not_committed(stack: Stack, api: Api) -> None:
    draft = await api.draft("hold/slipped.txt", content_type="text/plain")
    slipped = await api.put(draft["upload"], b"<script>", **{"x-amz-meta-evil": "yes", "cache-control": "max-age=9"})
    if slipped.status_code == 200:
        await ended(api, await prepared(api, draft["id"]), "commit")
        found = await stack.store.head("main", "hold/slipped.txt")
        assert found is not None
        assert (found.content_type, found.cache_control, found.metadata) == ("text/plain", None, {})


async def test_bytes_of_another_type_than_declared_are_not_held(stack: Stack, api: Api) -> None:
    draft = await api.uploaded("hold/type.txt", b"x", content_type="text/plain")
    key = await draft_key(stack, draft["id"])
    await stack.store.write(stack.draft_bucket, key, b"x", ContentType="text/html")
    status, _ = await api.problem("POST", f"/api/v1/drafts/{draft['id']}/confirm", {"mode": "prepare"})
    assert status in {409, 422}
    assert await state_of(stack, draft["id"]) == "uploaded"
    assert await stack.store.keys("main", "hold/type.txt") == []


async def test_the_deadline_is_what_was_asked_for(api: Api) -> None:
    draft = await api.uploaded("hold/deadline.txt", b"x")
    held = await prepared(api, draft["id"], hold_ttl=60)
    until, made = (datetime.fromisoformat(held[name]) for name in ("prepared_until", "created_at"))
    assert timedelta(seconds=59) <= until - made <= timedelta(seconds=90)
    shown = await api.json("GET", f"{BUNDLES}/{held['id']}")
    assert shown == held
    assert (await api.json("GET", f"/api/v1/drafts/{draft['id']}"))["state"] == "prepared"


@pytest.mark.parametrize("hold_ttl", [9, 3601, 0, -5, "60", 10.5, None, True])
async def test_a_wrong_hold_is_refused(api: Api, hold_ttl: Any) -> None:
    draft = await api.uploaded("hold/wrong.txt", b"x")
    options = {"mode": "prepare", "hold_ttl": hold_ttl}
    assert (await api.problem("POST", f"/api/v1/drafts/{draft['id']}/confirm", options))[0] == 422
    assert (await api.problem("POST", BUNDLES, {"draft_ids": [draft["id"]], **options}))[0] == 422


async def test_a_token_of_another_tenant_is_not_found(api: Api, foreigner: Api) -> None:
    draft = await api.uploaded("hold/mine.txt", b"x")
    held = await prepared(api, draft["id"])
    for token in (held["token"], str(uuid7())):
        for method, path in (("POST", f"/{token}/commit"), ("POST", f"/{token}/rollback"), ("GET", f"/{token}")):
            status, code = await foreigner.problem(method, BUNDLES + path)
            assert (status, code) == (404, "confirmation_not_found")
    assert (await ended(api, held, "commit"))["state"] == "confirmed"


@pytest.mark.parametrize("act", ["commit", "rollback"])
async def test_a_key_without_this_name_neither_sees_nor_ends_a_hold(stack: Stack, api: Api, act: str) -> None:
    draft = await api.uploaded(f"hold-names/{act}.txt", b"x")
    held = await prepared(api, draft["id"])
    async with stack.api((await stack.issue_key(name_prefixes=["elsewhere/"]))["key"]) as narrow:
        assert (await narrow.problem("GET", f"{BUNDLES}/{held['id']}"))[0] in {403, 404}
        assert (await narrow.problem("POST", f"{BUNDLES}/{held['token']}/{act}"))[0] in {403, 404}
    assert (await api.json("GET", f"{BUNDLES}/{held['id']}"))["state"] == "prepared"


@pytest.mark.parametrize("token", ["x", "00000000", "%2e%2e", "a" * 2000])
async def test_what_is_no_token_is_a_problem(api: Api, token: str) -> None:
    for method, path in (("POST", f"/{token}/commit"), ("POST", f"/{token}/rollback"), ("GET", f"/{token}")):
        assert (await api.problem(method, BUNDLES + path))[0] in {400, 404, 414, 422}


async def test_after_the_deadline_there_is_no_commit_and_the_draft_can_be_prepared_again(
    stack: Stack, api: Api
) -> None:
    draft = await api.uploaded("hold/lapsed.txt", b"x")
    held = await prepared(api, draft["id"])
    await let_lapse(stack, held)
    assert await api.problem("POST", f"{BUNDLES}/{held['token']}/commit") == (409, "hold_expired")
    again = await prepared(api, draft["id"])
    assert again["token"] != held["token"]
    assert (await api.problem("POST", f"{BUNDLES}/{held['token']}/commit"))[0] == 409
    assert (await api.call("POST", f"{BUNDLES}/{held['token']}/rollback")).status_code < 500
    assert (await ended(api, again, "commit"))["receipts"][0]["draft_id"] == draft["id"]


async def test_a_rolled_back_draft_is_as_it_was(stack: Stack, api: Api) -> None:
    draft = await api.uploaded("hold/back.txt", b"x")
    held = await prepared(api, draft["id"])
    back = await ended(api, held, "rollback")
    assert (back["state"], back["receipts"]) == ("rolled_back", [])
    assert await ended(api, held, "rollback") == back
    shown = await api.json("GET", f"/api/v1/drafts/{draft['id']}")
    assert (shown["state"], shown["expires_at"]) == ("uploaded", draft["expires_at"])
    assert (await api.call("DELETE", f"/api/v1/drafts/{draft['id']}")).status_code == 204
    assert await state_of(stack, draft["id"]) in {"discarded", "purging", "purged"}


async def test_a_held_draft_outlives_its_end_until_the_hold_does(stack: Stack, api: Api) -> None:
    draft = await api.uploaded("hold/overdue.txt", b"x", ttl=60)
    held = await prepared(api, draft["id"], hold_ttl=3600)
    await stack.sql("UPDATE metadata.drafts SET expires_at = now() - interval '1 minute' WHERE id = $1", draft["id"])
    await stack.clean_once()
    assert (await api.json("GET", f"/api/v1/drafts/{draft['id']}"))["state"] == "prepared"
    assert (await ended(api, held, "commit"))["state"] == "confirmed"


async def test_a_replacing_hold_replaces_at_the_commit_and_not_before(api: Api) -> None:
    old = await api.confirmed("hold/replace.txt", b"old")
    draft = await api.uploaded("hold/replace.txt", b"new")
    held = await prepared(api, draft["id"], on_conflict="replace")
    assert await api.download(await api.download_url("hold/replace.txt", draft_id=old["draft_id"])) == b"old"
    assert (await api.json("GET", "/api/v1/objects/hold/replace.txt"))["draft_id"] == old["draft_id"]
    await ended(api, held, "commit")
    assert (await api.json("GET", "/api/v1/objects/hold/replace.txt"))["draft_id"] == draft["id"]


async def test_a_commit_is_not_refused_for_what_was_deleted_or_published_meanwhile(api: Api) -> None:
    await api.confirmed("hold/deleted.txt", b"old")
    draft = await api.uploaded("hold/deleted.txt", b"new")
    held = await prepared(api, draft["id"], on_conflict="replace")
    assert (await api.call("DELETE", "/api/v1/objects/hold/deleted.txt")).status_code == 204
    by_name = {"object_name": "hold/deleted.txt"}
    rival = await api.uploaded("hold/deleted.txt", b"rival")
    refused = await api.problem("POST", "/api/v1/confirm-upload", {**by_name, "draft_id": rival["id"]})
    assert refused == (409, "name_held")
    assert (await ended(api, held, "commit"))["state"] == "confirmed"
    assert await api.download(await api.download_url("hold/deleted.txt", draft_id=draft["id"])) == b"new"


async def test_a_hold_for_another_subject_is_not_found(api: Api) -> None:
    draft = await api.uploaded("hold/subject.txt", b"x", subject="ada")
    for subject in ({}, {"subject": "bob"}):
        problem = await api.problem("POST", f"/api/v1/drafts/{draft['id']}/confirm", {"mode": "prepare", **subject})
        assert problem == (404, "draft_not_found")
    held = await prepared(api, draft["id"], subject="ada")
    assert (await ended(api, held, "commit"))["state"] == "confirmed"
