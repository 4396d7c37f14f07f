"""Uploads that land when nobody expects them any more, and bytes that change while they are judged.

A store checks a presigned signature when the request starts (S3 user guide, "Sharing objects with presigned URLs"), so
a PUT may begin in time and land at any later moment.
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from draftstore_common.clients.transport import Reply
from support.installation import Installation, site
from support.lives import Life, Point, stalled
from support.minio_server import running_minio
from support.promises import confirmed_once, ended, nothing_is_left_but_objects
from support.servers import Postgres, S3Server
from support.slow_put import slow_put

SERVERS = ["seaweedfs", *(["minio"] if os.environ.get("MINIO_BINARY") else [])]

MIB = 1024 * 1024
BIG = 24 * MIB
"""More than sockets and servers keep in memory for one reader."""

EARLY, LATE = b"the bytes that were there first" * 40, b"other bytes, which come in too late" * 40

BEFORE_COPY = Point(1, "before", "/objects/copy")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def minio(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[S3Server]:
    """A running MinIO."""
    async with running_minio(os.environ["MINIO_BINARY"], tmp_path_factory.mktemp("minio")) as server:
        yield server


@pytest.fixture(scope="module", params=SERVERS)
def server(request: pytest.FixtureRequest) -> S3Server:
    """Each store at hand."""
    found: S3Server = request.getfixturevalue("store" if request.param == "seaweedfs" else "minio")
    return found


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def whole(postgres: Postgres, server: S3Server) -> AsyncIterator[Installation]:
    """A suite on each store."""
    async with site(postgres.url, server) as ground, ground.running() as running:
        yield running


def code(reply: Reply) -> tuple[int, str | None]:
    return reply.status, json.loads(reply.body).get("code")


async def test_a_slow_put_that_began_before_confirm_never_changes_the_object(whole: Installation) -> None:
    draft = await whole.upload("slow/before.bin", EARLY)
    async with slow_put(draft, LATE) as late:
        receipt = await confirmed_once(whole, draft, EARLY)
        assert (await late.finish()).status == 200
    assert await whole.store.read(whole.draft, await whole.draft_key(draft)) == LATE
    assert await confirmed_once(whole, draft, EARLY) == receipt
    await whole.clean_up_after([draft])
    await nothing_is_left_but_objects(whole, [draft])
    assert await confirmed_once(whole, draft, EARLY) == receipt


async def test_a_slow_put_that_ends_while_bytes_are_copied_never_mixes_them(whole: Installation) -> None:
    contents = {version: version.encode() * (BIG // 5) for version in ("early", "later")}
    drafts = []
    for number in range(4):
        draft = await whole.upload(f"slow/during-{number}.bin", contents["early"])
        drafts.append(draft)
        life = Life(freezes=BEFORE_COPY)
        async with slow_put(draft, contents["later"]) as late, whole.process(life) as process:
            confirm = await stalled(life, process.confirm(draft))
            life.thaw()
            reply, landed = await asyncio.gather(confirm, late.finish())
        assert landed.status == 200
        if reply.status == 200:
            await confirmed_once(whole, draft, contents["early"], reply)
        else:
            assert code(reply) == (409, "draft_changed")
            assert await whole.objects_of(draft) == []
            await confirmed_once(whole, draft, contents["later"])
    await whole.clean_up_after(drafts)
    await nothing_is_left_but_objects(whole, drafts)


@pytest.mark.parametrize("end", ["discarded", "expired"])
async def test_a_slow_put_that_lands_after_purge_is_removed_again_at_the_write_horizon(
    whole: Installation, end: str
) -> None:
    draft = await whole.new(f"slow/{end}.bin", ttl=600)
    key = await whole.draft_key(draft)
    async with slow_put(draft, LATE) as late:
        if end == "discarded":
            await whole.door.get("DELETE", f"/drafts/{draft['id']}", status=204)
        else:
            await whole.pass_time([draft], 601)
        await whole.cleaner.run()
        await ended(whole, draft, "purged")
        assert (await late.finish()).status == 200
    assert await whole.store.read(whole.draft, key) == LATE
    await whole.cleaner.run()
    assert await whole.store.head(whole.draft, key) is not None, "removed before its time"
    await whole.pass_time([draft], 25 * 60)
    await whole.cleaner.run()
    assert await whole.store.head(whole.draft, key) is None
    await nothing_is_left_but_objects(whole, [draft])


async def test_metadata_that_comes_with_the_same_bytes_after_they_were_judged_is_never_published(
    whole: Installation,
) -> None:
    life = Life(freezes=BEFORE_COPY)
    draft = await whole.upload("slow/metadata.png", EARLY, cache_control="no-store")
    async with whole.process(life) as process:
        confirm = await stalled(life, process.confirm(draft))
        lie = {"content-type": "text/html", "content-encoding": "br", "cache-control": "public"}
        await whole.put(draft, EARLY, **lie)
        # Not with an upload URL: these stores refuse metadata it did not sign. Others may not.
        key, slipped = await whole.draft_key(draft), {"slipped": "in"}
        await whole.store.write(
            whole.draft, key, EARLY, Metadata=slipped, ContentType="text/html", ContentEncoding="br"
        )
        life.thaw()
        receipt = await confirmed_once(whole, draft, EARLY, await confirm)
    assert (await confirm).status == 200
    headers = await _published_headers(whole, "slow/metadata.png")
    assert (headers["content-type"], headers["cache-control"]) == ("image/png", "no-store")
    assert not [name for name in headers if name.startswith(("x-amz-meta-", "content-encoding"))]
    assert receipt["content_type"] == "image/png"


async def _published_headers(whole: Installation, name: str) -> dict[str, str]:
    """What a reader of the bucket gets, whom no signed URL tells another type."""
    answer = await asyncio.to_thread(whole.store._client.head_object, Bucket=whole.main, Key=name)
    headers: dict[str, str] = answer["ResponseMetadata"]["HTTPHeaders"]
    return headers


async def test_bytes_that_change_between_judgement_and_copy_are_not_published(whole: Installation) -> None:
    life = Life(freezes=BEFORE_COPY)
    draft = await whole.upload("slow/changed.bin", EARLY)
    async with whole.process(life) as process:
        confirm = await stalled(life, process.confirm(draft))
        await whole.put(draft, LATE)
        life.thaw()
        assert code(await confirm) == (409, "draft_changed")
    assert await whole.objects_of(draft) == []
    assert await whole.store.keys(whole.main, "slow/changed.bin") == []
    await confirmed_once(whole, draft, LATE)
    await whole.clean_up_after([draft])
    await nothing_is_left_but_objects(whole, [draft])


async def test_metadata_that_came_with_the_bytes_is_not_published_either(whole: Installation) -> None:
    draft = await whole.upload("slow/slipped.txt", EARLY)
    key, slipped = await whole.draft_key(draft), {"slipped": "in"}
    await whole.store.write(whole.draft, key, EARLY, Metadata=slipped, ContentType="text/html")
    await confirmed_once(whole, draft, EARLY)
    found = await whole.store.head(whole.main, "slow/slipped.txt")
    assert found is not None
    assert (found.content_type, found.metadata) == ("text/plain", {})


@pytest.mark.parametrize("act", ["replace", "delete"])
async def test_a_download_that_began_before_a_replace_or_a_delete_reads_to_its_end(
    whole: Installation, act: str
) -> None:
    name, content = f"slow/read-{act}.bin", os.urandom(BIG)
    draft = await whole.upload(name, content)
    assert (await whole.door.confirm(draft)).status == 200
    url = (await whole.door.get("POST", "/download-url", {"object_name": name}))["download_url"]
    async with whole.http.get(url) as answer:
        first = await answer.content.readexactly(1000)
        await _replace_or_delete(whole, name, act)
        await whole.cleaner.run()
        assert first + await answer.read() == content
    async with whole.http.get(url) as again:  # the URL outlives its name
        assert await again.read() == content


async def _replace_or_delete(whole: Installation, name: str, act: str) -> None:
    if act == "delete":
        await whole.door.get("DELETE", f"/objects/{name}", status=204)
        return
    newer = await whole.upload(name, LATE)
    assert (await whole.door.confirm(newer, on_conflict="replace")).status == 200
    await confirmed_once(whole, newer, LATE)


async def test_a_download_outlives_the_late_copy_of_a_stale_attempt_onto_its_key(whole: Installation) -> None:
    name, content = "slow/overwritten.bin", os.urandom(BIG)
    stale_life, other_life = Life(freezes=BEFORE_COPY), Life(dies=Point(1, "before", "/objects/delete"))
    draft = await whole.upload(name, content)
    async with whole.process(stale_life) as stale, whole.process(other_life) as other:
        late = await stalled(stale_life, stale.confirm(draft))
        await whole.pass_time([draft], 61)
        await other.confirm(draft)
        url = (await whole.door.get("POST", "/download-url", {"object_name": name}))["download_url"]
        async with whole.http.get(url) as answer:
            first = await answer.content.readexactly(1000)
            stale_life.thaw()
            await asyncio.wait({late}, timeout=2)  # no longer: where readers lock a key, it waits for us
            assert first + await answer.read() == content
        await confirmed_once(whole, draft, content, await late)
    assert stale_life.number_of("/objects/copy") == 1
