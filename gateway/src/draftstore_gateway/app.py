"""The gateway as one ASGI application: operations answered here, everything else through the pipeline."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

from fastapi import APIRouter, FastAPI
from prometheus_client import CollectorRegistry
from starlette.types import ASGIApp, Receive, Scope, Send

from draftstore_common.clients.access_log import AccessLog
from draftstore_common.clients.identity import IdentityClient
from draftstore_common.clients.service_tokens import ServiceTokens
from draftstore_common.clients.transport import Transport, alive
from draftstore_common.contracts.identity import Audience
from draftstore_common.kit.app import Check, ProblemResponse, service_app
from draftstore_common.kit.context import REQUEST_ID_HEADER, new_request_id, request_id
from draftstore_common.kit.errors import Problem
from draftstore_common.kit.trace import TRACEPARENT, TRACESTATE, Trace, trace
from draftstore_gateway.address import ClientAddress
from draftstore_gateway.admission import Admission
from draftstore_gateway.concurrency import Concurrency
from draftstore_gateway.cors import Cors
from draftstore_gateway.documents import INTRODUCTION, PublicDocument
from draftstore_gateway.feed import ChangeFeed
from draftstore_gateway.limits import Limiter
from draftstore_gateway.metrics import LimiterMetrics, metrics_router
from draftstore_gateway.pipeline import Pipeline
from draftstore_gateway.refusals import Refusals
from draftstore_gateway.routes import ROUTES, Route, RouteTable
from draftstore_gateway.settings import GatewaySettings
from draftstore_gateway.shape import Pairs
from draftstore_gateway.upstreams import Shielded, SmallCalls, Upstream
from draftstore_gateway.verdict_cache import VerdictCache
from draftstore_gateway.verdicts import Verdicts
from draftstore_gateway.windows import parse_limits

_OPERATIONS = frozenset(
    {"/health", "/health/live", "/health/ready", "/metrics", "/docs", "/docs/oauth2-redirect", "/openapi.json"}
)

_PARENT, _STATE = TRACEPARENT.encode(), TRACESTATE.encode()


class Gateway:
    """Gives every request its id and its place in a trace, and sends it to where it is answered."""

    def __init__(
        self, operations: FastAPI, document: PublicDocument, pipeline: Pipeline, *, cors_origins: Collection[str]
    ) -> None:
        self._operations = operations
        self._document = document
        self._pipeline = pipeline
        self._http: ASGIApp = Cors(self._answer, cors_origins) if cors_origins else self._answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        match scope["type"]:
            case "lifespan":
                await self._operations(scope, receive, send)
            case "http":
                request_id.set(new_request_id())
                trace.set(_trace_of(scope["headers"]))
                await self._http(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] not in _OPERATIONS:
            await self._pipeline(scope, receive, send)
            return
        try:
            if scope["path"] == "/openapi.json":
                self._operations.openapi_schema = await self._document.current()
            await self._operations(_with_own_id(scope), receive, send)
        except Problem as problem:
            response = ProblemResponse(problem)
            response.headers[REQUEST_ID_HEADER] = request_id.get()
            await response(scope, receive, send)


def _trace_of(headers: Pairs) -> Trace:
    if _PARENT not in dict(headers):
        return Trace.begin()
    return Trace.adopt(_values(headers, _PARENT), _values(headers, _STATE))


def _values(headers: Pairs, name: bytes) -> list[str]:
    return [value.decode("latin-1") for header, value in headers if header == name]


def _with_own_id(scope: Scope) -> Scope:
    """The scope with our request id in place of whatever the client sent."""
    name = REQUEST_ID_HEADER.encode()
    others = [(header, value) for header, value in scope["headers"] if header != name]
    return {**scope, "headers": [*others, (name, request_id.get().encode())]}


def create_app(
    settings: GatewaySettings,
    *,
    identity: Transport,
    upstreams: Mapping[Audience, Upstream],
    routes: Sequence[Route] = ROUTES,
) -> ASGIApp:
    """The gateway over these services. Its lifespan enters the transport and the upstreams."""
    tokens = ServiceTokens(identity, settings.service_key.get_secret_value())
    client, cache, registry = IdentityClient(identity, tokens), VerdictCache(), CollectorRegistry()
    accesses = AccessLog(client)
    limiter, admission = _limits(settings, LimiterMetrics(registry))
    table = RouteTable(routes)
    pipeline = Pipeline(
        routes=table,
        addresses=ClientAddress(settings.trusted_proxies),
        verdicts=Verdicts(client, tokens, cache),
        admission=admission,
        upstreams={
            audience: Shielded(upstream, settings.upstream_concurrency) for audience, upstream in upstreams.items()
        },
        refusals=Refusals(accesses),
    )
    services = {audience: SmallCalls(upstream) for audience, upstream in upstreams.items()}
    resources: list[AbstractAsyncContextManager[object]] = [
        limiter,
        identity,
        ChangeFeed(client, cache),
        accesses,
        *upstreams.values(),
    ]
    operations = _operations(resources, _checks(tokens, services), [metrics_router(registry)])
    document = PublicDocument(services, operations.openapi(), table)
    return Gateway(operations, document, pipeline, cors_origins=settings.api_cors_origins)


def _limits(settings: GatewaySettings, metrics: LimiterMetrics) -> tuple[Limiter, Admission]:
    redis_url = settings.redis_url.get_secret_value() if settings.redis_url else None
    limiter = Limiter(redis_url, replicas=settings.gateway_replicas, metrics=metrics)
    return limiter, Admission(
        limiter,
        Concurrency(settings.max_concurrent_per_key, metrics),
        per_address=parse_limits(settings.rate_limit_per_ip),
        per_key=parse_limits(settings.rate_limit_per_key),
    )


def _operations(
    resources: Sequence[AbstractAsyncContextManager[object]],
    checks: Mapping[str, Check],
    routers: list[APIRouter],
) -> FastAPI:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.ready_checks = checks
        async with AsyncExitStack() as stack:
            for resource in resources:
                await stack.enter_async_context(resource)
            yield

    return service_app("DraftStore", lifespan=lifespan, routers=routers, description=INTRODUCTION)


def _checks(tokens: ServiceTokens, services: Mapping[Audience, Transport]) -> dict[str, Check]:
    async def credential() -> None:
        await tokens.token(Audience.IDENTITY)

    return {"credential": credential} | {audience.value: alive(service) for audience, service in services.items()}
