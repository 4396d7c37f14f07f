"""The event feed as callers see it."""

from uuid import UUID

from draftstore_common.clients.metadata import MetadataClient
from draftstore_common.contracts.drafts import EventPage
from draftstore_common.contracts.identity import Principal
from draftstore_common.contracts.metadata import DraftRef, ListEvents
from draftstore_common.problems import DraftNotFound
from draftstore_drafts.domain import may_touch


class EventService:
    """What happened to the caller's drafts and objects, in the order it was committed; nothing is ever skipped.

    A key with name prefixes sees the events of its names.
    """

    def __init__(self, metadata: MetadataClient) -> None:
        self._metadata = metadata

    async def feed(self, principal: Principal, after: str | None, limit: int) -> EventPage:
        """Everything after a place; ask again from `next_cursor` for what comes later."""
        return await self._list(
            ListEvents(
                tenant_id=principal.tenant_id,
                name_prefixes=list(principal.name_prefixes),
                cursor=after,
                limit=limit,
            )
        )

    async def of_draft(self, principal: Principal, draft_id: UUID, cursor: str | None, limit: int) -> EventPage:
        """The events of one draft."""
        draft = await self._metadata.get_draft(DraftRef(tenant_id=principal.tenant_id, draft_id=draft_id))
        if not may_touch(principal, draft.object_name):
            raise DraftNotFound
        return await self._list(
            ListEvents(tenant_id=principal.tenant_id, draft_id=draft_id, cursor=cursor, limit=limit)
        )

    async def _list(self, query: ListEvents) -> EventPage:
        records = await self._metadata.list_events(query)
        return EventPage(items=records.items, next_cursor=records.next_cursor)
