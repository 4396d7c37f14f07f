"""Confirm happens once, whatever races."""

import asyncio
import secrets

import httpx

from support.api import Api
from support.rows import state_of
from support.stack import Stack
from support.until import until


async def attempt(api: Api, draft_id: str, **options: str) -> httpx.Response:
    return await api.call("POST", f"/api/v1/drafts/{draft_id}/confirm", options)


async def test_forty_confirms_of_one_draft_give_one_receipt_and_one_key(stack: Stack, api: Api) -> None:
    content = secrets.token_bytes(1024 * 1024)
    draft = await api.uploaded("race/one.bin", content)
    answers = await asyncio.gather(*(attempt(api, draft["id"]) for _ in range(40)))
    assert [answer.status_code for answer in answers] == [200] * 40, {answer.text for answer in answers}
    receipts = [answer.json() for answer in answers]
    assert all(receipt == receipts[0] for receipt in receipts)
    assert await stack.store.keys("main", "race/one.bin") == ["race/one.bin"]
    assert await stack.store.read("main", "race/one.bin") == content
    assert await confirmed_events(stack, draft["id"]) == 1


async def test_forty_confirms_by_name_give_one_receipt_too(stack: Stack, api: Api) -> None:
    draft = await api.uploaded("race/by-name.bin", b"bytes")
    asked = {"object_name": "race/by-name.bin"}
    receipts = await asyncio.gather(*(api.json("POST", "/api/v1/confirm-upload", asked) for _ in range(40)))
    assert all(receipt == receipts[0] for receipt in receipts)
    assert receipts[0]["draft_id"] == draft["id"]
    assert await stack.store.keys("main", "race/by-name.bin") == ["race/by-name.bin"]


async def test_of_ten_drafts_of_one_name_exactly_one_wins_and_the_others_stay_confirmable(
    stack: Stack, api: Api
) -> None:
    name = "race/ten.bin"
    contents = [f"content {number}".encode() for number in range(10)]
    drafts = await asyncio.gather(*(api.uploaded(name, content) for content in contents))
    answers = await asyncio.gather(*(attempt(api, draft["id"], on_conflict="fail") for draft in drafts))

    won = [number for number, answer in enumerate(answers) if answer.status_code == 200]
    assert len(won) == 1, [answer.text for answer in answers]
    lost = [number for number in range(10) if number not in won]
    assert {(answers[number].status_code, answers[number].json()["code"]) for number in lost} == {
        (409, "object_exists")
    }
    assert await api.download(await api.download_url(name, draft_id=drafts[won[0]]["id"])) == contents[won[0]]
    location = answers[won[0]].json()["final_location"].removeprefix("main/")
    assert await stack.store.read("main", location) == contents[won[0]]

    for number in lost:
        receipt = await api.confirm(drafts[number]["id"], on_conflict="replace")
        key = receipt["final_location"].removeprefix("main/")
        assert await stack.store.read("main", key) == contents[number]
    shown = await api.json("GET", f"/api/v1/objects/{name}")
    assert shown["draft_id"] == drafts[lost[-1]]["id"]
    assert shown["generation"] == 10


async def test_ten_replacements_at_once_all_succeed_and_one_is_left(stack: Stack, api: Api) -> None:
    name = "race/replacements.bin"
    drafts = await asyncio.gather(*(api.uploaded(name, f"{number}".encode()) for number in range(10)))
    receipts = await asyncio.gather(*(api.confirm(draft["id"], on_conflict="replace") for draft in drafts))
    locations = {receipt["final_location"] for receipt in receipts}
    assert len(locations) == 10
    left = await api.json("GET", f"/api/v1/objects/{name}")
    assert left["final_location"] in locations
    (winner,) = [number for number, draft in enumerate(drafts) if draft["id"] == left["draft_id"]]
    assert await stack.store.read("main", left["final_location"].removeprefix("main/")) == f"{winner}".encode()


async def test_confirm_and_discard_at_once_leave_one_of_both(stack: Stack, api: Api) -> None:
    for number in range(10):
        name = f"race/discard-{number}.bin"
        draft = await api.uploaded(name, b"bytes")
        confirm, discard = await asyncio.gather(
            attempt(api, draft["id"]), api.call("DELETE", f"/api/v1/drafts/{draft['id']}")
        )
        there = await stack.store.head("main", name) is not None
        if confirm.status_code == 200:
            assert discard.status_code == 409, discard.text
            assert await state_of(stack, draft["id"]) == "confirmed"
            assert there
        else:
            assert discard.is_success
            assert confirm.status_code in {409, 410}, confirm.text
            assert (await api.call("GET", f"/api/v1/objects/{name}")).status_code == 404


async def test_a_client_that_hangs_up_ends_the_wait_and_not_the_work(stack: Stack, api: Api) -> None:
    content = secrets.token_bytes(20 * 1024 * 1024)
    draft = await api.uploaded("race/hung-up.bin", content)
    asked = asyncio.create_task(attempt(api, draft["id"]))

    async def begun() -> bool:
        return await state_of(stack, draft["id"]) not in {"open", "uploaded"}

    async def done() -> bool:
        return await state_of(stack, draft["id"]) == "confirmed"

    await until(begun, "the confirm has begun")
    asked.cancel()
    await asyncio.gather(asked, return_exceptions=True)
    await until(done, "the confirm has ended")
    assert await stack.store.read("main", "race/hung-up.bin") == content
    assert await confirmed_events(stack, draft["id"]) == 1


async def confirmed_events(stack: Stack, draft_id: str) -> int:
    (row,) = await stack.sql(
        "SELECT count(*) FROM metadata.events WHERE draft_id = $1 AND to_state = 'confirmed'", draft_id
    )
    return int(row["count"])
