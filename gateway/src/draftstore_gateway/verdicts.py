"""Who calls: the API key of a request, judged by identity, remembered for a moment (`verdict_cache`).

Refusals are not remembered at all.
"""

import hashlib
import logging
from collections.abc import Sequence
from functools import partial

from draftstore_common.clients.identity import IdentityClient
from draftstore_common.clients.service_tokens import ServiceMisconfigured, TokenSource
from draftstore_common.clients.transport import ServiceUnavailable
from draftstore_common.contracts.api_keys import allows, is_well_formed
from draftstore_common.contracts.identity import Audience, Verdict, VerifyRequest
from draftstore_common.kit.context import request_id
from draftstore_common.kit.errors import Problem, RelayedProblem, chain
from draftstore_common.kit.flight import SingleFlight
from draftstore_gateway.errors import AddressNotAllowed, ApiKeyMalformed, ApiKeyMissing, VerificationFailed
from draftstore_gateway.verdict_cache import VERIFY_TIMEOUT, Judged, SecretKey, VerdictCache

log = logging.getLogger(__name__)

ATTEMPTS = 3
"""How often identity is asked for one request, when changes overtake its answers."""

_BEARER = b"Bearer "


def bearer_secret(authorization: Sequence[str]) -> str:
    """The secret of `Authorization: Bearer <key>`; raises `ApiKeyMissing` or `ApiKeyMalformed`."""
    if not authorization:
        raise ApiKeyMissing
    scheme, _, secret = authorization[0].partition(" ")
    if scheme.lower() != "bearer" or not is_well_formed(secret.strip()):
        raise ApiKeyMalformed
    return secret.strip()


class Verdicts:
    """Asks identity about secrets: once for all who wait with the same one, from the same address."""

    def __init__(self, identity: IdentityClient, tokens: TokenSource, cache: VerdictCache) -> None:
        """`tokens` are the gateway's own, for what it does in nobody's name."""
        self._identity = identity
        self._tokens = tokens
        self._cache = cache
        self._flights: dict[tuple[SecretKey, str], SingleFlight[Judged]] = {}

    def knows(self, secret: str) -> bool:
        """Whether identity took this secret when it was last asked, however long ago and for whichever service."""
        return self._cache.knows(_digest(secret))

    def held(self, authorization: bytes, audience: Audience, client: str) -> Verdict | None:
        """The verdict to use without asking, for a header `Bearer <key>`; None for whatever else it may be.

        A key whose verdict is held has the form of one: that is not looked at again.
        """
        if not authorization.startswith(_BEARER):
            return None
        verdict = self._cache.get((hashlib.sha256(authorization[len(_BEARER) :]).digest(), audience))
        return verdict if verdict is not None and (not verdict.cidrs or allows(verdict.cidrs, client)) else None

    async def verdict(self, secret: str, audience: Audience, client: str) -> Verdict:
        """Who this is, with a token for `audience`.

        Raises identity's refusal (401, 403), `AddressNotAllowed`, or `Unavailable` when nobody can be judged.
        """
        key = (_digest(secret), audience)
        verdict = self._cache.get(key) or await self._ask(key, secret, client)
        if not allows(verdict.cidrs, client):
            raise AddressNotAllowed
        return verdict

    async def own_token(self, audience: Audience) -> str:
        """A token by which a service knows the gateway itself; raises `Unavailable` where there is none."""
        try:
            return await self._tokens.token(audience)
        except ServiceMisconfigured as error:
            raise _failed(error) from error

    async def _ask(self, key: SecretKey, secret: str, client: str) -> Verdict:
        for _ in range(ATTEMPTS):
            judged = await self._answer(key, secret, client)
            if self._cache.usable(judged):
                return judged.verdict
        raise ServiceUnavailable

    async def _answer(self, key: SecretKey, secret: str, client: str) -> Judged:
        flight = self._flights.get((key, client))
        if flight is None:
            request = VerifyRequest(secret=secret, audience=key[1], client_ip=client)
            flight = SingleFlight(partial(self._judge, key, request, request_id.get()), timeout=VERIFY_TIMEOUT)
            self._flights[key, client] = flight
            flight.start().add_done_callback(lambda _: self._flights.pop((key, client)))
        try:
            return await flight.wait()
        except TimeoutError as error:
            raise ServiceUnavailable from error

    async def _judge(self, key: SecretKey, request: VerifyRequest, asked_by: str) -> Judged:
        request_id.set(asked_by)  # in identity's log, the question belongs to the request that began it
        question = self._cache.begin()
        try:
            judged = Judged(await self._verify(request), question)
        except Problem as problem:
            if refuses_key(problem):
                self._cache.forget(key[0])
            raise
        if self._cache.usable(judged):
            self._cache.put(key, judged)
        return judged

    async def _verify(self, request: VerifyRequest) -> Verdict:
        try:
            return await self._identity.verify(request)
        except ServiceMisconfigured as error:
            raise _failed(error) from error
        except RelayedProblem as error:
            if refuses_key(error) or error.http_status == 503:
                raise
            raise _failed(error) from error


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def refuses_key(problem: Problem) -> bool:
    """Whether the problem is about the caller's key, and not about ours or the weather."""
    return problem.http_status in {401, 403}


def _failed(error: Problem) -> VerificationFailed:
    log.error("identity does not serve the gateway", extra={"status": error.http_status, "causes": chain(error)})
    return VerificationFailed()
