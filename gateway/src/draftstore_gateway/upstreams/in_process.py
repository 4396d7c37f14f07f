"""A service in this process: no HTTP between it and the gateway."""

import asyncio
import contextvars
import logging
from typing import Self
from urllib.parse import unquote

from starlette.types import ASGIApp, Receive, Scope, Send

from draftstore_common.kit.errors import Problem
from draftstore_gateway.patience import Patience
from draftstore_gateway.upstreams.base import Forwarded

log = logging.getLogger(__name__)


class AsgiUpstream:
    """A service in this process. Each request is a task with its own context variables, as a server would run it.

    Its lifespan is run elsewhere, once (`AsgiLifespan`).
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    async def forward(self, request: Forwarded, receive: Receive, send: Send, _: Patience) -> None:
        """As `Upstream.forward`; the application is told when the client leaves, and stopped if we are."""
        task = asyncio.create_task(_run(self._app, _scope(request), receive, send), context=contextvars.Context())
        await task


async def _run(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    try:
        await app(scope, receive, send)
    except Exception as error:
        log.exception("application crashed in process")
        raise Problem from error


def _scope(request: Forwarded) -> Scope:
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": "http",
        "path": unquote(request.raw_path.decode("ascii")),
        "raw_path": request.raw_path,
        "query_string": request.query,
        "root_path": "",
        "headers": [*request.headers_now(), (b"host", b"in-process")],
        "client": ("127.0.0.1", 0),
        "server": ("in-process", 0),
        "state": {},
    }
