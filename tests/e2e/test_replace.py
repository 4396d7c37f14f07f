"""A replacement never disturbs a reader of what was there before."""

import secrets

import pytest

from support.api import Api
from support.rows import age_keys_of
from support.stack import Stack

MEBIBYTE = 1024 * 1024


async def test_a_url_given_out_before_goes_on_delivering_the_first_bytes(stack: Stack, api: Api) -> None:
    name, old, new = "replace/url.bin", secrets.token_bytes(MEBIBYTE), secrets.token_bytes(MEBIBYTE)
    first = await api.confirmed(name, old)
    url = await api.download_url(name)
    second = await api.confirmed(name, new, on_conflict="replace")
    await stack.clean_once()

    assert await api.download(url) == old
    assert await stack.store.read("main", name) == old  # the plain key stays until those URLs have ended
    assert first["final_location"] == f"main/{name}"
    assert second["final_location"].startswith(f"main/{name}~")
    assert await stack.store.read("main", second["final_location"].removeprefix("main/")) == new
    assert await api.download(await api.download_url(name)) == new
    assert (await api.json("GET", f"/api/v1/objects/{name}"))["final_location"] == second["final_location"]


async def test_a_slow_reader_gets_the_first_bytes_to_the_end(stack: Stack, api: Api) -> None:
    name, old, new = "replace/slow.bin", secrets.token_bytes(20 * MEBIBYTE), secrets.token_bytes(20 * MEBIBYTE)
    await api.confirmed(name, old)
    url = await api.download_url(name)
    async with api.http.stream("GET", url) as reading:
        chunks = reading.aiter_raw(MEBIBYTE)
        received = bytearray(await anext(chunks))
        await api.confirmed(name, new, on_conflict="replace")
        await stack.clean_once()
        async for chunk in chunks:
            received += chunk
    assert bytes(received) == old
    assert await api.download(await api.download_url(name)) == new


@pytest.mark.parametrize("name", ["replace/" + "s" * 255, "é" * 127 + "s", "/".join(["z" * 200] * 3 + ["y" * 197])])
async def test_the_longest_names_can_be_replaced(stack: Stack, api: Api, name: str) -> None:
    await api.confirmed(name, b"old")
    receipt = await api.confirmed(name, b"new", on_conflict="replace")
    assert await api.download(await api.download_url(name)) == b"new"
    assert await stack.store.read("main", receipt["final_location"].removeprefix("main/")) == b"new"


async def test_an_object_named_like_the_key_of_another_does_not_touch_it(stack: Stack, api: Api) -> None:
    await api.confirmed("replace/key", b"old")
    key = (await api.confirmed("replace/key", b"new", on_conflict="replace"))["final_location"].removeprefix("main/")
    await api.confirmed(key, b"third")
    assert await stack.store.read("main", key) == b"new"
    assert await api.download(await api.download_url("replace/key")) == b"new"
    assert await api.download(await api.download_url(key)) == b"third"


async def test_the_old_bytes_go_once_no_url_can_read_them(stack: Stack, api: Api) -> None:
    name = "replace/old.bin"
    first = await api.confirmed(name, b"old")
    second = await api.confirmed(name, b"new", on_conflict="replace")
    await age_keys_of(stack, first["draft_id"], 3700)  # more than DOWNLOAD_TTL
    await stack.clean_once()
    assert await stack.store.head("main", name) is None
    assert await stack.store.read("main", second["final_location"].removeprefix("main/")) == b"new"
    assert await api.download(await api.download_url(name)) == b"new"


async def test_a_replaced_drafts_receipt_stays_what_it_was(api: Api) -> None:
    first = await api.confirmed("replace/receipt.bin", b"old")
    await api.confirmed("replace/receipt.bin", b"new", on_conflict="replace")
    assert await api.confirm(first["draft_id"]) == first


async def test_generations_count_replacements(api: Api) -> None:
    generations = []
    for content in (b"1", b"2", b"3"):
        await api.confirmed("replace/generations.bin", content, on_conflict="replace")
        generations.append((await api.json("GET", "/api/v1/objects/replace/generations.bin"))["generation"])
    assert generations == [1, 2, 3]
