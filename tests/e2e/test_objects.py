"""Objects: what was confirmed, by name."""

from urllib.parse import quote

import pytest

from support.api import Api
from support.rows import age_keys_of
from support.stack import Stack


async def test_an_object_tells_what_its_receipt_told(api: Api) -> None:
    receipt = await api.confirmed("objects/a b.txt", b"bytes")
    shown = await api.json("GET", f"/api/v1/objects/{quote('objects/a b.txt')}")
    for field in ("object_name", "final_location", "size", "etag", "content_type", "confirmed_at", "draft_id"):
        assert shown[field] == receipt[field], field


async def test_head_says_whether_it_is_there_without_a_body(api: Api) -> None:
    await api.confirmed("objects/head.txt", b"bytes")
    there = await api.call("HEAD", "/api/v1/objects/objects/head.txt")
    missing = await api.call("HEAD", "/api/v1/objects/objects/nothing.txt")
    assert (there.status_code, there.content) == (200, b"")
    assert (missing.status_code, missing.content) == (404, b"")


async def test_a_list_pages_through_a_prefix_in_the_order_of_names(api: Api) -> None:
    names = [f"objects/list/{letter}.txt" for letter in "abcdefg"]
    for name in reversed(names):
        await api.confirmed(name, b"x")
    await api.confirmed("objects/list-not-below.txt", b"x")
    seen: list[str] = []
    page = await api.json("GET", "/api/v1/objects?prefix=objects/list/&limit=3")
    while page["next_cursor"]:
        seen += [item["object_name"] for item in page["items"]]
        page = await api.json("GET", f"/api/v1/objects?prefix=objects/list/&limit=3&cursor={page['next_cursor']}")
    assert seen + [item["object_name"] for item in page["items"]] == names


async def test_a_deleted_object_is_gone_at_once_while_urls_given_out_still_work(stack: Stack, api: Api) -> None:
    await api.confirmed("objects/deleted.txt", b"bytes")
    url = await api.download_url("objects/deleted.txt")
    answer = await api.call("DELETE", "/api/v1/objects/objects/deleted.txt")
    assert answer.is_success, answer.text
    assert await api.problem("GET", "/api/v1/objects/objects/deleted.txt") == (404, "object_not_found")
    assert (await api.problem("POST", "/api/v1/download-url", {"object_name": "objects/deleted.txt"}))[0] == 404
    await stack.clean_once()
    assert await api.download(url) == b"bytes"


async def test_a_name_can_be_used_again_after_its_object_was_deleted(stack: Stack, api: Api) -> None:
    first = await api.confirmed("objects/again.txt", b"first")
    assert (await api.call("DELETE", "/api/v1/objects/objects/again.txt")).is_success
    second = await api.confirmed("objects/again.txt", b"second")
    assert second["final_location"] != first["final_location"]  # keys are written once
    assert await api.download(await api.download_url("objects/again.txt")) == b"second"
    key = second["final_location"].removeprefix("main/")
    assert await stack.store.read("main", key) == b"second"


async def test_encoded_slashes_are_refused_and_an_encoded_percent_is_legal(api: Api) -> None:
    await api.confirmed("objects/100%.txt", b"x")
    assert (await api.json("GET", "/api/v1/objects/objects/100%25.txt"))["object_name"] == "objects/100%.txt"
    assert await api.problem("GET", "/api/v1/objects/objects%2F100%25.txt") == (400, "path_encoded_slash")


async def test_a_download_is_never_shown_as_a_page_of_the_store(api: Api) -> None:
    draft = await api.uploaded("objects/page.html", b"<script>", content_type="text/html")
    asked = {"object_name": "objects/page.html"}
    before = await api.http.get(await api.download_url(**asked))
    await api.confirm(draft["id"])
    after = await api.http.get(await api.download_url(**asked))
    for answer in (before, after):
        assert answer.content == b"<script>"
        assert answer.headers["content-disposition"].startswith("attachment")


@pytest.mark.parametrize("names", [("objects/tree", "objects/tree/leaf"), ("objects/wood/leaf", "objects/wood")])
async def test_an_object_may_bear_the_name_of_a_folder(stack: Stack, api: Api, names: tuple[str, str]) -> None:
    first, second = [await api.confirmed(name, name.encode()) for name in names]
    for name in names:
        assert await api.download(await api.download_url(name)) == name.encode()
    assert (await api.call("DELETE", f"/api/v1/objects/{names[1]}")).is_success
    await age_keys_of(stack, second["draft_id"], 4000)
    await stack.clean_once()
    assert await stack.store.head("main", names[1]) is None
    assert await api.download(await api.download_url(names[0])) == names[0].encode()
    assert await api.confirm(first["draft_id"]) == first
