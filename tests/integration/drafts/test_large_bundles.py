"""The limits of a bundle: a thousand drafts, all or none, whoever asks and however long it takes."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio

from draftstore_common.clients.transport import Reply
from draftstore_common.kit.context import set_timeout
from draftstore_common.kit.ids import uuid7
from support.installation import Door, Installation, site
from support.lives import Life
from support.proxy import Proxy
from support.servers import Postgres, Store
from support.until import until

BUNDLES = "/confirmations"
AT_ONCE = 50


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def line(store: Store) -> AsyncIterator[Proxy]:
    """The services' way to the store, which may be slow."""
    async with Proxy(store.endpoint) as proxy:
        yield proxy


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def whole(postgres: Postgres, store: Store, line: Proxy) -> AsyncIterator[Installation]:
    """A suite whose services reach the store through that line."""
    async with site(postgres.url, store, store=line) as ground, ground.running() as running:
        yield running


async def uploaded(whole: Installation, folder: str, count: int) -> list[str]:
    """Drafts with bytes, their ids in order."""
    turns = asyncio.Semaphore(AT_ONCE)

    async def one(number: int) -> str:
        async with turns:
            return str((await whole.upload(f"{folder}/{number:04}", f"{folder} {number}".encode()))["id"])

    return list(await asyncio.gather(*(one(number) for number in range(count))))


async def key_with(whole: Installation, **wanted: Any) -> Installation:
    """The same installation with another key at its door; `tenant`: of a tenant of its own."""
    admin = replace(whole.door, secret=whole.suite._backing.admin_api_key.get_secret_value())  # type: ignore[union-attr]
    if tenant := wanted.pop("tenant", None):
        reply = await admin.get("POST", "/tenants", {"name": tenant}, 201)
        wanted["tenant_id"] = reply["id"]
    scopes = ["drafts:read", "drafts:write", "drafts:confirm", "objects:read"]
    key = await admin.get("POST", "/keys", {"name": "more", "scopes": scopes, "rate_limits": [], **wanted}, 201)
    return replace(whole, door=replace(whole.door, secret=key["key"]))


async def confirmed(whole: Installation, ids: list[str], status: int = 200, **more: Any) -> Any:
    return await whole.door.get("POST", BUNDLES, {"draft_ids": ids, **more}, status)


async def followed(whole: Installation, ids: list[str], **more: Any) -> Any:
    """What became of a bundle, however long it took."""
    reply = await whole.door.ask("POST", BUNDLES, {"draft_ids": ids, **more})
    begun = json.loads(reply.body)
    assert reply.status in {200, 202}, begun
    return await over(whole, begun["id"])


async def over(whole: Installation, confirmation_id: str) -> Any:
    """A confirmation that is not worked on any more."""
    seen: Any = None

    async def is_over() -> bool:
        nonlocal seen
        seen = await whole.door.get("GET", f"{BUNDLES}/{confirmation_id}")
        return bool(seen["state"] != "working")

    await until(is_over, "the confirmation is over", seconds=90)
    return seen


def offenders(problem: Any) -> list[tuple[str, str, str]]:
    assert problem["code"] == "confirmation_refused"
    return [(error["field"], error["id"], error["code"]) for error in problem["errors"]]


async def test_a_thousand_drafts_are_published_at_once(whole: Installation) -> None:
    ids = await uploaded(whole, "thousand", 1000)
    done = await followed(whole, ids)
    assert done["state"] == "confirmed", done["problem"]
    assert done["draft_ids"] == ids
    assert [receipt["draft_id"] for receipt in done["receipts"]] == ids
    assert [receipt["object_name"] for receipt in done["receipts"]] == [f"thousand/{n:04}" for n in range(1000)]
    (row,) = await whole.database.rows(
        "SELECT count(*), count(DISTINCT confirmed_at) FROM metadata.objects WHERE object_name LIKE 'thousand/%'"
    )
    assert tuple(row) == (1000, 1), "one transaction"
    assert await whole.store.read(whole.main, "thousand/0999") == b"thousand 999"
    assert (await whole.door.get("POST", f"/drafts/{ids[500]}/confirm")) == done["receipts"][500]
    again = await confirmed(whole, ids)
    assert again["receipts"] == done["receipts"]


@pytest.mark.parametrize("count", [0, 1001])
async def test_fewer_than_one_or_more_than_a_thousand_are_refused(whole: Installation, count: int) -> None:
    problem = await confirmed(whole, [str(uuid7()) for _ in range(count)], 422)
    assert problem["code"] == "invalid_draft_ids"


async def test_a_draft_named_twice_is_refused(whole: Installation) -> None:
    (draft_id,) = await uploaded(whole, "twice", 1)
    for other in (draft_id, draft_id.upper()):
        problem = await confirmed(whole, [draft_id, other], 422)
        assert [error["code"] for error in problem["errors"]] == ["repeated_draft"]
    assert (await confirmed(whole, [draft_id]))["state"] == "confirmed"


async def test_foreign_drafts_are_offenders_like_missing_ones(whole: Installation) -> None:
    (mine,) = await uploaded(whole, "foreign-mine", 1)
    (theirs,) = await uploaded(await key_with(whole, tenant="bundle-foreign"), "foreign-theirs", 1)
    missing = str(uuid7())
    problem = await confirmed(whole, [theirs, mine, missing], 409)
    assert offenders(problem) == [
        ("draft_ids.0", theirs, "draft_not_found"),
        ("draft_ids.2", missing, "draft_not_found"),
    ]
    details = [error["detail"].replace(error["id"], "") for error in problem["errors"]]
    assert details[0] == details[1], "nobody learns what is not theirs"
    assert (await confirmed(whole, [mine]))["state"] == "confirmed"


