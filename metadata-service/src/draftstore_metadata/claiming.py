"""The rules around claims: which drafts an attempt may work on, and why not the others. No SQL, no HTTP."""

from dataclasses import dataclass, field
from uuid import UUID

import asyncpg

from draftstore_common.contracts import confirm
from draftstore_common.contracts import metadata as wire
from draftstore_common.problems import DraftChanged, DraftNotFound, refusal
from draftstore_metadata.errors import DraftPrepared, IdempotencyKeyInUse, Unsettled
from draftstore_metadata.service import ATTEMPTS, why_not
from draftstore_metadata.store.claims import Busy, ClaimStore, Known
from draftstore_metadata.store.holds import HoldStore
from draftstore_metadata.store.rows import draft_record


class ClaimService:
    """Who may work on which drafts."""

    def __init__(self, claims: ClaimStore, holds: HoldStore) -> None:
        self._claims = claims
        self._holds = holds

    async def claim(self, request: confirm.ClaimDrafts) -> confirm.ClaimAnswer:
        """Claims on all drafts that can take part, and word of the others; nothing while one of them is busy."""
        try:
            return await self._claim(request)
        except Busy:
            return confirm.ClaimAnswer(outcome="busy")
        except Known as known:
            return await self._known(request.tenant_id, known.confirmation_id)

    async def _claim(self, request: confirm.ClaimDrafts) -> confirm.ClaimAnswer:
        look = _Look(free=list(request.draft_ids))
        for _ in range(ATTEMPTS):
            if not look.free and (look.refused or request.confirmation is None):
                return confirm.ClaimAnswer(outcome="claimed", confirmed=look.confirmed, refused=look.refused)
            claimed = await self._claims.claim(request, look.free)
            if claimed is not None:
                return await self._claimed(request, claimed, look)
            look = _sort(request, await self._claims.look(request.tenant_id, request.draft_ids))
            if look.busy:
                return confirm.ClaimAnswer(outcome="busy")
            if held := await self._same_hold(request, look):
                return confirm.ClaimAnswer(outcome="known", confirmation=held)
            await self._claims.recover(request.tenant_id, look.lapsed)
        raise Unsettled

    async def _claimed(
        self, request: confirm.ClaimDrafts, claimed: list[asyncpg.Record], look: "_Look"
    ) -> confirm.ClaimAnswer:
        answer = confirm.ClaimAnswer(
            outcome="claimed",
            claimed=[draft_record(row) for row in claimed],
            confirmed=look.confirmed,
            refused=look.refused,
        )
        return answer if request.confirmation is None else await self._recorded(request, request.confirmation, answer)

    async def _recorded(
        self, request: confirm.ClaimDrafts, new: confirm.NewConfirmation, answer: confirm.ClaimAnswer
    ) -> confirm.ClaimAnswer:
        """With its confirmation, and names that are not free: who asks for many hears of all offenders at once."""
        names = await self._claims.refused_names([draft.id for draft in answer.claimed], new.on_conflict)
        made = await self._get(request.tenant_id, new.id)
        return answer.model_copy(update={"refused": [*answer.refused, *names], "confirmation": made})

    async def _same_hold(self, request: confirm.ClaimDrafts, look: "_Look") -> confirm.ConfirmationRecord | None:
        """The hold that a repeated prepare finds: of just these drafts and bytes, for just this purpose."""
        new = request.confirmation
        if new is None or new.mode != "prepare" or len(look.holders) != 1 or look.changed:
            return None
        held = await self._get(request.tenant_id, look.holders.pop())
        return held if set(held.draft_ids) == set(request.draft_ids) and held.on_conflict == new.on_conflict else None

    async def _known(self, tenant_id: UUID, confirmation_id: UUID) -> confirm.ClaimAnswer:
        record = await self._get(tenant_id, confirmation_id)
        if record.state == "working":
            raise IdempotencyKeyInUse
        return confirm.ClaimAnswer(outcome="known", confirmation=record)

    async def _get(self, tenant_id: UUID, confirmation_id: UUID) -> confirm.ConfirmationRecord:
        ref = confirm.ConfirmationRef(tenant_id=tenant_id, confirmation_id=confirmation_id)
        return await self._holds.get(ref)


@dataclass(slots=True)
class _Look:
    """What the rows of a claim's drafts say.

    `holders` are the confirmations that hold prepared ones. `changed`: some have other bytes than previewed.
    """

    free: list[UUID] = field(default_factory=list)
    lapsed: list[UUID] = field(default_factory=list)
    busy: list[UUID] = field(default_factory=list)
    confirmed: list[wire.DraftRecord] = field(default_factory=list)
    refused: list[confirm.Refusal] = field(default_factory=list)
    holders: set[UUID] = field(default_factory=set)
    changed: bool = False


def _sort(request: confirm.ClaimDrafts, rows: dict[UUID, asyncpg.Record]) -> _Look:
    """Which of the drafts can be claimed, and why the others cannot."""
    look = _Look()
    for draft_id in request.draft_ids:
        row = rows.get(draft_id)
        if row is None or row["subject"] not in {None, request.subject}:
            look.refused.append(refusal(draft_id, DraftNotFound()))
        else:
            _place(look, row, request.etags.get(draft_id))
    return look


def _place(look: _Look, row: asyncpg.Record, previewed: str | None) -> None:
    match row["state"]:
        case "open" | "uploaded":
            look.free.append(row["id"])
        case "confirming" | "prepared" if row["lease_expires_at"] <= row["now"]:
            look.lapsed.append(row["id"])
            look.free.append(row["id"])
        case "confirmed" | "prepared" if previewed not in {None, row["etag"], (row["receipt"] or {}).get("etag")}:
            look.changed = True
            look.refused.append(refusal(row["id"], DraftChanged()))
        case "confirmed":
            look.confirmed.append(draft_record(row))
        case "confirming":
            look.busy.append(row["id"])
        case "prepared":
            look.holders.add(row["confirmation_id"])
            look.refused.append(refusal(row["id"], DraftPrepared()))
        case _:
            look.refused.append(refusal(row["id"], why_not(row, "confirming")))
