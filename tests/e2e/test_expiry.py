"""Nothing unconfirmed stays for ever, and nothing confirmed goes."""

import asyncio

from support.api import Api
from support.rows import age_draft, draft_key, row_of, state_of
from support.stack import Stack

HOUR = 3600


async def test_an_expired_draft_is_gone_from_the_bucket_after_one_cleaning(stack: Stack, api: Api) -> None:
    draft = await api.uploaded("expiry/gone.txt", b"12345", ttl=60)
    key = await draft_key(stack, draft["id"])
    await age_draft(stack, draft["id"], 61)
    path = f"/api/v1/drafts/{draft['id']}"
    assert (await api.json("GET", path))["state"] == "expired"  # for callers, before any cleaner ran
    assert await api.problem("POST", f"{path}/confirm", {}) == (410, "draft_expired")
    assert await stack.store.head(stack.draft_bucket, key) is not None

    report = await stack.clean_once()
    assert await stack.store.head(stack.draft_bucket, key) is None
    assert "Cleaned up" in report["message"]
    assert await api.problem("POST", f"{path}/confirm", {}) == (410, "draft_expired")


async def test_a_dry_run_tells_what_is_due_and_changes_nothing(stack: Stack, api: Api) -> None:
    draft = await api.uploaded("expiry/dry.txt", b"12345", ttl=60)
    key = await draft_key(stack, draft["id"])
    await age_draft(stack, draft["id"], 61)
    before = await row_of(stack, draft["id"])
    plan = await stack.clean_once("--dry-run")
    assert plan["expired_drafts"] >= 1
    assert await row_of(stack, draft["id"]) == before
    assert await stack.store.head(stack.draft_bucket, key) is not None
    again = await stack.clean_once("--dry-run")
    assert again | {"now": plan["now"]} == plan
    await stack.clean_once()
    assert await stack.store.head(stack.draft_bucket, key) is None


async def test_two_cleaners_at_once_share_the_work(stack: Stack, api: Api) -> None:
    drafts = await asyncio.gather(*(api.uploaded(f"expiry/shared-{n}.txt", b"x", ttl=60) for n in range(30)))
    keys = [await draft_key(stack, draft["id"]) for draft in drafts]
    for draft in drafts:
        await age_draft(stack, draft["id"], 61)
    reports = await asyncio.gather(stack.clean_once(), stack.clean_once())
    assert sum(report["expired"] for report in reports) >= 30
    assert [report["failed"] for report in reports] == [0, 0]
    assert not set(keys) & set(await stack.store.keys(stack.draft_bucket))


async def test_what_is_not_due_survives_the_cleaner(stack: Stack, api: Api) -> None:
    content = b"still wanted"
    waiting = await api.uploaded("expiry/waiting.txt", content)
    empty = await api.draft("expiry/empty.txt")
    receipt = await api.confirmed("expiry/confirmed.txt", content)
    await stack.clean_once()
    assert (await api.confirm(waiting["id"]))["size"] == len(content)
    assert await state_of(stack, empty["id"]) == "open"
    assert await stack.store.read("main", "expiry/confirmed.txt") == content
    assert await api.confirm(receipt["draft_id"]) == receipt


async def test_bytes_that_land_after_the_purge_are_removed_again(stack: Stack, api: Api) -> None:
    draft = await api.draft("expiry/late.txt", ttl=60)
    key = await draft_key(stack, draft["id"])
    await age_draft(stack, draft["id"], 61)
    await stack.clean_once()
    await stack.store.write(stack.draft_bucket, key, b"a slow PUT that ended late")
    await age_draft(stack, draft["id"], HOUR)  # past write_horizon_at
    await stack.clean_once()
    assert await stack.store.head(stack.draft_bucket, key) is None
    assert await state_of(stack, draft["id"]) == "purged"


async def test_a_late_put_after_confirm_never_changes_the_object(stack: Stack, api: Api) -> None:
    draft = await api.uploaded("expiry/confirmed-then-put.txt", b"judged")
    key = await draft_key(stack, draft["id"])
    receipt = await api.confirm(draft["id"])
    assert (await api.put(draft["upload"], b"late bytes")).status_code == 200  # its URL is still good
    assert await stack.store.read("main", "expiry/confirmed-then-put.txt") == b"judged"
    assert await api.confirm(draft["id"]) == receipt
    await age_draft(stack, draft["id"], 2 * HOUR)
    await stack.clean_once()
    assert await stack.store.head(stack.draft_bucket, key) is None
    assert await stack.store.read("main", "expiry/confirmed-then-put.txt") == b"judged"


async def test_a_url_never_outlives_its_draft(api: Api) -> None:
    draft = await api.draft("expiry/short.txt", ttl=60)
    assert draft["upload"]["expires_at"] <= draft["expires_at"]
    assert "X-Amz-Expires=60" in draft["upload"]["url"] or "X-Amz-Expires=59" in draft["upload"]["url"]


async def test_years_after_its_confirm_an_object_is_still_there(stack: Stack, api: Api) -> None:
    receipt = await api.confirmed("expiry/permanent.txt", b"permanent")
    await age_draft(stack, receipt["draft_id"], 5 * 365 * 24 * HOUR)
    await stack.clean_once()
    assert await stack.store.read("main", "expiry/permanent.txt") == b"permanent"
    assert await api.download(await api.download_url("expiry/permanent.txt")) == b"permanent"
