"""What draft-service looks after by itself, every few seconds, while nobody asks."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from support.api import Api
from support.leaks import leaked
from support.rows import age_draft, state_of
from support.stack import ProcessesStack, make_stack, running, temporary_data_dir
from support.until import until


@pytest.fixture(scope="module")
async def stack() -> AsyncIterator[ProcessesStack]:
    """A product that looks around five times a second."""
    with temporary_data_dir() as data_dir:
        described = make_stack("processes", "s3", data_dir, TEND_INTERVAL="0.2", EXPIRY_WARNING="600")
        assert isinstance(described, ProcessesStack)
        async with running(described) as started:
            yield started
        assert leaked(described) == []


@pytest.fixture(scope="module")
async def api(stack: ProcessesStack) -> AsyncIterator[Api]:
    async with stack.api((await stack.issue_key())["key"]) as client:
        yield client


async def events_of(api: Api, draft_id: str) -> list[Any]:
    page = await api.json("GET", f"/api/v1/drafts/{draft_id}/events?limit=1000")
    return list(page["items"])


async def warnings_of(api: Api, draft_id: str) -> int:
    return [event["type"] for event in await events_of(api, draft_id)].count("draft.expiring")


async def becomes(stack: ProcessesStack, draft_id: str, state: str) -> None:
    async def is_so() -> bool:
        return await state_of(stack, draft_id) == state

    await until(is_so, f"the draft is {state}")


async def several_rounds(stack: ProcessesStack, api: Api) -> None:
    """Return when the background pass has gone over everything that was due before now, twice."""
    for number in range(2):
        marker = await api.draft(f"tending/marker-{number}")
        await age_draft(stack, marker["id"], 10**6)
        await becomes(stack, marker["id"], "expired")


async def test_a_hold_past_its_deadline_is_given_back_without_anybody_asking(stack: ProcessesStack, api: Api) -> None:
    draft = await api.uploaded("tending/hold", b"x")
    held = await api.confirm(draft["id"], mode="prepare", hold_ttl=10)
    await age_draft(stack, draft["id"], 11)
    await stack.sql(
        "UPDATE metadata.confirmations SET lease_expires_at = now() - interval '1 second' WHERE id = $1", held["id"]
    )
    await becomes(stack, draft["id"], "uploaded")
    shown = await api.json("GET", f"/api/v1/confirmations/{held['id']}")
    assert (shown["state"], shown["problem"]["code"]) == ("rolled_back", "hold_expired")
    last = (await events_of(api, draft["id"]))[-1]
    assert (last["from_state"], last["to_state"]) == ("prepared", "uploaded")
    assert last["actor"].startswith("service:")
    rival = await api.uploaded("tending/hold", b"rival")
    assert (await api.confirm(rival["id"]))["size"] == 5


async def test_a_hold_of_its_shortest_time_ends_by_itself(stack: ProcessesStack, api: Api) -> None:
    draft = await api.uploaded("tending/real", b"x")
    await api.confirm(draft["id"], mode="prepare", hold_ttl=10)
    await becomes(stack, draft["id"], "uploaded")
    assert (await api.confirm(draft["id"]))["size"] == 1


async def test_an_expiring_draft_is_warned_of_once_for_each_expiry(stack: ProcessesStack, api: Api) -> None:
    draft = await api.uploaded("tending/warned", b"x", ttl=3600)
    await several_rounds(stack, api)
    assert await warnings_of(api, draft["id"]) == 0
    await age_draft(stack, draft["id"], 3600 - 300)

    async def is_warned() -> bool:
        return await warnings_of(api, draft["id"]) == 1

    await until(is_warned, "the draft is warned of")
    warning = (await events_of(api, draft["id"]))[-1]
    assert (warning["type"], warning["object_name"]) == ("draft.expiring", "tending/warned")
    await several_rounds(stack, api)
    assert await warnings_of(api, draft["id"]) == 1
    await api.json("POST", f"/api/v1/drafts/{draft['id']}/extend", {"ttl": 7200})
    await several_rounds(stack, api)
    assert await warnings_of(api, draft["id"]) == 1
    await age_draft(stack, draft["id"], 7200 - 300)

    async def is_warned_again() -> bool:
        return await warnings_of(api, draft["id"]) == 2

    await until(is_warned_again, "the draft is warned of again")


async def test_a_confirmed_draft_is_not_warned_of(stack: ProcessesStack, api: Api) -> None:
    draft = await api.uploaded("tending/confirmed", b"x", ttl=3600)
    await api.confirm(draft["id"])
    await age_draft(stack, draft["id"], 3600 - 300)
    await several_rounds(stack, api)
    assert await warnings_of(api, draft["id"]) == 0


async def test_overdue_drafts_expire_without_a_cleaner(stack: ProcessesStack, api: Api) -> None:
    draft = await api.uploaded("tending/overdue", b"x", ttl=60)
    await age_draft(stack, draft["id"], 61)
    await becomes(stack, draft["id"], "expired")
    told = (await events_of(api, draft["id"]))[-1]
    assert (told["type"], told["from_state"]) == ("draft.expired", "open")
    assert told["actor"].startswith("service:")


async def test_a_commit_finds_its_hold_although_postgresql_was_restarted(stack: ProcessesStack, api: Api) -> None:
    ids = [(await api.uploaded(f"tending/restarted-{n}", b"x"))["id"] for n in range(3)]
    held = await api.json("POST", "/api/v1/confirmations", {"draft_ids": ids, "mode": "prepare", "hold_ttl": 300})
    await stack.postgres.kill()
    away = await api.call("POST", f"/api/v1/confirmations/{held['token']}/commit")
    assert away.status_code == 503, away.text
    await stack.postgres.start()

    async def is_committed() -> bool:
        answer = await api.call("POST", f"/api/v1/confirmations/{held['token']}/commit")
        assert answer.status_code in {200, 503}, answer.text
        return answer.status_code == 200

    await until(is_committed, "the commit went through")
    done = await api.json("POST", f"/api/v1/confirmations/{held['token']}/commit")
    assert [receipt["draft_id"] for receipt in done["receipts"]] == ids
