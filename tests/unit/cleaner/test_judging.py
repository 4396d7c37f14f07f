"""What may be deleted, as a table."""

from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import pytest

from draftstore_cleaner.reconcile.judging import Rules, judge_key
from draftstore_common.contracts.base import BucketRole
from draftstore_common.contracts.drafts import DraftState
from draftstore_common.contracts.reconcile import Attribution

NOW = datetime(2030, 1, 1, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def judged(role: BucketRole, age: timedelta, *, flag: bool = False, **said: Any) -> tuple[str, bool] | None:
    """The finding and whether the key may be deleted."""
    rules = Rules(NOW, HOUR, flag)
    judgement = judge_key(role, Attribution(key="k", **said), rules.age(NOW - age), rules)
    return (judgement.finding, judgement.delete) if judgement else None


@pytest.mark.parametrize("state", get_args(DraftState))
def test_bytes_of_a_draft_may_go_only_at_its_end_and_when_they_are_old(state: DraftState) -> None:
    late = ("late_draft_bytes", True) if state in {"confirmed", "purged"} else None
    assert judged("draft", HOUR, draft_state=state, own_shape=True, flag=True) == late
    assert judged("draft", HOUR - timedelta(seconds=1), draft_state=state, own_shape=True, flag=True) is None


@pytest.mark.parametrize("flag", [True, False])
@pytest.mark.parametrize("own_shape", [True, False])
@pytest.mark.parametrize("age", [8 * DAY - timedelta(seconds=1), 8 * DAY, 1000 * DAY])
def test_a_draft_key_without_a_row_may_go_only_if_asked_for_old_and_of_our_shape(
    age: timedelta, *, flag: bool, own_shape: bool
) -> None:
    may = flag and own_shape and age >= 8 * DAY
    assert judged("draft", age, own_shape=own_shape, flag=flag) == ("unattributed_draft_key", may)


@pytest.mark.parametrize("flag", [True, False])
@pytest.mark.parametrize(
    ("state", "finding"),
    [
        ("reserved", None),
        ("garbage", None),
        ("published", ("published_without_object", False)),
        ("deleted", ("late_object_bytes", True)),
        (None, ("unattributed_object_key", False)),
    ],
)
def test_of_the_main_bucket_only_deleted_keys_may_go(
    state: str | None, finding: tuple[str, bool] | None, *, flag: bool
) -> None:
    assert judged("main", 1000 * DAY, key_state=state, flag=flag) == finding


@pytest.mark.parametrize("state", ["reserved", "published", "garbage", "deleted", None])
def test_the_key_of_an_object_never_goes(state: str | None) -> None:
    finding = ("object_on_dropped_key", False) if state in {"garbage", "deleted"} else None
    assert judged("main", 1000 * DAY, key_state=state, object_name="a.txt", flag=True) == finding


def test_bytes_from_the_future_have_no_age() -> None:
    assert Rules(NOW, HOUR, delete_unattributed_drafts=True).age(NOW + DAY) == timedelta()
