"""The audit log: what services report, and what is shown of it to whom."""

from collections.abc import Sequence
from dataclasses import replace

from draftstore_common.contracts.audit import AccessEvent, AuditPage
from draftstore_identity import domain
from draftstore_identity.author import Caller
from draftstore_identity.errors import TenantNotFound
from draftstore_identity.paging import Page, page_of
from draftstore_identity.service.actor import acting
from draftstore_identity.service.refusals import Refusals
from draftstore_identity.store import IdentityStore
from draftstore_identity.store.audit import AuditFilter, AuditRow


class AuditService:
    """Keeps accesses that other services saw, and shows the log."""

    def __init__(self, store: IdentityStore, refusals: Refusals) -> None:
        self._store = store
        self._refusals = refusals

    async def keep(self, events: Sequence[AccessEvent]) -> None:
        """Keep accesses, all or none. When this returns they are durable; one that is known stays as it was."""
        await self._store.record([_row(event) for event in events])

    async def page(self, caller: Caller, page: Page, which: AuditFilter) -> AuditPage:
        """A page of the log, newest first: everything for an admin key, for a data key what concerns its tenant."""
        async with self._refusals.watched(caller, "audit.read", "audit"), self._store.read() as reader:
            actor = (await acting(reader, caller)).key
            domain.check_reads_audit(actor)
            if which.tenant_id is not None and not domain.sees_tenant(actor, which.tenant_id):
                raise TenantNotFound
            seen = which if actor.kind == "admin" else replace(which, tenant_id=actor.tenant_id)
            found = await reader.audit.page(seen, before=page.before, limit=page.limit + 1)
        items, next_cursor = page_of(found, page.limit)
        return AuditPage(items=items, next_cursor=next_cursor)


def _row(event: AccessEvent) -> AuditRow:
    return AuditRow(
        id=event.id,
        at=event.at,
        category="access",
        action=event.action,
        outcome=event.outcome,
        code=event.code,
        actor="anonymous" if event.key_id is None else f"key:{event.key_id}",
        tenant_id=event.tenant_id,
        target_type=event.target_type,
        target=event.target,
        request_id=event.request_id,
        ip=None if event.ip is None else str(event.ip),
        suppressed=event.suppressed,
        detail=dict(event.detail) or None,
    )
