"""What changes between the listing and the deletion is not deleted: bytes and row are looked at once more."""

from datetime import timedelta
from uuid import uuid4

from draftstore_common.kit.ids import random_base62
from support.reconciling import ATTRIBUTE, HEAD, Reconciling, after, older

OLD = older(timedelta(days=9))


async def test_a_key_that_gets_a_row_meanwhile_is_not_deleted(reconciling: Reconciling) -> None:
    draft = await reconciling.draft(name="restored.txt")
    stray = f"{uuid4()}/{random_base62(27)}"
    await reconciling.write("draft", stray)

    async def restored() -> None:  # as from a backup
        await reconciling.sql("UPDATE metadata.drafts SET storage_key = $1 WHERE id = $2", stray, draft["id"])

    hooks = {**OLD, ATTRIBUTE: after(restored)}
    outcome = await reconciling.run(hooks, delete_unattributed_drafts=True)
    assert outcome.of(stray) == ("unattributed_draft_key", "left")
    assert await reconciling.holds("draft", stray)


async def test_a_deleted_key_that_an_object_has_again_is_not_deleted(reconciling: Reconciling) -> None:
    await reconciling.deleted("again.txt")
    await reconciling.write("main", "again.txt")

    async def restored() -> None:
        await reconciling.sql("UPDATE metadata.object_keys SET state = 'published', purge_due_at = NULL")

    outcome = await reconciling.run({ATTRIBUTE: after(restored)})  # the draft bucket is empty: asked of main first
    assert outcome.of("again.txt") == ("late_object_bytes", "left")
    assert await reconciling.holds("main", "again.txt")


async def test_bytes_that_are_replaced_meanwhile_are_left_for_the_next_run(reconciling: Reconciling) -> None:
    draft = await reconciling.confirmed("written-again.txt")
    await reconciling.write("draft", draft["key"])

    async def other_bytes() -> None:
        await reconciling.write("draft", draft["key"], b"another late write")

    outcome = await reconciling.run({ATTRIBUTE: after(other_bytes)})
    assert outcome.of(draft["key"]) == ("late_draft_bytes", "left")
    assert await reconciling.holds("draft", draft["key"])
    assert (await reconciling.run()).of(draft["key"]) == ("late_draft_bytes", "deleted")


async def test_age_is_looked_at_again_too(reconciling: Reconciling) -> None:
    draft = await reconciling.confirmed("same-again.txt")
    await reconciling.write("draft", draft["key"])
    listed_as_old = {path: hook for path, hook in older(timedelta(hours=2)).items() if path != HEAD}
    outcome = await reconciling.run(listed_as_old, min_age=3600)
    assert outcome.of(draft["key"]) == ("late_draft_bytes", "left")
    assert await reconciling.holds("draft", draft["key"])


async def test_bytes_that_went_meanwhile_are_no_failure(reconciling: Reconciling) -> None:
    draft = await reconciling.confirmed("went.txt")
    await reconciling.write("draft", draft["key"])
    outcome = await reconciling.run({ATTRIBUTE: after(lambda: reconciling.remove("draft", draft["key"]))})
    assert outcome.of(draft["key"]) == ("late_draft_bytes", "left")
