"""Extend and restore: a draft lives as long as it is told to, and never past its tenant's maximum."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from support.api import Api
from support.leaks import leaked
from support.rows import age_draft, draft_key, state_of
from support.stack import Stack, make_stack, running, temporary_data_dir

WEEK = 7 * 24 * 3600
HOUR = 3600
SLACK = timedelta(seconds=30)


def at(instant: str) -> datetime:
    return datetime.fromisoformat(instant)


def life(draft: dict[str, Any]) -> timedelta:
    return at(draft["expires_at"]) - at(draft["created_at"])


async def extended(api: Api, draft: dict[str, Any], ttl: int) -> dict[str, Any]:
    answer: dict[str, Any] = await api.json("POST", f"/api/v1/drafts/{draft['id']}/extend", {"ttl": ttl})
    return answer


async def test_a_draft_lives_as_long_as_it_is_extended_and_never_shorter(api: Api) -> None:
    draft = await api.uploaded("extend/one.txt", b"x", ttl=600)
    longer = await extended(api, draft, 2 * HOUR)
    assert timedelta(hours=2) <= life(longer) <= timedelta(hours=2) + SLACK
    assert (await extended(api, draft, 60))["expires_at"] == longer["expires_at"]
    assert (await extended(api, draft, 600))["expires_at"] == longer["expires_at"]
    assert (await api.json("GET", f"/api/v1/drafts/{draft['id']}"))["expires_at"] == longer["expires_at"]


async def test_no_draft_is_extended_past_the_maximum(stack: Stack, api: Api) -> None:
    draft = await api.draft("extend/maximum.txt", ttl=WEEK)
    assert life(draft) <= timedelta(seconds=WEEK)
    await age_draft(stack, draft["id"], 24 * HOUR)
    for _ in range(2):
        assert life(await extended(api, draft, WEEK)) == timedelta(seconds=WEEK)


@pytest.mark.parametrize("ttl", [0, -1, 59, WEEK + 1, 1.5, "600", True, None])
async def test_a_wrong_ttl_is_refused_and_changes_nothing(api: Api, ttl: Any) -> None:
    draft = await api.draft("extend/wrong.txt", ttl=600)
    for act in ("extend", "restore"):
        status, _ = await api.problem("POST", f"/api/v1/drafts/{draft['id']}/{act}", {"ttl": ttl, "unknown": 1})
        assert status == 422
    if ttl is not None:
        assert (await api.problem("POST", f"/api/v1/drafts/{draft['id']}/extend", {"ttl": ttl}))[0] == 422
    assert (await api.json("GET", f"/api/v1/drafts/{draft['id']}"))["expires_at"] == draft["expires_at"]


async def test_what_is_over_is_not_extended(stack: Stack, api: Api) -> None:
    late = await api.uploaded("extend/late.txt", b"x", ttl=60)
    await age_draft(stack, late["id"], 61)
    path = f"/api/v1/drafts/{late['id']}"
    assert await api.problem("POST", f"{path}/extend", {"ttl": 600}) == (410, "draft_expired")
    assert (await api.json("GET", path))["state"] == "expired"
    gone = await api.draft("extend/gone.txt")
    assert (await api.call("DELETE", f"/api/v1/drafts/{gone['id']}")).status_code == 204
    assert (await api.problem("POST", f"/api/v1/drafts/{gone['id']}/extend", {"ttl": 600}))[0] in {409, 410}
    done = await api.confirmed("extend/done.txt", b"x")
    assert (await api.problem("POST", f"/api/v1/drafts/{done['draft_id']}/extend", {"ttl": 600}))[0] == 409


async def test_an_extended_draft_gets_urls_for_its_new_time(stack: Stack, api: Api) -> None:
    draft = await api.draft("extend/url.txt", ttl=60)
    await age_draft(stack, draft["id"], 50)
    await extended(api, draft, 2 * HOUR)
    await age_draft(stack, draft["id"], 60)  # past the first end
    again = await api.json("POST", f"/api/v1/drafts/{draft['id']}/upload-url")
    assert (await api.put(again["upload"], b"in time")).status_code == 200
    await stack.clean_once()
    assert (await api.confirm(draft["id"]))["size"] == 7


async def test_without_a_grace_nothing_is_restored(stack: Stack, api: Api) -> None:
    draft = await api.uploaded("restore/none.txt", b"x", ttl=60)
    await age_draft(stack, draft["id"], 61)
    path = f"/api/v1/drafts/{draft['id']}/restore"
    assert await api.problem("POST", path, {}) == (410, "draft_expired")
    await stack.clean_once()
    assert await api.problem("POST", path, {}) == (410, "draft_expired")


async def test_what_was_not_lost_need_not_be_restored(api: Api) -> None:
    draft = await api.uploaded("restore/living.txt", b"x", ttl=600)
    again = await api.json("POST", f"/api/v1/drafts/{draft['id']}/restore", {"ttl": 60})
    assert again["expires_at"] >= draft["expires_at"]
    done = await api.confirmed("restore/done.txt", b"x")
    assert (await api.problem("POST", f"/api/v1/drafts/{done['draft_id']}/restore", {}))[0] == 409


@pytest.fixture(scope="module")
async def kind_stack() -> AsyncIterator[Stack]:
    """A product that keeps the bytes of expired drafts for an hour."""
    with temporary_data_dir() as data_dir:
        async with running(make_stack("standalone", "s3", data_dir, RESTORE_GRACE=str(HOUR))) as started:
            yield started
        assert leaked(started) == []


@pytest.fixture(scope="module")
async def kind_api(kind_stack: Stack) -> AsyncIterator[Api]:
    async with kind_stack.api((await kind_stack.issue_key())["key"]) as client:
        yield client


@pytest.mark.parametrize("cleaned", [False, True], ids=["only late", "cleaned meanwhile"])
async def test_within_the_grace_a_draft_comes_back_with_its_bytes(
    kind_stack: Stack, kind_api: Api, cleaned: bool
) -> None:
    draft = await kind_api.uploaded(f"restore/kept-{cleaned}.txt", b"kept", ttl=60)
    await age_draft(kind_stack, draft["id"], 60 + HOUR // 2)
    if cleaned:
        await kind_stack.clean_once()
        assert await state_of(kind_stack, draft["id"]) == "expired"
    path = f"/api/v1/drafts/{draft['id']}"
    assert await kind_api.problem("POST", f"{path}/confirm", {}) == (410, "draft_expired")
    back = await kind_api.json("POST", f"{path}/restore", {"ttl": 600})
    assert back["state"] in {"open", "uploaded"}
    again = await kind_api.json("POST", f"{path}/restore", {"ttl": 600})
    assert again["state"] == back["state"]
    assert at(again["expires_at"]) >= at(back["expires_at"])
    await kind_stack.clean_once()
    assert (await kind_api.confirm(draft["id"]))["size"] == 4
    assert await kind_stack.store.read("main", f"restore/kept-{cleaned}.txt") == b"kept"


async def test_a_restored_draft_without_bytes_takes_them(kind_stack: Stack, kind_api: Api) -> None:
    draft = await kind_api.draft("restore/empty.txt", ttl=60)
    await age_draft(kind_stack, draft["id"], 120)
    await kind_stack.clean_once()
    path = f"/api/v1/drafts/{draft['id']}"
    assert (await kind_api.json("POST", f"{path}/restore"))["state"] == "open"
    url = await kind_api.json("POST", f"{path}/upload-url")
    assert (await kind_api.put(url["upload"], b"new")).status_code == 200
    assert (await kind_api.confirm(draft["id"]))["size"] == 3


async def test_the_grace_counts_from_the_expiry_not_from_whoever_noticed_it(kind_stack: Stack, kind_api: Api) -> None:
    draft = await kind_api.uploaded("restore/noticed-late.txt", b"x", ttl=60)
    await age_draft(kind_stack, draft["id"], 60 + HOUR // 2)
    await kind_stack.clean_once()
    await age_draft(kind_stack, draft["id"], HOUR // 2 + 60)
    await kind_stack.clean_once()
    assert await state_of(kind_stack, draft["id"]) == "purged"


async def test_after_the_grace_and_from_purging_nothing_comes_back(kind_stack: Stack, kind_api: Api) -> None:
    draft = await kind_api.uploaded("restore/too-late.txt", b"x", ttl=60)
    key = await draft_key(kind_stack, draft["id"])
    path = f"/api/v1/drafts/{draft['id']}/restore"
    await age_draft(kind_stack, draft["id"], 61 + HOUR)
    assert await kind_api.problem("POST", path, {}) == (410, "draft_expired")
    await kind_stack.clean_once()
    assert await kind_stack.store.head(kind_stack.draft_bucket, key) is None
    await kind_stack.sql(
        "UPDATE metadata.drafts SET state = 'purging', expires_at = now() - interval '1 minute' WHERE id = $1",
        draft["id"],
    )
    assert await kind_api.problem("POST", path, {}) == (410, "draft_expired")


async def test_nothing_is_restored_past_the_maximum(kind_stack: Stack, kind_api: Api) -> None:
    draft = await kind_api.uploaded("restore/maximum.txt", b"x", ttl=WEEK)
    path = f"/api/v1/drafts/{draft['id']}"
    await age_draft(kind_stack, draft["id"], WEEK + 60)
    status = (await kind_api.call("POST", f"{path}/restore", {"ttl": 600})).status_code
    assert status == 410, "its whole life is over"
    other = await kind_api.uploaded("restore/nearly.txt", b"x", ttl=WEEK - 600)
    await age_draft(kind_stack, other["id"], WEEK - 300)
    back = await kind_api.json("POST", f"/api/v1/drafts/{other['id']}/restore", {"ttl": WEEK})
    assert life(back) == timedelta(seconds=WEEK)


async def test_a_discarded_draft_stays_discarded(kind_api: Api) -> None:
    draft = await kind_api.uploaded("restore/discarded.txt", b"x")
    assert (await kind_api.call("DELETE", f"/api/v1/drafts/{draft['id']}")).status_code == 204
    status, _ = await kind_api.problem("POST", f"/api/v1/drafts/{draft['id']}/restore", {})
    assert status in {409, 410}
