"""From the rows to a bucket: are the bytes there that must be? Asked by HEAD: a listing hides what it likes."""

from uuid import UUID

from draftstore_cleaner.reconcile.findings import Finding
from draftstore_cleaner.reconcile.judging import judge_bytes
from draftstore_cleaner.reconcile.looking import Step, View, for_each
from draftstore_common.contracts.base import BucketRole
from draftstore_common.contracts.reconcile import ListOwed, OwedBytes, PassName

_PASSES: dict[BucketRole, PassName] = {"draft": "drafts", "main": "objects"}


class RowPass:
    """Walks through the rows whose bytes must be in one bucket."""

    def __init__(self, role: BucketRole, view: View) -> None:
        self.name: PassName = _PASSES[role]
        self._role = role
        self._view = view

    async def page(self, position: str, limit: int) -> Step:
        """Look for the bytes of the next rows, which follow an id."""
        request = ListOwed(role=self._role, after=UUID(position) if position else None, limit=limit)
        rows = (await self._view.rows.list_owed(request)).items
        await for_each(rows, self._look)
        return Step(len(rows), str(rows[-1].id) if rows else position, not rows)

    async def _look(self, owed: OwedBytes) -> None:
        found = await self._view.head(self._role, owed.key)
        judgement = judge_bytes(self._role, owed, found)
        if judgement is None or not await self._still_owed(owed):
            return
        finding = Finding(
            finding=judgement.finding,
            role=self._role,
            key=owed.key,
            draft_id=owed.draft_id,
            object_name=owed.object_name,
            size=owed.size,
            action="reported",
            reason=judgement.reason,
        )
        self._view.tell(finding)

    async def _still_owed(self, owed: OwedBytes) -> bool:
        """Whether a row still wants these bytes. It lets go of them before anybody deletes them, and for ever."""
        (said,) = await self._view.attribute(self._role, [owed.key])
        return said.draft_state in {"uploaded", "prepared"} or said.object_name is not None
