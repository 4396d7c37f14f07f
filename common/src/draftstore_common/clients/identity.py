"""The typed client of identity, and the public keys every service checks tokens with."""

import json
from collections.abc import Mapping
from typing import Any

from draftstore_common.clients.base import ServiceClient
from draftstore_common.clients.transport import Call, ServiceUnavailable, Transport
from draftstore_common.contracts.audit import AccessEvents
from draftstore_common.contracts.identity import Audience, Changes, ChangesRequest, Verdict, VerifyRequest
from draftstore_common.kit.tokens import FetchJwks


class IdentityClient(ServiceClient):
    """Verification of API keys, the feed of what changes about them, and the record of accesses."""

    audience = Audience.IDENTITY

    async def verify(self, request: VerifyRequest) -> Verdict:
        """Who a secret belongs to; raises the 401 problem that fits when it opens nothing."""
        return await self._ask("/internal/verify", request, Verdict)

    async def changes(self, request: ChangesRequest) -> Changes:
        """What changed about keys and tenants since; waits for a change if there is none (long poll)."""
        return await self._ask("/internal/changes", request, Changes)

    async def record(self, request: AccessEvents) -> None:
        """Keep accesses in the audit log. When this returns, they are durable; sent again, they are kept once."""
        await self._tell("/internal/access-events", request)


def jwks_fetcher(identity: Transport) -> FetchJwks:
    """A function that fetches identity's public keys (RFC 7517)."""

    async def fetch() -> Mapping[str, Any]:
        reply = await identity.send(Call("GET", "/.well-known/jwks.json"))
        if reply.status != 200:
            raise ServiceUnavailable
        document: Mapping[str, Any] = json.loads(reply.body)
        return document

    return fetch
