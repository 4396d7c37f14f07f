"""The audit log, for those who may read it."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import Field

from draftstore_common.contracts.audit import AuditCategory, AuditOutcome, AuditPage
from draftstore_common.contracts.base import Instant
from draftstore_identity.paging import page
from draftstore_identity.routes.caller import Caller, Ctx, ListQuery
from draftstore_identity.store.audit import AuditFilter

router = APIRouter(prefix="/api/v1", tags=["admin"])


class AuditQuery(ListQuery):
    """Which part of the audit log. All that is given must hold; `since` is included, `until` is not."""

    category: AuditCategory | None = None
    action: str | None = Field(default=None, max_length=60)
    outcome: AuditOutcome | None = None
    actor: str | None = Field(default=None, max_length=100, description="key:<id>, service:<name>, anonymous, operator")
    tenant_id: UUID | None = None
    target: str | None = Field(default=None, max_length=4096, description="an id, or the name of an object")
    since: Instant | None = None
    until: Instant | None = None


@router.get("/audit")
async def read_audit(query: Annotated[AuditQuery, Query()], caller: Caller, context: Ctx) -> AuditPage:
    """Who did what, and who could read what, newest first. A data key (`audit:read`) sees what concerns its tenant."""
    which = AuditFilter(**query.model_dump(exclude={"limit", "cursor"}))
    return await context.audit.page(caller, page(query.limit, query.cursor), which)
