"""Service tokens: a service proves who it is with its service key, once per audience and lifetime."""

import asyncio
from datetime import timedelta
from typing import Protocol

from draftstore_common.clients.transport import Call, Transport
from draftstore_common.contracts.identity import Audience, ServiceToken, ServiceTokenRequest
from draftstore_common.kit.clock import Clock, utc_now
from draftstore_common.kit.errors import RelayedProblem

RENEW_BEFORE = timedelta(seconds=30)


class TokenSource(Protocol):
    """Gives a token that one service will accept now."""

    async def token(self, audience: Audience) -> str: ...


class ServiceTokens:
    """Fetches tokens from identity and keeps each until shortly before it expires. One fetch serves all waiters."""

    def __init__(self, identity: Transport, service_key: str, *, clock: Clock = utc_now) -> None:
        self._identity = identity
        self._service_key = service_key
        self._clock = clock
        self._tokens: dict[Audience, ServiceToken] = {}
        self._flights: dict[Audience, asyncio.Lock] = {audience: asyncio.Lock() for audience in Audience}

    async def token(self, audience: Audience) -> str:
        """A token with at least half a minute left to live."""
        if self._stale(audience):
            async with self._flights[audience]:
                if self._stale(audience):
                    self._tokens[audience] = await self._fetch(audience)
        return self._tokens[audience].token

    def _stale(self, audience: Audience) -> bool:
        held = self._tokens.get(audience)
        return held is None or held.expires_at - RENEW_BEFORE <= self._clock()

    async def _fetch(self, audience: Audience) -> ServiceToken:
        body = ServiceTokenRequest(audience=audience).model_dump_json().encode()
        headers = {"authorization": f"Bearer {self._service_key}", "content-type": "application/json"}
        reply = await self._identity.send(Call("POST", "/internal/service-token", body, headers))
        if reply.status != 200:
            raise RelayedProblem.parse(reply.status, reply.body, reply.headers.get("retry-after"))
        return ServiceToken.model_validate_json(reply.body)
