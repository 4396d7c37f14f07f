"""Starts a gateway on a real socket, with an echoing service behind it and a small identity beside it."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from draftstore_common.clients.transport import AsgiTransport
from draftstore_common.contracts.identity import Audience, Scope
from draftstore_gateway.app import create_app
from draftstore_gateway.routes import ROUTES, Route
from draftstore_gateway.settings import GatewaySettings
from draftstore_gateway.upstreams import AsgiUpstream, HttpUpstream, Upstream
from support.gateway import SERVICE_KEY, EchoService, KnownKey, SmallIdentity
from support.plain_http import NO_TLS
from support.streams import STREAMED
from support.uvicorn_server import served


@dataclass(frozen=True)
class Running:
    """A gateway that serves, and what stands around it."""

    port: int
    client: httpx.AsyncClient
    identity: SmallIdentity
    service: EchoService

    def headers(self, *scopes: Scope) -> dict[str, str]:
        """Headers that carry a fresh key."""
        return bearer(self.identity.issue(*scopes))


def bearer(key: KnownKey) -> dict[str, str]:
    """Headers that carry this key."""
    return {"authorization": f"Bearer {key.secret}"}


@asynccontextmanager
async def running_gateway(
    *,
    in_process: bool = False,
    identity: SmallIdentity | None = None,
    upstream: Upstream | None = None,
    routes: Sequence[Route] = (),
    **settings: Any,
) -> AsyncIterator[Running]:
    """A gateway with these settings, until the block ends; `routes` beside its own, `upstream` instead of the echo."""
    identity = identity or SmallIdentity()
    service = EchoService()
    async with AsyncExitStack() as stack:
        if upstream is None and not in_process:
            upstream = HttpUpstream(f"http://127.0.0.1:{await stack.enter_async_context(served(service))}")
        app = create_app(
            GatewaySettings(service_key=SERVICE_KEY, **settings),
            identity=AsgiTransport(identity.app),
            upstreams={Audience.DRAFTS: upstream or AsgiUpstream(service), Audience.IDENTITY: AsgiUpstream(service)},
            routes=(*ROUTES, *STREAMED, *routes),
        )
        port = await stack.enter_async_context(served(app))
        client = httpx.AsyncClient(verify=NO_TLS, base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=30)
        await stack.enter_async_context(client)
        yield Running(port, client, identity, service)
