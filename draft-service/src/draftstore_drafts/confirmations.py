"""Bundles and prepared confirmations: several drafts as one act, perhaps tied to a caller's own transaction."""

from collections.abc import Sequence
from uuid import UUID

from draftstore_common.clients.metadata import MetadataClient
from draftstore_common.contracts import confirm as wire
from draftstore_common.contracts.confirm import ConfirmationRecord
from draftstore_common.contracts.drafts import Confirmation, ConfirmationCreate
from draftstore_common.contracts.identity import Principal
from draftstore_common.contracts.metadata import IdempotencyKey
from draftstore_common.problems import ConfirmationNotFound
from draftstore_drafts.confirm import Confirmer
from draftstore_drafts.content import Content
from draftstore_drafts.domain import public_confirmation
from draftstore_drafts.errors import DraftsBusy
from draftstore_drafts.refusals import Refused, for_each
from draftstore_drafts.service import DraftService, actor
from draftstore_drafts.work import Work


class ConfirmationService:
    """Confirmations of the caller's tenant. A key limited to some names sees those of drafts with such names alone."""

    def __init__(self, metadata: MetadataClient, drafts: DraftService, confirmer: Confirmer, content: Content) -> None:
        self._metadata = metadata
        self._drafts = drafts
        self._confirmer = confirmer
        self._content = content

    async def create(self, principal: Principal, body: ConfirmationCreate, key: IdempotencyKey | None) -> Confirmation:
        """All drafts confirmed (or prepared), or a problem that names every one that cannot be.

        `working` when it takes longer than the caller waits: then ask for it by its id.
        """
        work = _work(principal, body, key)
        try:
            await self._check_touch(principal, work.draft_ids)
            outcome = await self._confirmer.confirm(work)
        except Refused as refused:
            raise refused.bundle(body.draft_ids) from refused
        if outcome.confirmation is None:
            raise DraftsBusy
        return public_confirmation(outcome.confirmation)

    async def get(self, principal: Principal, confirmation_id: UUID) -> Confirmation:
        """The confirmation as it is now."""
        return public_confirmation(await self._find(principal, confirmation_id))

    async def commit(self, principal: Principal, confirmation_id: UUID) -> Confirmation:
        """Publish what was prepared: one transaction on rows, which nothing can refuse before the deadline."""
        await self._check_own(principal, confirmation_id)
        answer = await self._metadata.commit(_end(principal, confirmation_id))
        await self._content.remove(*answer.leftovers)
        return public_confirmation(answer.confirmation)

    async def roll_back(self, principal: Principal, confirmation_id: UUID) -> Confirmation:
        """Give up what was prepared; its drafts can be confirmed again."""
        await self._check_own(principal, confirmation_id)
        return public_confirmation(await self._metadata.roll_back(_end(principal, confirmation_id)))

    async def _check_touch(self, principal: Principal, draft_ids: Sequence[UUID]) -> None:
        if principal.name_prefixes:
            await for_each(draft_ids, lambda each: self._drafts.check_touch(principal, each), lambda each: each)

    async def _check_all_touch(self, principal: Principal, draft_ids: Sequence[UUID]) -> None:
        try:
            await self._check_touch(principal, draft_ids)
        except Refused as refused:
            raise ConfirmationNotFound from refused

    async def _find(self, principal: Principal, confirmation_id: UUID) -> ConfirmationRecord:
        ref = wire.ConfirmationRef(tenant_id=principal.tenant_id, confirmation_id=confirmation_id)
        found = await self._metadata.get_confirmation(ref)
        if found.created_by != actor(principal):  # whose drafts were all looked at when it was made
            await self._check_all_touch(principal, found.draft_ids)
        return found

    async def _check_own(self, principal: Principal, confirmation_id: UUID) -> None:
        if principal.name_prefixes:
            await self._find(principal, confirmation_id)


def _work(principal: Principal, body: ConfirmationCreate, key: IdempotencyKey | None) -> Work:
    return Work(
        tenant_id=principal.tenant_id,
        draft_ids=tuple(body.draft_ids),
        on_conflict=body.on_conflict,
        etags=frozenset(body.etags.items()),
        subject=body.subject,
        mode=body.mode,
        hold_ttl=body.hold_ttl,
        recorded=True,
        idempotency=key,
        actor=actor(principal),
    )


def _end(principal: Principal, confirmation_id: UUID) -> wire.EndConfirmation:
    return wire.EndConfirmation(tenant_id=principal.tenant_id, confirmation_id=confirmation_id, actor=actor(principal))
