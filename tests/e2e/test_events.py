"""What happened to drafts, for those who may know: per draft, and as a feed in which nothing is skipped."""

import asyncio
from itertools import pairwise
from typing import Any

import pytest

from support.api import Api
from support.rows import age_draft
from support.stack import Stack

FEED = "/api/v1/events"


async def pages(api: Api, path: str, parameter: str, *, start: str | None = None, limit: int = 3) -> list[Any]:
    """Everything a feed has from a place on, read page by page until a page is empty."""
    events: list[Any] = []
    cursor = start
    while True:
        place = "" if cursor is None else f"&{parameter}={cursor}"
        page = await api.json("GET", f"{path}?limit={limit}{place}")
        assert len(page["items"]) <= limit
        events += page["items"]
        cursor = page["next_cursor"] or cursor
        if len(page["items"]) < limit:
            return events


async def end_of_feed(api: Api) -> str | None:
    """The place after everything that happened so far."""
    cursor: str | None = None
    while True:
        page = await api.json("GET", f"{FEED}?limit=1000" + ("" if cursor is None else f"&after={cursor}"))
        cursor = page["next_cursor"] or cursor
        if len(page["items"]) < 1000:
            return cursor


async def of_draft(api: Api, draft_id: str) -> list[Any]:
    return await pages(api, f"/api/v1/drafts/{draft_id}/events", "cursor", limit=2)


def changes(events: list[Any]) -> list[tuple[str, str | None, str | None]]:
    return [(event["type"], event["from_state"], event["to_state"]) for event in events]


async def test_the_life_of_a_draft_is_told_in_order(stack: Stack) -> None:
    key = await stack.issue_key()
    async with stack.api(key["key"]) as api:
        draft = await api.uploaded("events/life.txt", b"x")
        await api.confirm(draft["id"])
        events = await of_draft(api, draft["id"])
    states = [event["to_state"] for event in events if event["type"] == f"draft.{event['to_state']}"]
    assert (states[0], states[-1]) == ("open", "confirmed")
    for before, after in pairwise(events):
        assert before["id"] < after["id"]
        assert before["at"] <= after["at"]
        if after["from_state"] is not None:
            assert after["from_state"] == before["to_state"]
    assert {(event["draft_id"], event["object_name"]) for event in events} == {(draft["id"], "events/life.txt")}
    assert {event["actor"] for event in events} == {f"key:{key['id']}"}


async def test_given_up_drafts_are_told_of_too(stack: Stack, api: Api) -> None:
    gone = await api.uploaded("events/discarded.txt", b"x")
    await api.call("DELETE", f"/api/v1/drafts/{gone['id']}")
    await api.call("DELETE", f"/api/v1/drafts/{gone['id']}")
    late = await api.uploaded("events/expired.txt", b"x", ttl=60)
    await age_draft(stack, late["id"], 61)
    await stack.clean_once()
    told = changes(await of_draft(api, gone["id"]))
    assert [change[0] for change in told].count("draft.discarded") == 1
    told = changes(await of_draft(api, late["id"]))
    assert [change[0] for change in told if change[0] in {"draft.expired", "draft.purging", "draft.purged"}] == [
        "draft.expired",
        "draft.purging",
        "draft.purged",
    ]


async def test_polling_the_feed_misses_and_doubles_nothing(api: Api) -> None:
    start = await end_of_feed(api)
    seen: list[Any] = []
    done = asyncio.Event()

    async def poll() -> None:
        cursor = start
        while True:
            last = done.is_set()
            page = await api.json("GET", f"{FEED}?limit=7" + ("" if cursor is None else f"&after={cursor}"))
            seen.extend(page["items"])
            cursor = page["next_cursor"] or cursor
            if last and not page["items"]:
                return

    async def life(number: int) -> dict[str, Any]:
        draft = await api.uploaded(f"events/poll-{number}", b"x")
        await api.confirm(draft["id"])
        return draft

    polling = asyncio.create_task(poll())
    drafts = await asyncio.gather(*(life(number) for number in range(20)))
    done.set()
    await polling
    ids = [event["id"] for event in seen]
    assert len(ids) == len(set(ids))
    for draft in drafts:
        mine = [event for event in seen if event["draft_id"] == draft["id"]]
        assert mine == await of_draft(api, draft["id"])


@pytest.mark.parametrize("cursor", ["x", "0", "-1", "1.5", "abc.def", "%F0%9F%92%A9", "9" * 400, "x" * 600, "1:2:3"])
async def test_a_malformed_cursor_is_refused(api: Api, cursor: str) -> None:
    draft = await api.draft("events/cursor.txt")
    for path in (f"{FEED}?after={cursor}", f"/api/v1/drafts/{draft['id']}/events?cursor={cursor}"):
        assert (await api.problem("GET", path))[0] == 422, path


@pytest.mark.parametrize("limit", ["0", "1001", "-1", "x"])
async def test_a_wrong_limit_is_refused(api: Api, limit: str) -> None:
    assert (await api.problem("GET", f"{FEED}?limit={limit}"))[0] == 422


async def test_a_key_with_prefixes_sees_only_its_names(stack: Stack, api: Api) -> None:
    start = await end_of_feed(api)
    mine, other = await api.draft("events-narrow/mine"), await api.draft("events-wide/other")
    narrow = await stack.issue_key(name_prefixes=["events-narrow/"])
    async with stack.api(narrow["key"]) as narrowed:
        seen = await pages(narrowed, FEED, "after", start=start, limit=1)
        assert {event["draft_id"] for event in seen} == {mine["id"]}
        everything = await pages(narrowed, FEED, "after", limit=1000)
        assert {event["object_name"].split("/")[0] for event in everything} == {"events-narrow"}
        refused = await narrowed.problem("GET", f"/api/v1/drafts/{other['id']}/events")
        assert refused[0] in {403, 404}


async def test_another_tenant_sees_nothing_of_it(api: Api, foreigner: Api) -> None:
    own = await foreigner.draft("events/theirs.txt")
    start = await end_of_feed(api)
    draft = await api.draft("events/ours.txt")
    assert await foreigner.problem("GET", f"/api/v1/drafts/{draft['id']}/events") == (404, "draft_not_found")
    theirs = await pages(foreigner, FEED, "after", limit=1000)
    assert own["id"] in {event["draft_id"] for event in theirs}
    assert draft["id"] not in {event["draft_id"] for event in theirs}
    # A place somebody else was told is no way into their feed.
    later = await pages(foreigner, FEED, "after", start=start, limit=1000)
    assert draft["id"] not in {event["draft_id"] for event in later}


async def test_an_object_that_went_is_told_of(api: Api) -> None:
    start = await end_of_feed(api)
    await api.confirmed("events/object.txt", b"x")
    assert (await api.call("DELETE", "/api/v1/objects/events/object.txt")).status_code == 204
    told = [event["type"] for event in await pages(api, FEED, "after", start=start)]
    assert any(kind.startswith("object.") for kind in told), told
