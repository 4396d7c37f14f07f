"""Several batches at once are one cleaning: all that is due, no more than it may, and nothing lost if it dies."""

from dataclasses import replace
from typing import Any

import pytest
from pydantic import SecretStr

from draftstore_cleaner import service
from draftstore_cleaner.app import create_cleaner
from draftstore_cleaner.service import Report
from draftstore_cleaner.settings import CleanerSettings
from draftstore_common.clients.transport import AsgiTransport, Reply
from draftstore_common.kit.errors import Problem
from support.reconciling import Between, Hook, Reconciling

DELETE = "/internal/objects/delete"


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "SMALLEST_BATCH", 2)
    monkeypatch.setattr(service, "LARGEST_BATCH", 2)


async def overdue(reconciling: Reconciling, count: int) -> list[dict[str, Any]]:
    """Drafts with bytes, whose time is over."""
    drafts = [await reconciling.draft(name=f"overdue-{number}.txt") for number in range(count)]
    await reconciling.sql("UPDATE metadata.drafts SET expires_at = now(), purge_due_at = now()")
    return drafts


async def left(reconciling: Reconciling, drafts: list[dict[str, Any]]) -> int:
    return sum([await reconciling.holds("draft", draft["key"]) for draft in drafts])


async def clean(reconciling: Reconciling, hook: Hook | None = None, **settings: Any) -> Report:
    suite = reconciling.back_end.suite
    hooks = {} if hook is None else {DELETE: hook}
    ways = {name: Between(AsgiTransport(app), hooks) for name, app in suite.internal.items()}
    made = CleanerSettings(service_key=SecretStr(suite.cleaner_key), **settings)
    async with create_cleaner(made, **ways) as cleaner:
        return await cleaner.run()


async def test_many_batches_are_cleaned_to_the_last(reconciling: Reconciling) -> None:
    drafts = await overdue(reconciling, 13)
    report = await clean(reconciling)
    assert (report.objects, report.failed, report.stopped_at_ceiling) == (13, 0, False)
    assert await left(reconciling, drafts) == 0


async def test_what_is_due_is_shared_by_the_batches_at_once(
    reconciling: Reconciling, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "LARGEST_BATCH", 500)
    drafts, asked = await overdue(reconciling, 13), 0

    async def counted(reply: Reply) -> Reply:
        nonlocal asked
        asked += 1
        return reply

    assert (await clean(reconciling, counted)).objects == 13
    assert asked == 4
    assert await left(reconciling, drafts) == 0


async def test_batches_under_way_stay_below_the_ceiling_together(reconciling: Reconciling) -> None:
    drafts = await overdue(reconciling, 13)
    report = await clean(reconciling, cleaner_max_items=7)
    assert (report.objects, report.stopped_at_ceiling) == (7, True)
    assert await left(reconciling, drafts) == 6
    assert (await clean(reconciling)).objects == 6


async def test_a_batch_that_fails_ends_the_run_and_loses_nothing(reconciling: Reconciling) -> None:
    drafts, asked = await overdue(reconciling, 13), 0

    async def away_from_the_third_on(reply: Reply) -> Reply:
        nonlocal asked
        asked += 1
        return reply if asked < 3 else replace(reply, status=503, content=b"")

    with pytest.raises(Problem):
        await clean(reconciling, away_from_the_third_on)
    await reconciling.sql("UPDATE metadata.drafts SET purge_due_at = now() WHERE state = 'purging'")
    await clean(reconciling)
    assert await left(reconciling, drafts) == 0
    states = await reconciling.sql("SELECT DISTINCT state FROM metadata.drafts")
    assert [row["state"] for row in states] == ["purged"]
