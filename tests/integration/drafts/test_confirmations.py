"""Bundles and prepared confirmations through the whole suite: all or none, and a commit nobody can refuse."""

import asyncio
import hashlib
from typing import Any, Protocol

from draftstore_common.clients.transport import Reply
from draftstore_common.kit.database import Database


class BackEnd(Protocol):
    database: Database

    async def with_scopes(self, *scopes: str) -> "BackEnd": ...
    async def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Reply: ...
    async def get(self, method: str, path: str, body: dict[str, Any] | None = None, status: int = 200) -> Any: ...
    async def upload(self, content: bytes, **intent: Any) -> dict[str, Any]: ...
    async def put(self, draft: dict[str, Any], content: bytes) -> None: ...
    async def count(self, table: str, **where: Any) -> int: ...


async def uploads(back_end: BackEnd, folder: str, count: int) -> list[str]:
    drafts = await asyncio.gather(
        *(back_end.upload(f"{folder} {n}".encode(), object_name=f"{folder}/{n}") for n in range(count))
    )
    return [draft["id"] for draft in drafts]


def etag_of(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


async def confirm_all(back_end: BackEnd, ids: list[str], status: int = 200, **more: Any) -> Any:
    return await back_end.get("POST", "/api/v1/confirmations", {"draft_ids": ids, **more}, status)


async def names(back_end: BackEnd, prefix: str) -> list[str]:
    page = await back_end.get("GET", f"/api/v1/objects?prefix={prefix}")
    return [item["object_name"] for item in page["items"]]


async def test_a_bundle_publishes_all_of_its_drafts_and_a_repeat_answers_the_same(back_end: BackEnd) -> None:
    ids = await uploads(back_end, "bundle-all", 7)
    done = await confirm_all(back_end, ids)
    assert done["state"] == "confirmed"
    assert [receipt["draft_id"] for receipt in done["receipts"]] == ids
    assert await names(back_end, "bundle-all/") == [f"bundle-all/{n}" for n in range(7)]
    again = await confirm_all(back_end, ids)
    assert again["receipts"] == done["receipts"]
    assert await back_end.get("GET", f"/api/v1/confirmations/{done['id']}") == done


async def test_a_refused_bundle_names_every_offender_and_leaves_all_confirmable(back_end: BackEnd) -> None:
    ids = await uploads(back_end, "bundle-some", 4)
    empty = await back_end.get("POST", "/api/v1/drafts", {"object_name": "bundle-some/empty"}, 201)
    gone = await back_end.upload(b"x", object_name="bundle-some/gone")
    await back_end.get("DELETE", f"/api/v1/drafts/{gone['id']}", status=204)
    wanted = [ids[0], empty["id"], *ids[1:], gone["id"]]
    problem = await confirm_all(back_end, wanted, status=409)
    assert problem["code"] == "confirmation_refused"
    assert [(error["field"], error["id"], error["code"]) for error in problem["errors"]] == [
        ("draft_ids.1", empty["id"], "draft_not_uploaded"),
        ("draft_ids.5", gone["id"], "draft_discarded"),
    ]
    assert await names(back_end, "bundle-some/") == []
    await back_end.put(empty, b"now it is there")
    assert (await confirm_all(back_end, wanted[:-1]))["state"] == "confirmed"


async def test_drafts_confirmed_with_other_bytes_than_previewed_are_refused_however_often_one_asks(
    back_end: BackEnd,
) -> None:
    ids = await uploads(back_end, "bundle-other", 2)
    await confirm_all(back_end, ids)
    before = await back_end.count("confirmations", state="confirmed")
    for _ in range(2):
        problem = await confirm_all(back_end, ids, status=409, etags={ids[0]: "0" * 32})
        assert [(error["id"], error["code"]) for error in problem["errors"]] == [(ids[0], "draft_changed")]
    assert await back_end.count("confirmations", state="confirmed") == before, "and no confirmation says otherwise"
    assert (await confirm_all(back_end, ids, etags={ids[0]: etag_of(b"bundle-other 0")}))["state"] == "confirmed"


async def test_taken_names_refuse_a_bundle_and_replacing_is_all_or_none_too(back_end: BackEnd) -> None:
    ids = await uploads(back_end, "bundle-taken", 3)
    other = await back_end.upload(b"first", object_name="bundle-taken/1")
    await back_end.get("POST", f"/api/v1/drafts/{other['id']}/confirm")
    problem = await confirm_all(back_end, ids, status=409)
    assert [(error["id"], error["code"]) for error in problem["errors"]] == [(ids[1], "object_exists")]
    done = await confirm_all(back_end, ids, on_conflict="replace")
    assert [receipt["final_location"].rpartition("~")[0] != "" for receipt in done["receipts"]] == [False, True, False]


async def test_an_etag_of_a_draft_that_is_not_in_the_bundle_is_a_mistake(back_end: BackEnd) -> None:
    [one, other] = await uploads(back_end, "bundle-etags", 2)
    problem = await confirm_all(back_end, [one], status=422, etags={other: etag_of(b"bundle-etags 1")})
    assert (problem["code"], problem["errors"][0]["field"]) == ("unknown_draft", "etags")
    problem = await confirm_all(back_end, [], status=422, etags={other: "x"})
    assert [error["field"] for error in problem["errors"]] == ["draft_ids"]


async def test_two_drafts_of_one_name_do_not_go_together(back_end: BackEnd) -> None:
    ids = [(await back_end.upload(text, object_name="bundle-same/x"))["id"] for text in (b"one", b"two")]
    problem = await confirm_all(back_end, ids, status=409, on_conflict="replace")
    assert [error["code"] for error in problem["errors"]] == ["name_repeated"] * 2


async def test_many_bundles_of_the_same_drafts_at_once_are_one(back_end: BackEnd) -> None:
    ids = await uploads(back_end, "bundle-race", 5)
    orders = [ids if n % 2 else ids[::-1] for n in range(10)]
    answers = await asyncio.gather(*(confirm_all(back_end, order) for order in orders))
    receipts = {receipt["draft_id"]: receipt for receipt in answers[0]["receipts"]}
    for answer in answers:
        assert {receipt["draft_id"]: receipt for receipt in answer["receipts"]} == receipts
    assert await back_end.count("objects", bucket="main") >= 5
    for draft_id in ids:
        assert await back_end.count("object_keys", draft_id=draft_id) == 1


async def prepare(back_end: BackEnd, draft_id: str, **more: Any) -> Any:
    return await back_end.get("POST", f"/api/v1/drafts/{draft_id}/confirm", {"mode": "prepare", **more})


async def test_a_prepared_draft_is_committed_by_its_token(back_end: BackEnd) -> None:
    draft = await back_end.upload(b"held", object_name="prepare/commit")
    held = await prepare(back_end, draft["id"])
    assert (held["state"], held["draft_ids"], held["receipts"]) == ("prepared", [draft["id"]], [])
    assert await prepare(back_end, draft["id"]) == held, "a repeat answers the same hold"
    assert await names(back_end, "prepare/commit") == []
    done = await back_end.get("POST", f"/api/v1/confirmations/{held['token']}/commit")
    assert (done["state"], done["receipts"][0]["object_name"]) == ("confirmed", "prepare/commit")
    assert await back_end.get("POST", f"/api/v1/confirmations/{held['token']}/commit") == done
    receipt = await back_end.get("POST", f"/api/v1/drafts/{draft['id']}/confirm")
    assert receipt == done["receipts"][0]
    refused = await back_end.get("POST", f"/api/v1/confirmations/{held['token']}/rollback", status=409)
    assert refused["code"] == "confirmation_confirmed"


async def test_a_repeated_prepare_answers_only_a_hold_of_the_bytes_and_the_purpose_it_names(back_end: BackEnd) -> None:
    ids = await uploads(back_end, "prepare-other", 2)
    held = await confirm_all(back_end, ids, mode="prepare")
    problem = await confirm_all(back_end, ids, status=409, mode="prepare", etags={ids[1]: "0" * 32})
    assert [(error["id"], error["code"]) for error in problem["errors"]] == [
        (ids[0], "draft_prepared"),
        (ids[1], "draft_changed"),
    ]
    problem = await confirm_all(back_end, ids, status=409, mode="prepare", on_conflict="replace")
    assert {error["code"] for error in problem["errors"]} == {"draft_prepared"}
    assert await confirm_all(back_end, ids, mode="prepare", etags={ids[1]: etag_of(b"prepare-other 1")}) == held
    await back_end.get("POST", f"/api/v1/confirmations/{held['token']}/rollback")


async def test_a_hold_that_ends_leaves_the_draft_uploaded_even_if_only_the_confirm_saw_its_bytes(
    back_end: BackEnd,
) -> None:
    draft = await back_end.upload(b"held", object_name="prepare/seen")
    held = await prepare(back_end, draft["id"])
    await back_end.get("POST", f"/api/v1/confirmations/{held['token']}/rollback")
    page = await back_end.get("GET", f"/api/v1/drafts/{draft['id']}/events")
    assert [event["to_state"] for event in page["items"]] == ["open", "confirming", "prepared", "uploaded"]
    listed = await back_end.get("GET", "/api/v1/drafts?object_name=prepare/seen")
    assert [(item["state"], item["size"]) for item in listed["items"]] == [("uploaded", 4)]


async def test_a_held_name_is_nobody_elses_until_the_hold_ends(back_end: BackEnd) -> None:
    draft = await back_end.upload(b"held", object_name="prepare/name")
    rival = await back_end.upload(b"rival", object_name="prepare/name")
    held = await prepare(back_end, draft["id"])
    for options in ({"on_conflict": "replace"}, {"on_conflict": "fail"}, {"mode": "prepare"}):
        refused = await back_end.get("POST", f"/api/v1/drafts/{rival['id']}/confirm", options, status=409)
        assert refused["code"] == "name_held"
    for path, method in (
        (f"/api/v1/drafts/{draft['id']}/confirm", "POST"),
        (f"/api/v1/drafts/{draft['id']}", "DELETE"),
    ):
        assert (await back_end.get(method, path, status=409))["code"] == "draft_prepared"
    back = await back_end.get("POST", f"/api/v1/confirmations/{held['id']}/rollback")
    assert back["state"] == "rolled_back"
    assert await back_end.get("POST", f"/api/v1/confirmations/{held['id']}/rollback") == back
    refused = await back_end.get("POST", f"/api/v1/confirmations/{held['id']}/commit", status=409)
    assert refused["code"] == "confirmation_rolled_back"
    await back_end.get("POST", f"/api/v1/drafts/{rival['id']}/confirm")
    again = await back_end.get("POST", f"/api/v1/drafts/{draft['id']}/confirm", status=409)
    assert again["code"] == "object_exists"


async def test_commits_at_once_answer_the_same_receipts(back_end: BackEnd) -> None:
    ids = await uploads(back_end, "prepare-at-once", 5)
    for draft_id in ids:
        held = await confirm_all(back_end, [draft_id], mode="prepare")
        path = f"/api/v1/confirmations/{held['token']}/commit"
        answers = await asyncio.gather(*(back_end.get("POST", path) for _ in range(8)))
        assert [receipt["draft_id"] for receipt in answers[0]["receipts"]] == [draft_id]
        assert all(answer == answers[0] for answer in answers)


async def test_after_the_deadline_a_commit_is_refused_and_the_draft_is_free(back_end: BackEnd) -> None:
    ids = await uploads(back_end, "prepare-deadline", 3)
    held = await confirm_all(back_end, ids, mode="prepare")
    for table, column in (("drafts", "confirmation_id"), ("confirmations", "id")):
        await back_end.database.rows(
            f"UPDATE metadata.{table} SET lease_expires_at = now() - interval '1 second' WHERE {column} = $1",  # noqa: S608
            held["id"],
        )
    refused = await back_end.get("POST", f"/api/v1/confirmations/{held['id']}/commit", status=409)
    assert refused["code"] == "hold_expired"
    seen = await back_end.get("GET", f"/api/v1/confirmations/{held['id']}")
    assert (seen["state"], seen["problem"]["code"]) == ("rolled_back", "hold_expired")
    assert (await confirm_all(back_end, ids))["state"] == "confirmed"


async def test_a_prepared_bundle_is_visible_all_at_once(back_end: BackEnd) -> None:
    ids = await uploads(back_end, "prepare-bundle", 5)
    held = await confirm_all(back_end, ids, mode="prepare", hold_ttl=60)
    assert await confirm_all(back_end, ids, mode="prepare") == held
    done = await back_end.get("POST", f"/api/v1/confirmations/{held['token']}/commit")
    assert [receipt["draft_id"] for receipt in done["receipts"]] == ids
    assert len(await names(back_end, "prepare-bundle/")) == 5
