"""Confirm through the whole suite: shared work, honest refusals, names that mean what the caller saw."""

import asyncio
import json
from typing import Any

import pytest

from draftstore_common.clients.transport import Reply
from support.back_end import BackEnd


def code(reply: Reply) -> tuple[int, str]:
    return reply.status, json.loads(reply.body)["code"]


async def confirm(back_end: BackEnd, draft: dict[str, Any], **options: Any) -> Reply:
    return await back_end.ask("POST", f"/api/v1/drafts/{draft['id']}/confirm", options or None)


async def test_many_confirms_at_once_are_one_attempt_with_one_receipt(back_end: BackEnd) -> None:
    draft = await back_end.upload(b"bytes", object_name="confirm/one.txt")
    replies = await asyncio.gather(*(confirm(back_end, draft) for _ in range(100)))
    assert {reply.status for reply in replies} == {200}
    assert len({reply.body for reply in replies}) == 1
    assert await back_end.count("object_keys", draft_id=draft["id"]) == 1
    assert await back_end.count("events", draft_id=draft["id"], type="draft.confirming") == 1


async def test_many_confirms_of_an_empty_draft_are_one_refused_attempt(back_end: BackEnd) -> None:
    draft = await back_end.get("POST", "/api/v1/drafts", {"object_name": "confirm/empty.txt"}, 201)
    replies = await asyncio.gather(*(confirm(back_end, draft) for _ in range(50)))
    assert {code(reply) for reply in replies} == {(409, "draft_not_uploaded")}
    assert await back_end.count("events", draft_id=draft["id"], type="draft.confirming") == 1
    await back_end.put(draft, b"late, but in time")
    assert (await confirm(back_end, draft)).status == 200


async def test_a_confirm_bound_to_previewed_bytes_refuses_others(back_end: BackEnd) -> None:
    draft = await back_end.upload(b"first", object_name="confirm/bound.txt")
    assert code(await confirm(back_end, draft, etag="0" * 32)) == (409, "draft_changed")
    receipt = json.loads((await confirm(back_end, draft)).body)
    again = await confirm(back_end, draft, etag=receipt["etag"])
    assert json.loads(again.body) == receipt
    assert code(await confirm(back_end, draft, etag="0" * 32)) == (409, "draft_changed")


async def by_name(back_end: BackEnd, route: str, name: str, **more: Any) -> Reply:
    return await back_end.ask("POST", f"/api/v1/{route}", {"object_name": name, **more})


async def test_a_name_never_confirms_other_bytes_than_those_previewed(back_end: BackEnd) -> None:
    name = "confirm/preview.txt"
    await back_end.upload(b"v1", object_name=name)
    first = json.loads((await by_name(back_end, "confirm-upload", name)).body)
    second = await back_end.upload(b"v2 is longer", object_name=name)
    await back_end.get("DELETE", f"/api/v1/drafts/{second['id']}", status=204)
    assert code(await by_name(back_end, "confirm-upload", name, etag="v2" * 16)) == (409, "draft_changed")
    again = await by_name(back_end, "confirm-upload", name, etag=first["etag"])
    assert json.loads(again.body) == first


async def test_an_uploaded_draft_is_found_by_name_among_newer_empty_ones(back_end: BackEnd) -> None:
    name = "confirm/among.txt"
    uploaded = await back_end.upload(b"bytes", object_name=name)
    for _ in range(12):
        await back_end.get("POST", "/api/v1/drafts", {"object_name": name}, 201)
    receipt = json.loads((await by_name(back_end, "confirm-upload", name)).body)
    assert (receipt["draft_id"], receipt["success"]) == (uploaded["id"], True)


async def test_more_drafts_than_are_looked_at_ask_for_the_id(back_end: BackEnd) -> None:
    name = "confirm/many.txt"
    uploaded = await back_end.upload(b"bytes", object_name=name)
    for _ in range(101):
        await back_end.get("POST", "/api/v1/drafts", {"object_name": name}, 201)
    assert code(await by_name(back_end, "confirm-upload", name)) == (409, "draft_id_required")
    assert (await by_name(back_end, "confirm-upload", name, draft_id=uploaded["id"])).status == 200


