"""What to think of a key or of a row's bytes. Pure: the same facts, the same judgement, as often as they are looked at.

Only what cannot be wanted any more is deleted: bytes of a draft that is at an end, or of a main-bucket key that was
deleted for good. What no row knows may be another installation's, or younger than a restored backup.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import assert_never

from draftstore_cleaner.reconcile.findings import FindingKind
from draftstore_common.contracts.base import BucketRole
from draftstore_common.contracts.reconcile import Attribution, OwedBytes
from draftstore_common.contracts.storage import StoredObject

UNATTRIBUTED_AGE = timedelta(days=8)
"""No URL lives longer than seven days (SigV4), and a day is left for a write that began at its end."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What a run may delete. `now` is the store's clock when the run began, so that ages are never overestimated."""

    now: datetime
    min_age: timedelta
    delete_unattributed_drafts: bool

    def age(self, last_modified: datetime) -> timedelta:
        """How long bytes have been there, by the store's clock alone; it is told in whole seconds."""
        return max(timedelta(), self.now - last_modified)


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is wrong with a key, and whether it may be deleted for that."""

    finding: FindingKind
    reason: str
    delete: bool = False


def judge_key(role: BucketRole, said: Attribution, age: timedelta, rules: Rules) -> Judgement | None:
    """What is wrong with a key of a bucket; None if nothing is, or if ordinary cleaning will see to it."""
    match role:
        case "draft":
            return _draft_key(said, age, rules)
        case "main":
            return _main_key(said, age, rules)
        case _:
            assert_never(role)


def _draft_key(said: Attribution, age: timedelta, rules: Rules) -> Judgement | None:
    match said.draft_state:
        case "confirmed" | "purged":
            reason = f"a write landed after the bytes of this {said.draft_state} draft were removed"
            return Judgement("late_draft_bytes", reason, delete=True) if age >= rules.min_age else None
        case None:
            may = rules.delete_unattributed_drafts and said.own_shape and age >= UNATTRIBUTED_AGE
            return Judgement("unattributed_draft_key", "no draft has this key", delete=may)
        case _:
            return None


def _main_key(said: Attribution, age: timedelta, rules: Rules) -> Judgement | None:
    if said.object_name is not None:
        dropped = said.key_state in {"garbage", "deleted"}
        reason = f"an object lies under this key, whose own row says {said.key_state}"
        return Judgement("object_on_dropped_key", reason) if dropped else None
    match said.key_state:
        case "deleted":
            reason = "a copy landed after this key was deleted for the last time"
            return Judgement("late_object_bytes", reason, delete=True) if age >= rules.min_age else None
        case "published":
            return Judgement("published_without_object", "this key was published, but no object has it")
        case None:
            return Judgement("unattributed_object_key", "no row has this key")
        case "reserved" | "garbage":
            return None
        case state:
            assert_never(state)


def judge_bytes(role: BucketRole, owed: OwedBytes, found: StoredObject | None) -> Judgement | None:
    """What is wrong with the bytes of a row. A draft's may have changed: it may be sent again until it is confirmed."""
    if role == "draft":
        return None if found else Judgement("draft_bytes_missing", "this draft was uploaded, and its bytes are gone")
    if found is None:
        return Judgement("object_missing", "this object is confirmed, and its bytes are gone")
    if (found.size, found.etag) != (owed.size, owed.etag):
        there = f"{found.size} bytes with ETag {found.etag}"
        return Judgement("object_differs", f"confirmed were {owed.size} bytes with ETag {owed.etag}, there are {there}")
    return None
