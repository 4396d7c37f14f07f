"""`reconcile` as an operator runs it: a process of its own, lines to read, a status to alarm on."""

from draftstore_cleaner.reconcile.findings import ALARMING
from support.api import Api
from support.rows import draft_key
from support.stack import Stack


async def test_late_bytes_go_and_a_lost_object_is_an_alarm_until_it_is_back(stack: Stack, api: Api) -> None:
    receipt = await api.confirmed("reconcile/kept.txt", b"kept")
    late = await draft_key(stack, receipt["draft_id"])
    await stack.store.write(stack.draft_bucket, late, b"a slow PUT that ended late")
    await stack.store.remove(stack.main_bucket, "reconcile/kept.txt")

    status, (*findings, summary) = await stack.reconcile("--restart", RECONCILE_MIN_AGE="0")
    said = {finding["key"]: (finding["finding"], finding["action"]) for finding in findings}
    assert said[late] == ("late_draft_bytes", "deleted")
    assert said["reconcile/kept.txt"] == ("object_missing", "reported")
    assert (status, summary["completed"]) == (3, True)
    assert summary["findings"]["object_missing"] >= 1
    assert await stack.store.head(stack.draft_bucket, late) is None

    await stack.store.write(stack.main_bucket, "reconcile/kept.txt", b"kept")
    status, (*findings, summary) = await stack.reconcile()
    assert "reconcile/kept.txt" not in {finding["key"] for finding in findings}
    assert (status, summary["completed"]) == (3 if ALARMING & summary["findings"].keys() else 0, True)


async def test_the_next_run_goes_on_where_the_budget_ended(stack: Stack, api: Api) -> None:
    for number in range(3):
        await api.confirmed(f"reconcile/budget-{number}.txt", b"x")
    _, (*_, first) = await stack.reconcile("--restart", "--max-keys=1")
    assert (first["keys"], first["completed"]) == (1, False)
    _, (*_, second) = await stack.reconcile()
    assert second["completed"]
    assert second["keys"] >= 5  # the other two in the main bucket, and all three by their rows
