"""The gateway as one ASGI application: operations answered here, everything else through the pipeline."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from draftstore_common.clients.identity import IdentityClient
from draftstore_common.clients.service_tokens import ServiceTokens
from draftstore_common.clients.transport import Transport, alive
from draftstore_common.contracts.identity import Audience
from draftstore_common.kit.app import Check, ProblemResponse, service_app
from draftstore_common.kit.context import REQUEST_ID_HEADER, new_request_id, request_id
from draftstore_common.kit.errors import Problem
from draftstore_gateway.address import ClientAddress
from draftstore_gateway.admission import Admission
from draftstore_gateway.documents import INTRODUCTION, PublicDocument
from draftstore_gateway.limits import Limiter, parse_limits
from draftstore_gateway.pipeline import Pipeline
from draftstore_gateway.routes import ROUTES, Route, RouteTable
from draftstore_gateway.settings import GatewaySettings
from draftstore_gateway.upstreams import SmallCalls, Upstream
from draftstore_gateway.verdicts import Verdicts

_OPERATIONS = frozenset({"/health", "/health/live", "/health/ready", "/docs", "/docs/oauth2-redirect", "/openapi.json"})


class Gateway:
    """Gives every request its id, and sends it to where it is answered."""

    def __init__(self, operations: FastAPI, document: PublicDocument, pipeline: Pipeline) -> None:
        self._operations = operations
        self._document = document
        self._pipeline = pipeline

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        match scope["type"]:
            case "lifespan":
                await self._operations(scope, receive, send)
            case "http":
                request_id.set(new_request_id())
                await self._answer(scope, receive, send)
            case _:
                await send({"type": "websocket.close", "code": 1008})

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
    limiter = Limiter(settings.redis_url.get_secret_value() if settings.redis_url else None)
    table = RouteTable(routes)
    pipeline = Pipeline(
        routes=table,
        addresses=ClientAddress(settings.trusted_proxies),
        verdicts=Verdicts(IdentityClient(identity, tokens)),
        admission=Admission(
            limiter,
            per_address=parse_limits(settings.rate_limit_per_ip),
            per_key=parse_limits(settings.rate_limit_per_key),
        ),
        upstreams=upstreams,
    )
    services = {audience: SmallCalls(upstream) for audience, upstream in upstreams.items()}
    operations = _operations([limiter, identity, *upstreams.values()], _checks(tokens, services))
    return Gateway(operations, PublicDocument(services, operations.openapi(), table), pipeline)


def _operations(resources: Sequence[Limiter | Transport | Upstream], checks: Mapping[str, Check]) -> FastAPI:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.ready_checks = checks
        async with AsyncExitStack() as stack:
            for resource in resources:
                await stack.enter_async_context(resource)
            yield

    return service_app("DraftStore", lifespan=lifespan, routers=[], description=INTRODUCTION)


def _checks(tokens: ServiceTokens, services: Mapping[Audience, Transport]) -> dict[str, Check]:
    async def credential() -> None:
        await tokens.token(Audience.IDENTITY)

    return {"credential": credential} | {audience.value: alive(service) for audience, service in services.items()}
