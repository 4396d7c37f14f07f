"""Writes that land after everything was removed are found and deleted, however slow they were."""

import asyncio
from typing import Any
from urllib.parse import urlsplit

from support.raw_http import connected, read_answer
from support.reconciling import Reconciling


class SlowPut:
    """A presigned PUT whose body comes in two halves, with as much time between them as the test likes."""

    def __init__(self, upload: dict[str, Any], content: bytes) -> None:
        url = urlsplit(upload["url"])
        half = len(content) // 2
        headers = {"host": url.netloc, **upload["headers"], "content-length": str(len(content))}
        lines = [f"PUT {url.path}?{url.query} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
        self.port = url.port or 80
        self.first = "\r\n".join([*lines, "", ""]).encode() + content[:half]
        self.rest = content[half:]


async def state(reconciling: Reconciling, draft: dict[str, Any]) -> tuple[str, object]:
    (row,) = await reconciling.sql("SELECT state, purge_due_at FROM metadata.drafts WHERE id = $1", draft["id"])
    return row["state"], row["purge_due_at"]


async def new_draft(reconciling: Reconciling, name: str) -> dict[str, Any]:
    draft = await reconciling.back_end.get("POST", "/api/v1/drafts", {"object_name": name}, 201)
    (row,) = await reconciling.sql("SELECT storage_key FROM metadata.drafts WHERE id = $1", draft["id"])
    return {**draft, "key": row["storage_key"]}


async def test_a_slow_put_that_lands_after_purge_is_found_by_reconcile(reconciling: Reconciling) -> None:
    draft = await new_draft(reconciling, "slow.bin")
    put = SlowPut(draft["upload"], b"slow" * 100_000)
    async with connected(put.port) as (reader, writer):
        writer.write(put.first)
        await writer.drain()
        await reconciling.purged(draft)
        assert await state(reconciling, draft) == ("purged", None)  # nothing will ever look at it again
        assert not await reconciling.holds("draft", draft["key"])
        writer.write(put.rest)
        assert (await asyncio.wait_for(read_answer(reader), 30)).status == 200
    assert await reconciling.holds("draft", draft["key"])
    await reconciling.back_end.cleaner.run()
    assert await reconciling.holds("draft", draft["key"])

    outcome = await reconciling.run()
    assert outcome.of(draft["key"]) == ("late_draft_bytes", "deleted")
    (finding,) = outcome.findings
    assert (str(finding.draft_id), finding.size, finding.role) == (draft["id"], 400_000, "draft")
    assert not await reconciling.holds("draft", draft["key"])
    assert await state(reconciling, draft) == ("purged", None)


async def test_a_slow_put_that_lands_after_a_confirm_and_its_last_purge_is_found(reconciling: Reconciling) -> None:
    draft = await reconciling.draft(b"judged", "twice.txt")
    put = SlowPut(draft["upload"], b"other bytes, too late")
    async with connected(put.port) as (reader, writer):
        writer.write(put.first)
        await writer.drain()
        await reconciling.back_end.get("POST", f"/api/v1/drafts/{draft['id']}/confirm")
        await reconciling.sql(
            "UPDATE metadata.drafts SET write_horizon_at = now(), purge_due_at = now() WHERE id = $1", draft["id"]
        )
        await reconciling.back_end.cleaner.run()
        assert await state(reconciling, draft) == ("confirmed", None)
        writer.write(put.rest)
        assert (await asyncio.wait_for(read_answer(reader), 30)).status == 200
    assert (await reconciling.run()).of(draft["key"]) == ("late_draft_bytes", "deleted")
    assert not await reconciling.holds("draft", draft["key"])
    assert await reconciling.view.read(reconciling.bucket("main"), "twice.txt") == b"judged"


async def test_a_copy_that_lands_on_a_deleted_key_is_found(reconciling: Reconciling) -> None:
    await reconciling.deleted("gone/for-good.txt")
    assert not await reconciling.holds("main", "gone/for-good.txt")
    await reconciling.write("main", "gone/for-good.txt")
    outcome = await reconciling.run()
    assert outcome.of("gone/for-good.txt") == ("late_object_bytes", "deleted")
    assert not await reconciling.holds("main", "gone/for-good.txt")


async def test_bytes_that_landed_just_now_are_left_to_whoever_is_at_work_on_them(reconciling: Reconciling) -> None:
    draft = await reconciling.confirmed("young.txt")
    await reconciling.deleted("younger.txt")
    await reconciling.write("draft", draft["key"])
    await reconciling.write("main", "younger.txt")
    assert (await reconciling.run(min_age=3600)).findings == []
    assert await reconciling.holds("draft", draft["key"])
    assert await reconciling.holds("main", "younger.txt")


async def test_a_dry_run_says_what_would_go_and_deletes_nothing(reconciling: Reconciling) -> None:
    draft = await reconciling.confirmed("dry.txt")
    await reconciling.deleted("dry-deleted.txt")
    await reconciling.write("draft", draft["key"])
    await reconciling.write("main", "dry-deleted.txt")
    outcome = await reconciling.run(dry_run=True)
    assert outcome.of(draft["key"]) == ("late_draft_bytes", "would delete")
    assert outcome.of("dry-deleted.txt") == ("late_object_bytes", "would delete")
    assert "/internal/objects/delete" not in outcome.paths
    assert await reconciling.holds("draft", draft["key"])
    assert await reconciling.holds("main", "dry-deleted.txt")
