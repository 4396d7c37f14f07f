"""The typed client of what metadata-service knows for a reconcile."""

from draftstore_common.clients.base import ServiceClient
from draftstore_common.contracts import reconcile as wire
from draftstore_common.contracts.base import Request
from draftstore_common.contracts.identity import Audience


class ReconcileClient(ServiceClient):
    """Rows seen from the buckets, and how far a reconcile has come."""

    audience = Audience.METADATA

    async def attribute(self, request: wire.AttributeKeys) -> wire.Attributions:
        """What the rows say of keys."""
        return await self._ask("/internal/reconcile/attribute", request, wire.Attributions)

    async def list_owed(self, request: wire.ListOwed) -> wire.OwedPage:
        """A page of rows whose bytes must be there."""
        return await self._ask("/internal/reconcile/owed", request, wire.OwedPage)

    async def cursors(self) -> wire.ReconcileCursors:
        """Where every pass stands."""
        return await self._ask("/internal/reconcile/cursors", Request(), wire.ReconcileCursors)

    async def begin_round(self) -> wire.ReconcileCursors:
        """Set every cursor to the beginning; a reconcile that is at work elsewhere stops."""
        return await self._ask("/internal/reconcile/cursors/begin", Request(), wire.ReconcileCursors)

    async def move_cursor(self, request: wire.MoveCursor) -> None:
        """Store how far a pass has come; `reconcile_elsewhere` (409) if another one moved the cursor meanwhile."""
        await self._tell("/internal/reconcile/cursors/move", request)
