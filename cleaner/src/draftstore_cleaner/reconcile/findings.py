"""What a reconcile finds, and what it says of it."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from draftstore_common.contracts.base import BucketRole
from draftstore_common.contracts.reconcile import PassName

FindingKind = Literal[
    "late_draft_bytes",
    "unattributed_draft_key",
    "late_object_bytes",
    "published_without_object",
    "object_on_dropped_key",
    "unattributed_object_key",
    "object_missing",
    "object_differs",
    "draft_bytes_missing",
]

Action = Literal["deleted", "would delete", "reported", "left"]

ALARMING: frozenset[FindingKind] = frozenset(
    {"object_missing", "object_differs", "draft_bytes_missing", "object_on_dropped_key"}
)
"""Bytes are lost, or will be when cleaning comes by: somebody must look."""


class Finding(BaseModel):
    """One thing that is not as it should be. `left`: it was to be deleted, but changed meanwhile or resisted."""

    model_config = ConfigDict(frozen=True)

    finding: FindingKind
    role: BucketRole
    key: str
    draft_id: UUID | None = None
    object_name: str | None = None
    size: int | None = None
    age_seconds: int | None = None
    action: Action
    reason: str

    def line(self) -> dict[str, Any]:
        """The finding as JSON, without what does not apply."""
        return self.model_dump(mode="json", exclude_none=True)


Tell: TypeAlias = Callable[[Finding], None]
"""Takes a finding the moment it is settled, so that what a killed run deleted is on record."""


@dataclass(slots=True)
class Summary:
    """What a run did. `passes`: `finished`, or the place where the next run goes on."""

    dry_run: bool
    keys: int = 0
    findings: Counter[FindingKind] = field(default_factory=Counter)
    actions: Counter[Action] = field(default_factory=Counter)
    passes: dict[PassName, str] = field(default_factory=dict)
    completed: bool = False

    def count(self, finding: Finding) -> None:
        """Add a finding."""
        self.findings[finding.finding] += 1
        self.actions[finding.action] += 1

    @property
    def alarming(self) -> bool:
        """Whether somebody must look."""
        return not ALARMING.isdisjoint(self.findings)

    def line(self) -> dict[str, Any]:
        """The run as JSON."""
        ending = "the round is complete" if self.completed else "the next run goes on from here"
        deleted = self.actions["deleted"]
        return {
            "message": f"Looked at {self.keys} keys: {self.findings.total()} findings, {deleted} deleted; {ending}",
            "dry_run": self.dry_run,
            "keys": self.keys,
            "findings": dict(self.findings),
            "actions": dict(self.actions),
            "passes": self.passes,
            "completed": self.completed,
        }