@pytest.mark.parametrize("subject", ["bob", None])
async def test_another_subject_neither_sees_nor_confirms(back_end: BackEnd, subject: str | None) -> None:
    name = f"confirm/subject-{subject}.txt"
    theirs = {} if subject is None else {"subject": subject}
    draft = await back_end.upload(b"alice's", object_name=name, subject="alice")
    for route in ("confirm-upload", "download-url"):
        assert code(await by_name(back_end, route, name, **theirs)) == (404, "object_not_found")
    assert code(await confirm(back_end, draft, **theirs)) == (404, "draft_not_found")
    assert (await by_name(back_end, "confirm-upload", name, subject="alice")).status == 200
    assert code(await by_name(back_end, "confirm-upload", name, **theirs)) == (404, "object_not_found")


async def test_names_that_look_like_something_else_are_published_as_what_they_are(back_end: BackEnd) -> None:
    for name, published in (("data:ü/x,y", "application/octet-stream"), ("t.csv.gz", "application/gzip")):
        draft = await back_end.upload(b"x", object_name=name)
        receipt = json.loads((await confirm(back_end, draft)).body)
        assert (receipt["object_name"], receipt["content_type"]) == (name, published)


async def test_what_an_uploader_slipped_in_is_not_published(back_end: BackEnd) -> None:
    draft = await back_end.get("POST", "/api/v1/drafts", {"object_name": "confirm/slip.png"}, 201)
    draft["upload"]["headers"] |= {"content-type": "text/html", "content-encoding": "x-odd", "cache-control": "public"}
    await back_end.put(draft, b"<script>")
    await back_end.get("POST", f"/api/v1/drafts/{draft['id']}/confirm")
    url = (await back_end.get("POST", "/api/v1/download-url", {"object_name": "confirm/slip.png"}))["download_url"]
    async with back_end.store.get(url, auto_decompress=False) as answer:
        assert answer.headers["content-type"] == "image/png"
        assert not {"content-encoding", "cache-control"} & {name.lower() for name in answer.headers}


async def test_another_url_for_a_draft_comes_without_new_declarations(back_end: BackEnd) -> None:
    draft = await back_end.get("POST", "/api/v1/drafts", {"object_name": "confirm/again.txt"}, 201)
    ids = {"object_name": "confirm/again.txt", "draft_id": draft["id"]}
    assert (await back_end.get("POST", "/api/v1/upload-url", ids))["draft_id"] == draft["id"]
    assert code(await back_end.ask("POST", "/api/v1/upload-url", {**ids, "size": 3})) == (422, "already_declared")


async def test_a_preview_in_the_main_bucket_needs_the_scope_for_objects(back_end: BackEnd) -> None:
    draft = await back_end.upload(b"x", object_name="confirm/scope.txt")
    await confirm(back_end, draft)
    narrow = await back_end.with_scopes("drafts:read")
    name = {"object_name": "confirm/scope.txt"}
    for path, body in (("/api/v1/download-url", name), (f"/api/v1/drafts/{draft['id']}/download-url", None)):
        assert code(await narrow.ask("POST", path, body)) == (403, "scope_missing")


async def test_cleaning_removes_what_expired_and_reports_it(back_end: BackEnd) -> None:
    await back_end.cleaner.run()
    draft = await back_end.upload(b"12345", object_name="confirm/expired.txt", size=5)
    await back_end.database.rows(
        "UPDATE metadata.drafts SET expires_at = now() - interval '1 s', purge_due_at = now() WHERE id = $1",
        draft["id"],
    )
    assert code(await confirm(back_end, draft)) == (410, "draft_expired")
    plan = await back_end.cleaner.plan()
    assert (plan.expired_drafts, plan.bytes) == (1, 5)
    report = await back_end.cleaner.run()
    assert (report.objects, report.bytes, report.failed) == (1, 5, 0)
    assert (await back_end.get("GET", f"/api/v1/drafts/{draft['id']}"))["state"] == "purged"
