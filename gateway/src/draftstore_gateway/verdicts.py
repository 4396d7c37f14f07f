"""Who calls: the API key of a request, judged by identity, remembered for a moment.

A verdict is used for at most `VERDICT_TTL` seconds counted from before identity was asked, never longer, whatever
fails: so a revoked key works at most that long. Refusals are not remembered at all.
"""

import hashlib
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from draftstore_common.clients.identity import IdentityClient
from draftstore_common.clients.service_tokens import ServiceMisconfigured
from draftstore_common.clients.transport import ServiceUnavailable
from draftstore_common.contracts.api_keys import allows, is_well_formed
from draftstore_common.contracts.identity import Audience, Verdict, VerifyRequest
from draftstore_common.kit.context import request_id
from draftstore_common.kit.errors import Problem, RelayedProblem, chain
from draftstore_common.kit.flight import SingleFlight
from draftstore_gateway.address import Address
from draftstore_gateway.errors import AddressNotAllowed, ApiKeyMalformed, ApiKeyMissing, VerificationFailed

log = logging.getLogger(__name__)

VERDICT_TTL = 5.0
CAPACITY = 10_000
TOKEN_MARGIN = 10.0
"""Seconds a cached token must still live, so that it does not expire on its way."""

VERIFY_TIMEOUT = 5.0
"""Seconds identity has for one verdict, however long those who wait for it still have."""

_Key = tuple[bytes, Audience]


def bearer_secret(authorization: Sequence[str]) -> str:
    """The secret of `Authorization: Bearer <key>`; raises `ApiKeyMissing` or `ApiKeyMalformed`."""
    if not authorization:
        raise ApiKeyMissing
    scheme, _, secret = authorization[0].partition(" ")
    if scheme.lower() != "bearer" or not is_well_formed(secret.strip()):
        raise ApiKeyMalformed
    return secret.strip()


@dataclass(frozen=True, slots=True)
class _Held:
    verdict: Verdict
    asked_at: float

    def fresh(self) -> bool:
        if time.monotonic() - self.asked_at >= VERDICT_TTL:
            return False
        return self.verdict.token_expires_at.timestamp() - time.time() > TOKEN_MARGIN


class Verdicts:
    """Asks identity about secrets: once for all who wait with the same one, from the same address."""

    def __init__(self, identity: IdentityClient) -> None:
        self._identity = identity
        self._held: dict[_Key, _Held] = {}
        self._flights: dict[tuple[_Key, Address], SingleFlight[Verdict]] = {}

    def knows(self, secret: str, audience: Audience) -> bool:
        """Whether identity took this secret when it was last asked, however long ago that was."""
        return _key(secret, audience) in self._held

    async def verdict(self, secret: str, audience: Audience, client: Address) -> Verdict:
        """Who this is, with a token for `audience`.

        Raises identity's refusal (401, 403), `AddressNotAllowed`, or `Unavailable` when nobody can be judged.
        """
        key = _key(secret, audience)
        held = self._held.get(key)
        verdict = held.verdict if held and held.fresh() else await self._ask(key, secret, client)
        if not allows(verdict.cidrs, str(client)):
            raise AddressNotAllowed
        return verdict

    async def _ask(self, key: _Key, secret: str, client: Address) -> Verdict:
        flight = self._flights.get((key, client))
        if flight is None:
            request = VerifyRequest(secret=secret, audience=key[1], client_ip=str(client))
            flight = SingleFlight(partial(self._judge, key, request, request_id.get()), timeout=VERIFY_TIMEOUT)
            self._flights[key, client] = flight
            flight.start().add_done_callback(lambda _: self._flights.pop((key, client)))
        try:
            return await flight.wait()
        except TimeoutError as error:
            raise ServiceUnavailable from error

    async def _judge(self, key: _Key, request: VerifyRequest, asked_by: str) -> Verdict:
        request_id.set(asked_by)  # in identity's log, the question belongs to the request that began it
        asked_at = time.monotonic()
        try:
            verdict = await self._verify(request)
        except Problem as problem:
            if refuses_key(problem):
                self._held.pop(key, None)
            raise
        self._remember(key, _Held(verdict, asked_at))
        return verdict

    async def _verify(self, request: VerifyRequest) -> Verdict:
        try:
            return await self._identity.verify(request)
        except ServiceMisconfigured as error:
            raise _failed(error) from error
        except RelayedProblem as error:
            if refuses_key(error) or error.http_status == 503:
                raise
            raise _failed(error) from error

    def _remember(self, key: _Key, held: _Held) -> None:
        self._held.pop(key, None)
        if len(self._held) >= CAPACITY:
            self._held.pop(next(iter(self._held)))  # the oldest: entries are in the order they were asked for
        self._held[key] = held


def _key(secret: str, audience: Audience) -> _Key:
    return hashlib.sha256(secret.encode()).digest(), audience


def refuses_key(problem: Problem) -> bool:
    """Whether the problem is about the caller's key, and not about ours or the weather."""
    return problem.http_status in {401, 403}


def _failed(error: Problem) -> VerificationFailed:
    log.error("identity does not serve the gateway", extra={"status": error.http_status, "causes": chain(error)})
    return VerificationFailed()
