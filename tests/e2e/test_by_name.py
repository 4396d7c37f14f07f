"""The contract existing clients know: upload-url, download-url, confirm-upload by object name."""

import secrets
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

from support import flow
from support.api import Api
from support.stack import Stack

MEBIBYTE = 1024 * 1024


async def test_a_20_mb_file_is_previewed_confirmed_and_found_under_its_name(stack: Stack, api: Api) -> None:
    content = secrets.token_bytes(20 * MEBIBYTE)
    receipt = await flow.by_name(stack, api, "by-name/large file.bin", content)

    again = await api.json("POST", "/api/v1/confirm-upload", {"object_name": "by-name/large file.bin"})
    assert again == receipt
    after = await api.json("POST", "/api/v1/download-url", {"object_name": "by-name/large file.bin"})
    assert after["stage"] == "main"
    assert await api.download(after["download_url"]) == content
    assert await stack.store.read(stack.main_bucket, "by-name/large file.bin") == content


async def test_an_upload_url_says_all_a_client_needs(api: Api) -> None:
    before = datetime.now(UTC)
    answer = await api.json("POST", "/api/v1/upload-url", {"object_name": "by-name/asked.bin"})
    assert answer["object_name"] == "by-name/asked.bin"
    assert answer["draft_id"]
    assert answer["stage"] == "draft"
    expires_at = datetime.fromisoformat(answer["expires_at"])
    assert expires_at.utcoffset() == timedelta(0)
    assert before + timedelta(seconds=3500) < expires_at < before + timedelta(seconds=3700)


async def test_every_upload_url_is_a_new_draft(api: Api) -> None:
    asked = {"object_name": "by-name/twice.bin"}
    first = await api.json("POST", "/api/v1/upload-url", asked)
    second = await api.json("POST", "/api/v1/upload-url", asked)
    assert first["draft_id"] != second["draft_id"]
    assert (await api.put(first, b"first")).status_code == 200
    assert (await api.put(second, b"second")).status_code == 200
    assert await api.download(await api.download_url(**asked, draft_id=first["draft_id"])) == b"first"
    assert await api.download(await api.download_url(**asked)) == b"second"


async def test_the_newest_draft_with_bytes_is_meant_even_when_a_newer_one_has_none(api: Api) -> None:
    asked = {"object_name": "by-name/newest.bin"}
    with_bytes = await api.json("POST", "/api/v1/upload-url", asked)
    assert (await api.put(with_bytes, b"bytes")).status_code == 200
    await api.json("POST", "/api/v1/upload-url", asked)
    assert await api.download(await api.download_url(**asked)) == b"bytes"
    receipt = await api.json("POST", "/api/v1/confirm-upload", asked)
    assert receipt["draft_id"] == with_bytes["draft_id"]


async def test_confirming_by_name_replaces_what_was_there(api: Api) -> None:
    asked = {"object_name": "by-name/replaced.bin"}
    await api.confirmed(asked["object_name"], b"old")
    upload = await api.json("POST", "/api/v1/upload-url", asked)
    assert (await api.put(upload, b"new")).status_code == 200
    receipt = await api.json("POST", "/api/v1/confirm-upload", asked)
    assert receipt["draft_id"] == upload["draft_id"]
    assert await api.download(await api.download_url(**asked)) == b"new"


async def test_a_retry_that_names_its_draft_gets_that_drafts_receipt(api: Api) -> None:
    asked = {"object_name": "by-name/retried.bin"}
    first = await api.json("POST", "/api/v1/upload-url", asked)
    await api.put(first, b"first")
    receipt = await api.json("POST", "/api/v1/confirm-upload", asked | {"draft_id": first["draft_id"]})
    second = await api.json("POST", "/api/v1/upload-url", asked)
    await api.put(second, b"second")
    assert await api.json("POST", "/api/v1/confirm-upload", asked | {"draft_id": first["draft_id"]}) == receipt
    assert await api.download(await api.download_url(**asked, draft_id=second["draft_id"])) == b"second"


async def test_an_empty_file_is_a_file(stack: Stack, api: Api) -> None:
    receipt = await flow.by_name(stack, api, "by-name/empty.bin", b"")
    assert receipt["size"] == 0


async def test_names_of_all_kinds_reach_the_store_as_they_are(stack: Stack, api: Api) -> None:
    names = [
        "naïve/Übergröße 東京 🚀.pdf",
        "odd/100% +plus&amp=?#hash;,@:$!'()*~`^[]{}|\"<>.txt",
        "odd/ leading and trailing space ",
        "odd/...three/.hidden",
        "s" * 255 + "/" + "t" * 255,
        "/".join(["x" * 200] * 3 + ["y" * 197]),
    ]
    assert len(names[-1].encode()) == 800
    for name in names:
        await flow.by_name(stack, api, name, name.encode())
        assert (await api.json("GET", f"/api/v1/objects/{quote(name)}"))["object_name"] == name
