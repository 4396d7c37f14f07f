"""From a bucket to the rows: which keys does no row want?"""

from urllib.parse import quote, unquote

from draftstore_cleaner.reconcile.findings import Action, Finding
from draftstore_cleaner.reconcile.judging import Judgement, judge_key
from draftstore_cleaner.reconcile.looking import Step, View, for_each
from draftstore_common.contracts.base import BucketRole
from draftstore_common.contracts.reconcile import Attribution, PassName
from draftstore_common.contracts.storage import DeleteRequest, ListedObject, ListKeys

_PASSES: dict[BucketRole, PassName] = {"draft": "draft_bucket", "main": "main_bucket"}


class KeyPass:
    """Walks through the listing of one bucket."""

    def __init__(self, role: BucketRole, view: View) -> None:
        self.name: PassName = _PASSES[role]
        self._role = role
        self._view = view

    async def page(self, position: str, limit: int) -> Step:
        """Look at the next keys of the listing. Positions are quoted: PostgreSQL's text takes no NUL, a key might."""
        request = ListKeys(role=self._role, after=unquote(position), limit=limit)
        page = await self._view.storage.list_keys(request)
        if page.items:
            said = await self._view.attribute(self._role, [listed.key for listed in page.items])
            await for_each(zip(page.items, said, strict=True), self._look)
        further = position if page.next_after is None else quote(page.next_after)
        return Step(len(page.items), further, page.next_after is None)

    async def _look(self, pair: tuple[ListedObject, Attribution]) -> None:
        listed, said = pair
        age = self._view.rules.age(listed.last_modified)
        judgement = judge_key(self._role, said, age, self._view.rules)
        if judgement is None:
            return
        action, reason = await self._settle(listed, judgement)
        finding = Finding(
            finding=judgement.finding,
            role=self._role,
            key=listed.key,
            draft_id=said.draft_id,
            object_name=said.object_name,
            size=listed.size,
            age_seconds=int(age.total_seconds()),
            action=action,
            reason=reason,
        )
        self._view.tell(finding)

    async def _settle(self, listed: ListedObject, judgement: Judgement) -> tuple[Action, str]:
        """Delete what may be deleted; what was done, and why."""
        if not judgement.delete:
            return "reported", judgement.reason
        if self._view.dry_run:
            return "would delete", judgement.reason
        objection = await self._objection(listed, judgement)
        if objection is not None:
            return "left", objection
        answer = await self._view.storage.delete(DeleteRequest(role=self._role, keys=[listed.key]))
        if answer.failures:
            return "left", f"the store would not delete it: {answer.failures[0].reason}"
        return "deleted", judgement.reason

    async def _objection(self, listed: ListedObject, judgement: Judgement) -> str | None:
        """What speaks against deleting, by another look at bytes and row: the listing may be old."""
        found = await self._view.head(self._role, listed.key)
        if found is None:
            return "it was gone already"
        if (found.size, found.etag) != (listed.size, listed.etag):
            return "other bytes came after it was listed"
        (said,) = await self._view.attribute(self._role, [listed.key])
        age = self._view.rules.age(found.last_modified)
        if judge_key(self._role, said, age, self._view.rules) != judgement:
            return "its row or its age changed after it was listed"
        return None
