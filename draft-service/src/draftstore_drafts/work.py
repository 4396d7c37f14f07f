"""What a caller wants confirmed, and what comes of it. Plain data."""

from dataclasses import dataclass, field
from uuid import UUID

from draftstore_common.contracts.confirm import ConfirmationRecord, NewConfirmation
from draftstore_common.contracts.drafts import ConfirmMode, ConfirmOptions, OnConflict, Receipt
from draftstore_common.contracts.metadata import IdempotencyKey
from draftstore_common.kit.ids import uuid7


@dataclass(frozen=True, slots=True)
class Work:
    """Drafts of one tenant to confirm, all or none. Two that are equal are the same work, whoever asks.

    `recorded`: the work has a confirmation that callers can ask about. `hold_ttl` is seconds.
    """

    tenant_id: UUID
    draft_ids: tuple[UUID, ...]
    on_conflict: OnConflict
    etags: frozenset[tuple[UUID, str]]
    subject: str | None
    mode: ConfirmMode
    hold_ttl: int
    recorded: bool
    idempotency: IdempotencyKey | None = None
    actor: str = field(compare=False, default="")

    @property
    def previewed(self) -> dict[UUID, str]:
        """The ETag the caller saw, without quotes, of drafts it named one for."""
        return {draft_id: etag.strip('"') for draft_id, etag in self.etags}

    def new_confirmation(self) -> NewConfirmation | None:
        """A confirmation for this work, if it shall have one."""
        if not self.recorded:
            return None
        return NewConfirmation(id=uuid7(), mode=self.mode, on_conflict=self.on_conflict, idempotency=self.idempotency)


def single(tenant_id: UUID, draft_id: UUID, options: ConfirmOptions, actor: str) -> Work:
    """One draft."""
    return Work(
        tenant_id=tenant_id,
        draft_ids=(draft_id,),
        on_conflict=options.on_conflict,
        etags=frozenset() if options.etag is None else frozenset({(draft_id, options.etag)}),
        subject=options.subject,
        mode=options.mode,
        hold_ttl=options.hold_ttl,
        recorded=options.mode == "prepare",
        actor=actor,
    )


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of the work: receipts in no order; with a confirmation, its record, which has them in order."""

    receipts: tuple[Receipt, ...] = ()
    confirmation: ConfirmationRecord | None = None
