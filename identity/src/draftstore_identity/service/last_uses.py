"""When keys were last used, by PostgreSQL's clock: collected in memory and written down now and then.

An identity that is killed loses what it collected in the last `FLUSH_INTERVAL` seconds; one that is stopped, nothing.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from uuid import UUID

from draftstore_common.kit.context import set_timeout
from draftstore_common.kit.errors import chain
from draftstore_identity.store import IdentityStore

log = logging.getLogger(__name__)

FLUSH_INTERVAL = 30.0
"""Seconds. With what a gateway remembers of a key, `last_used_at` is less than a minute behind."""

FLUSH_TIMEOUT = 10.0


class LastUses:
    """The latest use of each key that is not yet in its row."""

    def __init__(self, store: IdentityStore) -> None:
        self._store = store
        self._uses: dict[UUID, datetime] = {}

    def note(self, key_id: UUID, at: datetime) -> None:
        """A key was used."""
        self._uses[key_id] = max(at, self._uses.get(key_id, at))

    @asynccontextmanager
    async def written_down(self) -> AsyncIterator[None]:
        """Write uses down every so often until the block ends, and then what is left."""
        task = asyncio.create_task(self._keep_writing(), name="last uses")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await self._try_to_flush()

    async def _keep_writing(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_INTERVAL)
            await self._try_to_flush()

    async def _try_to_flush(self) -> None:
        set_timeout(FLUSH_TIMEOUT)
        try:
            await self._flush()
        except Exception as error:  # the database is away, say: what was collected waits for the next time
            log.warning("uses of keys not written down", extra={"keys": len(self._uses), "causes": chain(error)})

    async def _flush(self) -> None:
        taken, self._uses = self._uses, {}
        if not taken:
            return
        try:
            await self._store.note_uses(taken)
        except BaseException:  # being cancelled, too
            for key_id, at in taken.items():
                self.note(key_id, at)
            raise
