"""Service tokens: a service proves who it is with its service key, once per audience and lifetime."""

import logging
from datetime import timedelta
from functools import partial
from typing import Protocol

from draftstore_common.clients.transport import Call, ServiceUnavailable, Transport
from draftstore_common.contracts.identity import Audience, ServiceToken, ServiceTokenRequest
from draftstore_common.kit.clock import Clock, utc_now
from draftstore_common.kit.errors import Problem, RelayedProblem
from draftstore_common.kit.flight import SingleFlight

log = logging.getLogger(__name__)

RENEW_BEFORE = timedelta(seconds=60)
USABLE = timedelta(seconds=5)
"""A token is renewed beside its use when less than the first is left, and not used when less than the second is."""

FETCH_TIMEOUT = 5.0

_NOTHING = timedelta()


class ServiceMisconfigured(Problem):
    """One of our services does not accept another: a wrong SERVICE_KEY, SERVICE_KEYS or URL."""

    code = "service_misconfigured"
    title = "The installation is misconfigured"
    detail = "A part of this installation does not accept another. Report the request id to whoever runs it."


class TokenSource(Protocol):
    """Gives a token that one service will accept now; a token it refused all the same is to be forgotten."""

    async def token(self, audience: Audience) -> str: ...

    def forget(self, audience: Audience, token: str) -> None: ...


class ServiceTokens:
    """Fetches tokens from identity and keeps each for its lifetime, renewing it before it ends.

    One fetch serves all who wait. While identity is away, a token that still lives goes on serving.
    """

    def __init__(self, identity: Transport, service_key: str, *, clock: Clock = utc_now) -> None:
        self._identity = identity
        self._service_key = service_key
        self._clock = clock
        self._tokens: dict[Audience, ServiceToken] = {}
        self._flights = {
            audience: SingleFlight(partial(self._fetch, audience), timeout=FETCH_TIMEOUT) for audience in Audience
        }

    async def token(self, audience: Audience) -> str:
        """A token that lives; raises `ServiceMisconfigured` if identity does not know our key."""
        left = self._left(audience)
        if left <= USABLE:
            await self._flights[audience].wait()
        elif left <= RENEW_BEFORE:
            self._flights[audience].start()
        held = self._tokens.get(audience)
        if held is None:  # refused to somebody else between its arrival and our turn
            raise ServiceUnavailable
        return held.token

    def forget(self, audience: Audience, token: str) -> None:
        """Ask for another token next time: this one was refused, because its signing key was withdrawn, say."""
        held = self._tokens.get(audience)
        if held is not None and held.token == token:
            del self._tokens[audience]

    def _left(self, audience: Audience) -> timedelta:
        held = self._tokens.get(audience)
        return _NOTHING if held is None else held.expires_at - self._clock()

    async def _fetch(self, audience: Audience) -> None:
        body = ServiceTokenRequest(audience=audience).model_dump_json().encode()
        headers = {"authorization": f"Bearer {self._service_key}", "content-type": "application/json"}
        reply = await self._identity.send(Call("POST", "/internal/service-token", body, headers))
        if reply.status == 200:
            self._tokens[audience] = ServiceToken.model_validate_json(reply.body)
            return
        problem = RelayedProblem.parse(reply.status, reply.body, reply.headers.get("retry-after"))
        if reply.status < 500:
            log.error("identity refuses this service's key", extra={"code": problem.code})
            raise ServiceMisconfigured from problem
        raise problem
