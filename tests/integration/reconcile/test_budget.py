"""A run stops when its budget is spent, the next goes on from there, and after a whole round the next begins anew."""

import json
from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from pydantic import SecretStr

from draftstore_cleaner.app import create_cleaner
from draftstore_cleaner.clocks import ClockSkewError
from draftstore_cleaner.settings import CleanerSettings
from draftstore_common.clients.transport import AsgiTransport, Reply
from draftstore_common.kit.errors import Problem
from support.reconciling import ATTRIBUTE, CLOCK, LIST, Between, Outcome, Reconciling, after

STRAYS = [f"stray/{number}" for number in range(5)]


async def strays(reconciling: Reconciling) -> None:
    """Five keys nobody knows in either bucket."""
    for key in STRAYS:
        await reconciling.write("draft", key)
        await reconciling.write("main", key)


def seen(*outcomes: Outcome) -> Counter[tuple[str, str]]:
    return Counter((finding.role, finding.key) for outcome in outcomes for finding in outcome.findings)


EVERY_STRAY_ONCE = Counter((role, key) for role in ("draft", "main") for key in STRAYS)


@pytest.mark.parametrize("first_run", range(1, 10))
async def test_two_runs_see_every_key_exactly_once(reconciling: Reconciling, first_run: int) -> None:
    await strays(reconciling)
    first = await reconciling.run(max_keys=first_run)
    assert (first.summary.keys, first.summary.completed) == (first_run, False)
    second = await reconciling.run(restart=False)
    assert (second.summary.keys, second.summary.completed) == (10 - first_run, True)
    assert seen(first, second) == EVERY_STRAY_ONCE


async def test_rows_are_walked_through_within_the_budget_too(reconciling: Reconciling) -> None:
    lost = [f"lost/{number}.txt" for number in range(3)]
    for name in lost:
        await reconciling.confirmed(name)
        await reconciling.remove("main", name)
        draft = await reconciling.draft(name=f"draft-{name}")
        await reconciling.remove("draft", draft["key"])
    outcomes = [await reconciling.run(max_keys=2, restart=number == 0) for number in range(4)]
    assert [outcome.summary.completed for outcome in outcomes] == [False, False, False, True]
    assert len(seen(*outcomes)) == seen(*outcomes).total() == 6


async def test_a_run_without_time_looks_at_nothing_and_loses_no_place(reconciling: Reconciling) -> None:
    await strays(reconciling)
    first = await reconciling.run(max_keys=3)
    assert (await reconciling.run(max_seconds=0, restart=False)).summary.keys == 0
    assert seen(first, await reconciling.run(restart=False)) == EVERY_STRAY_ONCE


async def test_a_whole_round_is_followed_by_another(reconciling: Reconciling) -> None:
    await strays(reconciling)
    for _ in range(2):
        outcome = await reconciling.run(restart=False)
        assert outcome.summary.completed
        assert set(outcome.summary.passes.values()) == {"finished"}
        assert seen(outcome) == EVERY_STRAY_ONCE


async def test_restart_forgets_the_place(reconciling: Reconciling) -> None:
    await strays(reconciling)
    await reconciling.run(max_keys=7)
    assert seen(await reconciling.run(restart=True)) == EVERY_STRAY_ONCE


async def test_a_dry_run_moves_no_cursor(reconciling: Reconciling) -> None:
    await strays(reconciling)
    first = await reconciling.run(max_keys=4)
    dry = await reconciling.run(dry_run=True, restart=False)
    assert dry.summary.completed
    second = await reconciling.run(restart=False)
    assert seen(second) == seen(dry)
    assert seen(first, second) == EVERY_STRAY_ONCE


async def test_of_two_at_once_one_stops(reconciling: Reconciling) -> None:
    await strays(reconciling)
    other: list[Outcome] = []

    async def overtaken() -> None:
        other.append(await reconciling.run())

    with pytest.raises(Problem, match="reconcile_elsewhere"):
        await reconciling.run({LIST: after(overtaken)}, max_keys=3)
    assert seen(*other) == EVERY_STRAY_ONCE


async def test_a_run_that_dies_goes_on_with_the_page_it_was_at(reconciling: Reconciling) -> None:
    await strays(reconciling)
    first = await reconciling.run(max_keys=3)

    async def crash() -> None:
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await reconciling.run({ATTRIBUTE: after(crash)}, restart=False)
    assert seen(first, await reconciling.run(restart=False)) == EVERY_STRAY_ONCE


@pytest.mark.parametrize("hours", [-1, 1])
async def test_clocks_that_disagree_stop_a_run_before_it_looks(reconciling: Reconciling, hours: int) -> None:
    draft = await reconciling.confirmed("skewed.txt")
    await reconciling.write("draft", draft["key"])

    async def wrong(reply: Reply) -> Reply:
        now = datetime.fromisoformat(json.loads(reply.body)["now"]) + timedelta(hours=hours)
        return replace(reply, content=json.dumps({"now": now.isoformat()}).encode())

    with pytest.raises(ClockSkewError):
        await reconciling.run({CLOCK: wrong})
    assert await reconciling.holds("draft", draft["key"])


async def test_cleaning_lists_nothing(reconciling: Reconciling) -> None:
    draft = await reconciling.draft(name="to-clean.txt")
    await reconciling.back_end.get("DELETE", f"/api/v1/drafts/{draft['id']}", status=204)
    suite = reconciling.back_end.suite
    ways = {name: Between(AsgiTransport(app), {}) for name, app in suite.internal.items()}
    settings = CleanerSettings(service_key=SecretStr(suite.cleaner_key))
    async with create_cleaner(settings, **ways) as cleaner:
        await cleaner.run()
    assert {path for path in ways["storage"].paths if path != "/internal/clock"} <= {"/internal/objects/delete"}
