"""Refused administration, on record: who tried what, and why not.

A row is written in a transaction of its own, after the refused one is undone. A key that is refused again and again
fills no table: what comes faster than `PER_MINUTE` is counted, and the count stands in the next row.
"""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from draftstore_common.contracts.audit import TargetType
from draftstore_common.kit.context import request_id, set_timeout
from draftstore_common.kit.errors import Problem
from draftstore_common.kit.throttle import Throttle
from draftstore_identity.author import Caller
from draftstore_identity.store import IdentityStore
from draftstore_identity.store.audit import AuditRow

log = logging.getLogger(__name__)

PER_MINUTE = 30
"""Refusals of one key and its successors that each instance writes down."""

RECORD_TIMEOUT = 5.0
"""Seconds a row has, however few the request had left: nobody is refused off the record by sending slowly."""


class Refusals:
    """Watches over what callers ask for, and writes down what they are refused."""

    def __init__(self, store: IdentityStore) -> None:
        self._store = store
        self._throttle = Throttle(PER_MINUTE, 60.0)

    @asynccontextmanager
    async def watched(
        self, caller: Caller, action: str, target_type: TargetType, target: UUID | None = None
    ) -> AsyncIterator[None]:
        """Put a refusal of what is done inside on record. The caller gets the refusal, whether that works or not."""
        try:
            yield
        except Problem as problem:
            if 400 <= problem.http_status < 500:
                await self._put_on_record(problem, caller, action, target_type, target)
            raise

    async def _put_on_record(
        self, problem: Problem, caller: Caller, action: str, target_type: TargetType, target: UUID | None
    ) -> None:
        suppressed = self._throttle.admit(str(caller.principal.lineage))
        if suppressed is None:
            return
        row = AuditRow(
            category="admin",
            action=action,
            outcome="refused",
            code=problem.code,
            actor=caller.author.actor,
            tenant_id=_tenant(caller),
            target_type=target_type,
            target=None if target is None else str(target),
            request_id=request_id.get(),
            ip=caller.ip,
            suppressed=suppressed,
        )
        await self._keep(row)

    async def _keep(self, row: AuditRow) -> None:
        set_timeout(RECORD_TIMEOUT)
        try:
            await self._store.record([row])
        except Exception:  # whatever it was: a refusal must stay a refusal
            facts = {"actor": row.actor, "action": row.action, "code": row.code, "target": row.target}
            log.exception("a refusal is not on record", extra=facts)


def _tenant(caller: Caller) -> UUID | None:
    """The tenant whose log shows it: a data key's own, whatever it reached for; none, for an admin key."""
    return caller.principal.tenant_id if caller.principal.kind == "data" else None
