"""The whole way in the two combinations of mode and driver that the other suites leave out."""

import secrets

from support import flow
from support.rows import age_draft, draft_key
from support.stack import Stack


async def test_a_file_goes_the_whole_way(other_stack: Stack) -> None:
    async with other_stack.api(other_stack.data_key) as api:
        content = secrets.token_bytes(1024 * 1024)
        receipt = await flow.by_name(other_stack, api, "smoke/whole way.bin", content)
        asked = {"object_name": "smoke/whole way.bin"}
        assert await api.json("POST", "/api/v1/confirm-upload", asked) == receipt
        assert await api.download(await api.download_url(**asked)) == content


async def test_an_expired_draft_is_cleaned(other_stack: Stack) -> None:
    async with other_stack.api(other_stack.data_key) as api:
        draft = await api.uploaded("smoke/expired.bin", b"bytes", ttl=60)
        key = await draft_key(other_stack, draft["id"])
        await age_draft(other_stack, draft["id"], 61)
        await other_stack.clean_once()
        assert await other_stack.store.head(other_stack.draft_bucket, key) is None
        assert await api.problem("POST", f"/api/v1/drafts/{draft['id']}/confirm", {}) == (410, "draft_expired")


async def test_the_store_refuses_what_was_not_declared(other_stack: Stack) -> None:
    async with other_stack.api(other_stack.data_key) as api:
        draft = await api.draft("smoke/declared.png", content_type="image/png")
        assert (await api.put(draft["upload"], b"x", **{"Content-Type": "text/html"})).status_code == 403


async def test_a_replacement_leaves_the_first_bytes_to_their_readers(other_stack: Stack) -> None:
    async with other_stack.api(other_stack.data_key) as api:
        await api.confirmed("smoke/replaced.bin", b"old")
        url = await api.download_url("smoke/replaced.bin")
        await api.confirmed("smoke/replaced.bin", b"new", on_conflict="replace")
        assert await api.download(url) == b"old"
        assert await api.download(await api.download_url("smoke/replaced.bin")) == b"new"