async def test_names_outside_the_keys_prefixes_are_no_ones_to_confirm(whole: Installation) -> None:
    (inside,) = await uploaded(whole, "narrow-in", 1)
    (outside,) = await uploaded(whole, "narrow-out", 1)
    narrow = await key_with(whole, name_prefixes=["narrow-in/"])
    reply = await narrow.door.ask("POST", BUNDLES, {"draft_ids": [inside, outside]})
    assert reply.status in {403, 409}, reply.body
    if reply.status == 409:
        assert [offender[1] for offender in offenders(json.loads(reply.body))] == [outside]
    for draft_id in (inside, outside):
        assert (await whole.door.get("GET", f"/drafts/{draft_id}"))["state"] == "uploaded"
    wide = await confirmed(whole, [inside, outside])
    seen = await narrow.door.ask("GET", f"{BUNDLES}/{wide['id']}")
    assert seen.status in {403, 404}, "its receipts name what the key may not see"


async def test_members_that_are_confirmed_already_are_no_offenders(whole: Installation) -> None:
    ids = await uploaded(whole, "already", 4)
    first = await whole.door.get("POST", f"/drafts/{ids[1]}/confirm")
    done = await confirmed(whole, ids)
    assert [receipt["draft_id"] for receipt in done["receipts"]] == ids
    assert done["receipts"][1] == first
    extra = await uploaded(whole, "already-more", 1)
    more = await confirmed(whole, [*extra, *ids])
    assert more["receipts"][1:] == done["receipts"]


async def test_members_that_are_confirmed_already_are_not_taken_back_by_a_refusal(whole: Installation) -> None:
    (first,) = await uploaded(whole, "kept", 1)
    receipt = await whole.door.get("POST", f"/drafts/{first}/confirm")
    empty = await whole.new("kept/empty")
    problem = await confirmed(whole, [first, empty["id"]], 409)
    assert offenders(problem) == [("draft_ids.1", empty["id"], "draft_not_uploaded")]
    assert await whole.door.get("POST", f"/drafts/{first}/confirm") == receipt


async def test_every_offender_is_named_for_its_own_reason(whole: Installation) -> None:
    ready, late = await uploaded(whole, "reasons", 2)
    empty = str((await whole.new("reasons/empty"))["id"])
    gone = str((await whole.new("reasons/gone"))["id"])
    await whole.door.ask("DELETE", f"/drafts/{gone}")
    held = str((await whole.upload("reasons/held", b"x"))["id"])
    await whole.door.get("POST", f"/drafts/{held}/confirm", {"mode": "prepare"})
    await whole.pass_time([{"id": late}], 8 * 24 * 3600)
    problem = await confirmed(whole, [empty, ready, gone, held, late], 409)
    assert offenders(problem) == [
        ("draft_ids.0", empty, "draft_not_uploaded"),
        ("draft_ids.2", gone, "draft_discarded"),
        ("draft_ids.3", held, "draft_prepared"),
        ("draft_ids.4", late, "draft_expired"),
    ]
    assert (await confirmed(whole, [ready]))["state"] == "confirmed"


async def test_an_etag_binds_a_draft_to_what_was_previewed(whole: Installation) -> None:
    drafts = [await whole.upload(f"bound/{number}", b"previewed") for number in range(3)]
    ids = [str(draft["id"]) for draft in drafts]
    await whole.door.get("GET", f"/drafts/{ids[0]}")
    await confirmed(whole, [*ids, str((await whole.new("bound/empty"))["id"])], 409)  # now all were looked at
    etags = {draft_id: str((await whole.row({"id": draft_id}))["etag"]) for draft_id in ids}
    await whole.put(drafts[1], b"something else")
    problem = await confirmed(whole, ids, 409, etags=etags)
    assert offenders(problem) == [("draft_ids.1", ids[1], "draft_changed")]
    await whole.put(drafts[1], b"previewed")
    assert (await confirmed(whole, ids, etags=etags))["state"] == "confirmed"


async def test_a_subject_counts_for_every_member(whole: Installation) -> None:
    ada = str((await whole.upload("subjects/ada", b"x", subject="ada"))["id"])
    bob = str((await whole.upload("subjects/bob", b"x", subject="bob"))["id"])
    problem = await confirmed(whole, [ada, bob], 409, subject="ada")
    assert offenders(problem) == [("draft_ids.1", bob, "draft_not_found")]
    assert (await confirmed(whole, [ada], subject="ada"))["state"] == "confirmed"


async def asked_in_a_hurry(door: Door, ids: list[str]) -> Reply:
    """The answer to a caller whose time, which travels in `x-request-timeout`, is short."""
    set_timeout(2.5)
    return await door.ask("POST", BUNDLES, {"draft_ids": ids})


async def test_a_bundle_that_takes_long_is_answered_with_a_place_to_ask_at(whole: Installation, line: Proxy) -> None:
    ids = await uploaded(whole, "slow", 12)
    line.slow(delay=0.4)
    try:
        async with whole.process(Life()) as door:
            reply = await asyncio.create_task(asked_in_a_hurry(door, ids))
            early = json.loads(reply.body)
            assert (reply.status, early["state"], early["receipts"]) == (202, "working", [])
            assert early["draft_ids"] == ids
            assert int(reply.headers["retry-after"]) >= 1
            assert reply.headers["location"] == f"/api/v1{BUNDLES}/{early['id']}"
            assert (await door.get("GET", f"{BUNDLES}/{early['id']}"))["state"] == "working"
            line.slow()
            seen = await over(whole, early["id"])
    finally:
        line.slow()
    assert seen["state"] == "confirmed"
    assert [receipt["draft_id"] for receipt in seen["receipts"]] == ids
