"""What no row knows is reported and stays; what rows still want, or cleaning will see to, is no finding."""

from datetime import timedelta
from uuid import uuid4

import pytest

from draftstore_common.kit.ids import random_base62
from support.reconciling import Reconciling, older

OLD = older(timedelta(days=9))

KEYS_BECOME = """
    UPDATE metadata.object_keys SET state = $1,
        purge_due_at = CASE WHEN $1 = 'garbage' THEN now() + interval '1 day' END"""


def draft_shaped() -> str:
    """A key as drafts have them, which no draft has."""
    return f"{uuid4()}/{random_base62(27)}"


async def test_a_key_of_the_draft_bucket_that_no_row_knows_is_reported_and_stays(reconciling: Reconciling) -> None:
    key = draft_shaped()
    await reconciling.write("draft", key)
    outcome = await reconciling.run(OLD)
    assert outcome.of(key) == ("unattributed_draft_key", "reported")
    assert await reconciling.holds("draft", key)
    assert not outcome.summary.alarming


async def test_it_is_deleted_only_when_asked_for_old_and_of_our_shape(reconciling: Reconciling) -> None:
    key = draft_shaped()
    foreign = [
        f"backups/{random_base62(27)}",
        f"{uuid4()}/{random_base62(26)}",
        f"{uuid4()}/a/{random_base62(25)}",
        "x",
    ]
    for written in (key, *foreign):
        await reconciling.write("draft", written)
    young = await reconciling.run(older(timedelta(days=7, hours=23)), delete_unattributed_drafts=True)
    assert young.of(key) == ("unattributed_draft_key", "reported")
    old = await reconciling.run(OLD, delete_unattributed_drafts=True)
    assert old.of(key) == ("unattributed_draft_key", "deleted")
    assert not await reconciling.holds("draft", key)
    for other in foreign:
        assert old.of(other) == ("unattributed_draft_key", "reported")
        assert await reconciling.holds("draft", other)


async def test_a_key_of_the_main_bucket_that_no_row_knows_is_never_deleted(reconciling: Reconciling) -> None:
    keys = ["somebody's/data.csv", "quotes ' and ü.txt", draft_shaped()]
    for key in keys:
        await reconciling.write("main", key)
    outcome = await reconciling.run(OLD, delete_unattributed_drafts=True)
    assert {outcome.of(key) for key in keys} == {("unattributed_object_key", "reported")}
    for key in keys:
        assert await reconciling.holds("main", key)


async def test_a_published_key_without_its_object_is_reported_and_stays(reconciling: Reconciling) -> None:
    await reconciling.confirmed("orphan.txt")
    await reconciling.sql("DELETE FROM metadata.objects WHERE object_name = 'orphan.txt'")
    assert (await reconciling.run(OLD)).of("orphan.txt") == ("published_without_object", "reported")
    assert await reconciling.holds("main", "orphan.txt")


@pytest.mark.parametrize("state", ["garbage", "deleted"])
async def test_an_object_whose_key_was_dropped_is_an_alarm_and_never_deleted(
    reconciling: Reconciling, state: str
) -> None:
    await reconciling.confirmed("dropped.txt")
    await reconciling.sql(KEYS_BECOME, state)
    outcome = await reconciling.run(OLD)
    assert outcome.of("dropped.txt") == ("object_on_dropped_key", "reported")
    assert outcome.summary.alarming
    assert await reconciling.holds("main", "dropped.txt")


async def test_what_is_as_it_should_be_is_no_finding(reconciling: Reconciling) -> None:
    confirmed = await reconciling.confirmed("fine.txt")
    await reconciling.confirmed("replaced.txt")
    second = await reconciling.draft(b"other", "replaced.txt")
    await reconciling.back_end.get("POST", f"/api/v1/drafts/{second['id']}/confirm", {"on_conflict": "replace"})
    await reconciling.draft(name="waiting.txt")
    outcome = await reconciling.run(OLD, delete_unattributed_drafts=True)
    assert outcome.findings == []
    assert (outcome.summary.completed, outcome.summary.alarming) == (True, False)
    assert await reconciling.holds("main", "fine.txt")
    assert not await reconciling.holds("draft", confirmed["key"])


@pytest.mark.parametrize("state", ["open", "uploaded", "confirming", "prepared", "expired", "discarded", "purging"])
async def test_bytes_of_a_draft_that_is_not_at_its_end_are_left_to_cleaning(
    reconciling: Reconciling, state: str
) -> None:
    draft = await reconciling.draft(name="living.txt")
    await reconciling.sql("ALTER TABLE metadata.drafts DROP CONSTRAINT IF EXISTS drafts_lease")  # of confirming ones
    await reconciling.sql("UPDATE metadata.drafts SET state = $1 WHERE id = $2", state, draft["id"])
    assert (await reconciling.run(OLD, delete_unattributed_drafts=True)).findings == []
    assert await reconciling.holds("draft", draft["key"])


@pytest.mark.parametrize("state", ["reserved", "garbage"])
async def test_bytes_under_a_key_on_its_way_are_left_to_cleaning(reconciling: Reconciling, state: str) -> None:
    await reconciling.confirmed("on-its-way.txt")
    await reconciling.sql("DELETE FROM metadata.objects")
    await reconciling.sql(KEYS_BECOME, state)
    assert (await reconciling.run(OLD)).findings == []
    assert await reconciling.holds("main", "on-its-way.txt")
