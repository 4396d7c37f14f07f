"""The way of a request through the gateway, cheapest check first.

shape → route → size → key → address → verdict → place → limits → scope → body → forward. What fails early costs little,
and nothing behind the gateway hears of it.
"""

import logging
import time
from collections.abc import Mapping
from functools import partial
from typing import NoReturn

from starlette.types import Receive, Scope, Send

from draftstore_common.access import ScopeMissing, WrongKeyKind
from draftstore_common.clients.transport import ServiceUnavailable
from draftstore_common.contracts.identity import Audience, Principal, Verdict
from draftstore_common.kit.context import DEFAULT_TIMEOUT, remaining, request_id, set_timeout
from draftstore_common.kit.errors import Problem, chain
from draftstore_common.kit.logging import log_request
from draftstore_common.kit.patience import Looks, Patience, nothing
from draftstore_common.kit.trace import trace_headers
from draftstore_gateway.address import ClientAddress
from draftstore_gateway.admission import Admission
from draftstore_gateway.arrival import Arrival
from draftstore_gateway.errors import RequestTimeout
from draftstore_gateway.exchange import Answer, RequestBody
from draftstore_gateway.headers import for_service
from draftstore_gateway.refusals import Refusals
from draftstore_gateway.routes import Route, RouteTable
from draftstore_gateway.shape import LENGTH, check_coding, check_headers, check_path
from draftstore_gateway.upstreams import Forwarded, Upstream
from draftstore_gateway.verdicts import Verdicts, bearer_secret, refuses_key

log = logging.getLogger(__name__)

IDLE_TIMEOUT = 60.0
"""Seconds in which no byte may move, in either direction, before we give up."""

SLOW_BODY = 0.5
"""Seconds after which the key of a request is asked about again, once its body is here."""


