"""Leak reports: whoever found a secret can end it, because whoever found it could also use it."""

import logging
from collections.abc import Iterable

from draftstore_common.contracts import api_keys
from draftstore_identity.author import Author
from draftstore_identity.secret import digest
from draftstore_identity.store import IdentityStore

log = logging.getLogger(__name__)

REASON = "leak_report"


class LeakService:
    """Ends keys that were found where they should not be."""

    def __init__(self, store: IdentityStore) -> None:
        self._store = store

    async def revoke(self, author: Author, secrets: Iterable[str]) -> None:
        """Revoke all keys with these secrets, admin keys included. What is nobody's secret is passed over."""
        digests = {digest(secret) for secret in secrets if api_keys.is_well_formed(secret)}
        if not await self._any_living(digests):
            return
        async with self._store.change(author) as change:
            revoked = [await change.keys.revoke(key.id, reason=REASON) for key in await change.keys.living(digests)]
        for key in revoked:
            log.warning("leaked key revoked", extra={"key_id": str(key.id), "tenant_id": str(key.tenant_id)})

    async def _any_living(self, digests: set[bytes]) -> bool:
        """Asked first, without the lock: reports of nothing must not make those wait who change something."""
        async with self._store.read() as reader:
            return bool(digests) and bool(await reader.keys.living(digests))
