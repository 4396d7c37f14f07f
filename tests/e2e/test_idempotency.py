"""`Idempotency-Key`: the same request sent again does nothing more, and is answered as the first was."""

import asyncio
from typing import Any

import httpx
import pytest

from support.api import Api, problem_of
from support.rows import age_draft
from support.stack import Stack

DRAFTS = "/api/v1/drafts"
BY_NAME = "/api/v1/upload-url"
BUNDLES = "/api/v1/confirmations"


async def sent(api: Api, path: str, body: Any, key: str) -> httpx.Response:
    return await api.call("POST", path, body, headers={"Idempotency-Key": key})


async def drafts_named(api: Api, name: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = (await api.json("GET", f"{DRAFTS}?object_name={name}"))["items"]
    return items


async def test_a_create_sent_again_is_the_same_draft_and_extends_nothing(stack: Stack, api: Api) -> None:
    intent = {"object_name": "again/create.txt", "ttl": 600, "metadata": {"a": "1"}}
    first = (await sent(api, DRAFTS, intent, "again-create")).json()
    await age_draft(stack, first["id"], 200)
    aged = await api.json("GET", f"{DRAFTS}/{first['id']}")
    answer = await sent(api, DRAFTS, intent, "again-create")
    again = answer.json()
    assert answer.is_success, again
    assert again["id"] == first["id"]
    assert (again["expires_at"], again["created_at"]) == (aged["expires_at"], aged["created_at"])
    assert again["upload"]["expires_at"] <= first["upload"]["expires_at"]
    assert again["upload"]["expires_at"] <= again["expires_at"]
    assert (await api.put(again["upload"], b"bytes")).status_code == 200
    assert (await api.confirm(first["id"]))["size"] == 5
    assert len(await drafts_named(api, "again/create.txt")) == 1


async def test_a_replay_carries_the_deadline_of_the_first_url(api: Api) -> None:
    intent = {"object_name": "again/deadline.txt"}
    first = (await sent(api, DRAFTS, intent, "again-deadline")).json()
    await asyncio.sleep(1.1)  # a second is what a signature's date and life are counted in
    again = (await sent(api, DRAFTS, intent, "again-deadline")).json()
    assert again["expires_at"] == first["expires_at"]
    assert again["upload"]["expires_at"] <= first["upload"]["expires_at"]
    assert (await api.put(again["upload"], b"x")).status_code == 200


async def test_a_create_by_name_sent_again_is_the_same_draft(api: Api) -> None:
    intent = {"object_name": "again/by-name.txt"}
    first = (await sent(api, BY_NAME, intent, "again-by-name")).json()
    again = (await sent(api, BY_NAME, intent, "again-by-name")).json()
    assert again["draft_id"] == first["draft_id"]
    assert again["draft_expires_at"] == first["draft_expires_at"]
    assert again["expires_at"] <= first["expires_at"]
    assert (await api.put(again, b"bytes")).status_code == 200
    assert len(await drafts_named(api, "again/by-name.txt")) == 1


@pytest.mark.parametrize("path", [DRAFTS, BY_NAME])
async def test_a_key_with_another_payload_is_refused_and_makes_nothing(api: Api, path: str) -> None:
    key = f"reused-{path}"
    assert (await sent(api, path, {"object_name": "reused/one.txt"}, key)).is_success
    for other in ({"object_name": "reused/two.txt"}, {"object_name": "reused/one.txt", "ttl": 60}):
        assert problem_of(await sent(api, path, other, key)) == (422, "idempotency_key_reused")
    assert await drafts_named(api, "reused/two.txt") == []
    assert (await sent(api, path, {"object_name": "reused/one.txt"}, key)).is_success


async def test_the_order_of_fields_is_no_other_payload(api: Api) -> None:
    first = await sent(api, DRAFTS, {"object_name": "order/x", "metadata": {"a": "1", "b": "2"}}, "order")
    again = await sent(api, DRAFTS, {"metadata": {"b": "2", "a": "1"}, "object_name": "order/x"}, "order")
    assert again.json().get("id") == first.json()["id"], again.text


async def test_many_at_once_make_one_draft(api: Api) -> None:
    intent = {"object_name": "at-once/one.txt"}
    answers = await asyncio.gather(*(sent(api, DRAFTS, intent, "at-once") for _ in range(10)))
    made = {answer.json()["id"] for answer in answers if answer.is_success}
    assert len(made) == 1
    refused = [problem_of(answer) for answer in answers if not answer.is_success]
    assert set(refused) <= {(409, "idempotency_key_in_use")}
    assert [draft["id"] for draft in await drafts_named(api, "at-once/one.txt")] == list(made)


async def test_another_api_key_and_another_route_are_other_scopes(stack: Stack, api: Api, foreigner: Api) -> None:
    intent = {"object_name": "scope/one.txt"}
    async with stack.api((await stack.issue_key())["key"]) as colleague:
        answers = [await sent(caller, DRAFTS, intent, "scope") for caller in (api, colleague, foreigner)]
    answers.append(await sent(api, BY_NAME, intent, "scope"))
    ids = [answer.json().get("id") or answer.json()["draft_id"] for answer in answers]
    assert len(set(ids)) == 4


@pytest.mark.parametrize(
    "value", [b"", b"x" * 256, b"two words", "schl\u00fcssel".encode(), b"\xff\xfe", b"tab\there", b"x" * 7000]
)
async def test_an_odd_key_is_a_problem_of_the_caller(api: Api, value: bytes) -> None:
    for path, body in ((DRAFTS, {"object_name": "odd/x"}), (BUNDLES, {"draft_ids": [api_uuid()]})):
        answer = await api.call("POST", path, body, headers={b"Idempotency-Key": value})
        assert problem_of(answer)[0] in {400, 422, 431}, answer.text
    assert await drafts_named(api, "odd/x") == []


async def test_the_longest_key_is_taken(api: Api) -> None:
    key = "~" * 255
    first = await sent(api, DRAFTS, {"object_name": "odd/longest"}, key)
    assert (await sent(api, DRAFTS, {"object_name": "odd/longest"}, key)).json()["id"] == first.json()["id"]


async def test_a_bundle_sent_again_is_the_same_confirmation(api: Api) -> None:
    ids = [(await api.uploaded(f"again/bundle-{n}", b"x"))["id"] for n in range(3)]
    answers = await asyncio.gather(*(sent(api, BUNDLES, {"draft_ids": ids}, "again-bundle") for _ in range(4)))
    answers.append(await sent(api, BUNDLES, {"draft_ids": ids}, "again-bundle"))
    assert answers[-1].status_code == 200
    done = answers[-1].json()
    assert [receipt["draft_id"] for receipt in done["receipts"]] == ids
    for answer in answers:
        if answer.is_success:
            assert answer.json()["id"] == done["id"]
        else:
            assert problem_of(answer) == (409, "idempotency_key_in_use")
    other = await sent(api, BUNDLES, {"draft_ids": ids[:2]}, "again-bundle")
    assert problem_of(other) == (422, "idempotency_key_reused")


async def test_a_bundle_that_was_refused_may_be_sent_again_with_the_same_key(api: Api) -> None:
    ready, empty = await api.uploaded("refused/ready", b"x"), await api.draft("refused/empty")
    bundle = {"draft_ids": [ready["id"], empty["id"]]}
    for _ in range(2):
        assert problem_of(await sent(api, BUNDLES, bundle, "refused")) == (409, "confirmation_refused")
    assert (await api.put(empty["upload"], b"now")).status_code == 200
    answer = await sent(api, BUNDLES, bundle, "refused")
    assert (answer.status_code, answer.json().get("state")) == (200, "confirmed"), answer.text
    assert (await sent(api, BUNDLES, bundle, "refused")).json() == answer.json()


async def test_a_replay_says_what_became_of_the_draft(stack: Stack, api: Api) -> None:
    intent = {"object_name": "again/over.txt", "ttl": 60}
    draft = (await sent(api, DRAFTS, intent, "again-over")).json()
    await age_draft(stack, draft["id"], 61)
    answer = await sent(api, DRAFTS, intent, "again-over")
    assert answer.status_code < 500
    if answer.is_success:
        assert (answer.json()["id"], answer.json()["state"]) == (draft["id"], "expired")
        assert answer.json().get("upload") is None
    else:
        assert problem_of(answer) == (410, "draft_expired")
    assert len(await drafts_named(api, "again/over.txt")) == 1


async def test_a_replay_after_the_confirm_is_no_way_to_write_again(api: Api) -> None:
    intent = {"object_name": "again/confirmed.txt"}
    draft = (await sent(api, DRAFTS, intent, "again-confirmed")).json()
    await api.put(draft["upload"], b"judged")
    receipt = await api.confirm(draft["id"])
    answer = await sent(api, DRAFTS, intent, "again-confirmed")
    assert answer.status_code < 500
    assert answer.json().get("upload") is None, "a confirmed draft takes no bytes"
    assert await api.confirm(draft["id"]) == receipt
    assert len(await drafts_named(api, "again/confirmed.txt")) == 1


def api_uuid() -> str:
    """The id of no draft."""
    return "01900000-0000-7000-8000-000000000001"