class Exchange:
    """One request on its way through."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, client: str) -> None:
        self.method: str = scope["method"]
        self.raw_path: bytes = scope["raw_path"]
        self.path = self.raw_path.decode("ascii", "backslashreplace")
        """The path as it was sent, still percent-encoded."""
        self.query: bytes = scope["query_string"]
        self.headers: list[tuple[bytes, bytes]] = list(scope["headers"])
        self.fields = dict(self.headers)
        """The headers that `check_headers` lets be there once only, by their names."""
        self.http_version: str = scope["http_version"]
        self.client = client
        self.body = RequestBody(receive, self._declared_length())
        self.answer = Answer(send, self.body)
        self.principal: Principal | None = None
        self._began = time.monotonic()

    @property
    def age(self) -> float:
        """Seconds since it began."""
        return time.monotonic() - self._began

    def _declared_length(self) -> int | None:
        if b"transfer-encoding" in self.fields:
            return None
        length = self.fields.get(b"content-length")
        return int(length) if length is not None and LENGTH.fullmatch(length) else 0

    def log(self) -> None:
        """The access line: neither query nor headers, where secrets could be."""
        facts: dict[str, object] = {
            "method": self.method,
            "status": self.answer.status,
            "complete": self.answer.finished,
            "ms": round(self.age * 1000, 1),
            "client": self.client,
        }
        if self.principal is not None:
            facts["tenant_id"], facts["key_id"] = self.principal.tenant_id, self.principal.key_id
        log_request(log, self.path, facts)


class Pipeline:
    """Checks, charges and forwards the requests of the public API."""

    def __init__(
        self,
        *,
        routes: RouteTable,
        addresses: ClientAddress,
        verdicts: Verdicts,
        admission: Admission,
        upstreams: Mapping[Audience, Upstream],
        refusals: Refusals,
    ) -> None:
        self._routes = routes
        self._addresses = addresses
        self._verdicts = verdicts
        self._admission = admission
        self._upstreams = upstreams
        self._refusals = refusals
        self._looks = Looks()
        self._arrival = Arrival(self._looks)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request. An answer that broke off is left unfinished, so that the server cuts the line."""
        exchange = Exchange(scope, receive, send, self._client(scope))
        try:
            await self._serve(exchange)
        except Exception as error:
            self._refusals.note(
                error, method=exchange.method, path=exchange.path, client=exchange.client, who=exchange.principal
            )
            await _settle(exchange, error)
        else:
            if not exchange.answer.finished:
                await _settle(exchange, None)
        finally:  # a server that shuts down cancels us: what it cut off is logged too
            exchange.log()

    def _client(self, scope: Scope) -> str:
        peer = scope.get("client")
        claims = [value.decode("latin-1") for name, value in scope["headers"] if name == b"x-forwarded-for"]
        return self._addresses.find(peer[0] if peer else None, claims)

    async def _serve(self, exchange: Exchange) -> None:
        set_timeout(DEFAULT_TIMEOUT)
        check_headers(exchange.headers, http_version=exchange.http_version)
        check_path(exchange.raw_path, exchange.query)
        try:
            route = self._routes.find(exchange.method, exchange.path)
        except Problem as problem:
            await self._refuse_at_cost_of_address(exchange, problem)
        if route.deprecation is not None:
            exchange.answer.notices = route.deprecation.headers()
        exchange.body.allow(route.max_body)
        if route.max_body is not None and b"content-encoding" in exchange.fields and not exchange.body.empty:
            check_coding(exchange.headers)
        await (self._serve_anybody if route.anonymous else self._serve_key)(exchange, route)

    async def _serve_anybody(self, exchange: Exchange, route: Route) -> None:
        await self._admission.charge_address(exchange.answer, exchange.client)
        gone = await self._arrival.whole(exchange.body, route.max_body)
        try:
            await self._forward(exchange, route, await self._verdicts.own_token(route.audience))
        finally:
            gone()

    async def _serve_key(self, exchange: Exchange, route: Route) -> None:
        verdict = await self._verdict(exchange, route)
        exchange.principal = verdict.principal
        leave = exchange.answer.on_end = await self._admission.enter(exchange.answer, verdict)
        gone = nothing
        try:
            _check_power(route, verdict.principal)
            gone = await self._arrival.whole(exchange.body, route.max_body)
            if not exchange.body.empty and exchange.age > SLOW_BODY:  # while it came, its key may have been revoked
                verdict = await self._verdict(exchange, route)
                _check_power(route, verdict.principal)
            await self._forward(exchange, route, verdict.token)
        finally:
            gone()
            leave()

    async def _verdict(self, exchange: Exchange, route: Route) -> Verdict:
        authorization = exchange.fields.get(b"authorization")
        held = self._verdicts.held(authorization or b"", route.audience, exchange.client)
        if held is not None:
            return held
        try:
            secret = bearer_secret([] if authorization is None else [authorization.decode("latin-1")])
        except Problem as problem:
            await self._refuse_at_cost_of_address(exchange, problem)
        if self._verdicts.knows(secret):
            return await self._judged(exchange, secret, route.audience)
        # Keys made up by the thousand must not reach identity and its database from an address that has had its
        # share; a key that was good before goes on being asked about.
        async with self._admission.stranger(exchange.answer, exchange.client):
            return await self._judged(exchange, secret, route.audience)

    async def _judged(self, exchange: Exchange, secret: str, audience: Audience) -> Verdict:
        try:
            return await self._verdicts.verdict(secret, audience, exchange.client)
        except Problem as problem:
            if not refuses_key(problem):
                raise
            await self._refuse_at_cost_of_address(exchange, problem)

    async def _refuse_at_cost_of_address(self, exchange: Exchange, problem: Problem) -> NoReturn:
        await self._admission.charge_address(exchange.answer, exchange.client)
        raise problem

    async def _forward(self, exchange: Exchange, route: Route, token: str) -> None:
        if exchange.body.disconnected or exchange.body.refusal is not None:
            return
        streams = route.max_body is None
        request = Forwarded(
            exchange.method,
            exchange.raw_path,
            exchange.query,
            for_service(
                exchange.headers,
                token=token,
                request_id=request_id.get(),
                client=exchange.client,
                trace=trace_headers(),
            ),
            has_body=not exchange.body.empty,
            streams=streams,
        )
        # A JSON answer has to begin in time, anything streamed to move at all.
        with Patience(IDLE_TIMEOUT if streams else remaining(), self._looks) as patience:
            exchange.answer.on_progress = progress = partial(patience.renew, IDLE_TIMEOUT)
            if streams:
                exchange.body.on_progress = progress
            await self._upstreams[route.audience].forward(
                request, exchange.body.receive, exchange.answer.send, patience
            )


def _check_power(route: Route, principal: Principal) -> None:
    if route.scope is None:
        return
    if principal.kind != "data":
        raise WrongKeyKind("Use a data key: an admin key issues keys and reaches no data.")
    if route.scope not in principal.scopes:
        raise ScopeMissing(f"This key lacks the scope {route.scope}. Use a key that has it, or have one issued.")


async def _settle(exchange: Exchange, error: Exception | None) -> None:
    """Give the client a problem if it still waits for an answer; leave one that began as it is."""
    if exchange.answer.finished or exchange.body.disconnected:
        return
    if exchange.answer.status is not None:
        log.warning("answer left unfinished", extra={"causes": chain(error) if error else []})
        return
    problem = _problem(exchange.body, error)
    if problem.http_status >= 500:
        log.error("request failed", extra={"code": problem.code, "causes": chain(error) if error else []})
    await exchange.answer.refuse(problem)


def _problem(body: RequestBody, error: Exception | None) -> Problem:
    if body.refusal is not None:
        return body.refusal
    match error:
        case Problem():
            return error
        case TimeoutError():
            return ServiceUnavailable() if body.complete else RequestTimeout()
        case None:
            return Problem()
        case _:
            log.error("request crashed", exc_info=error)
            return Problem()
