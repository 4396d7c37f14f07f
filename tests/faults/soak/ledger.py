"""What the load knows for certain: which bytes it sent, which answers it got. The audit holds the system to it."""

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

NEVER = math.inf


@dataclass
class Put:
    """One content sent to a draft's URL, perhaps in several requests.

    `ended_at` is `NEVER` while bytes of it may still land: a request of it got no answer.
    """

    sha256: str
    started_at: float
    ended_at: float = NEVER
    etag: str | None = None

    @property
    def acknowledged(self) -> bool:
        """Whether the store said it has these bytes."""
        return self.etag is not None


@dataclass
class DraftFacts:
    """A draft as its client knows it. Instants are seconds since 1970, on the one clock of this machine."""

    id: str
    object_name: str
    declared_sha256: str | None = None
    puts: list[Put] = field(default_factory=list)
    bound_to: str | None = None
    may_replace: bool = False
    first_confirm_at: float = NEVER
    receipts: list[dict[str, Any]] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    given_up_by: str | None = None

    def add_receipt(self, receipt: dict[str, Any]) -> None:
        """Note an acknowledged receipt; equal ones count once."""
        if receipt not in self.receipts:
            self.receipts.append(receipt)

    def publishable(self) -> list[Put]:
        """The contents a confirm may publish: those that no acknowledged later one had replaced before it began."""
        if self.bound_to is not None:
            return [put for put in self.puts if put.etag == self.bound_to]
        return [put for put in self.puts if not any(self._replaces(later, put) for later in self.puts)]

    def _replaces(self, later: Put, put: Put) -> bool:
        return later.acknowledged and later.started_at > put.ended_at and later.ended_at < self.first_confirm_at


@dataclass
class Bundle:
    """Drafts that are visible all or none; `draft_ids` shrinks when offenders are left out."""

    draft_ids: list[str]


@dataclass
class Request:
    """One request whose effect has no name of its own; `ended_at` is `NEVER` where nobody answered."""

    started_at: float
    ended_at: float = NEVER


@dataclass
class Ledger:
    """Every fact of one run; `lost`, `doubled` and `unsettled` are what clients noticed themselves."""

    drafts: dict[str, DraftFacts] = field(default_factory=dict)
    deletes: dict[str, list[Request]] = field(default_factory=dict)
    events_read: list[int] = field(default_factory=list)
    bundles: list[Bundle] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    unsettled: list[str] = field(default_factory=list)
    strange: list[str] = field(default_factory=list)
    operations: Counter[str] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    races: Counter[str] = field(default_factory=Counter)

    def may_have_deleted(self, object_name: str, since: float) -> bool:
        """Whether a delete of this name was, or may have been, carried out at or after an instant."""
        return any(request.ended_at >= since for request in self.deletes.get(object_name, []))
