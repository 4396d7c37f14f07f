"""A service in this process: no HTTP between it and the gateway."""

import asyncio
import contextvars
import logging
from collections.abc import Coroutine
from typing import Any, Self
from urllib.parse import unquote

from starlette.types import ASGIApp, Receive, Scope, Send

from draftstore_common.kit.app import Service
from draftstore_common.kit.direct import Asked, by_name
from draftstore_common.kit.errors import Problem
from draftstore_common.kit.origin import Origin
from draftstore_common.kit.patience import Patience
from draftstore_common.kit.table import Found
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
        await asyncio.create_task(self._answer(request, receive, send), context=contextvars.Context())

    def _answer(self, request: Forwarded, receive: Receive, send: Send) -> Coroutine[Any, Any, None]:
        path = unquote(request.raw_path.decode("ascii"))
        match self._app:
            case Service() as app if found := app.find(request.method, path):
                scope = {"type": "http", "method": request.method, "path": path, "query_string": request.query}
                asked = Asked(scope, by_name(request.headers), None, receive)
                return _direct(app, found, asked, Origin.here(asked.fields), send)
            case app:
                return _run(app, _scope(request, path), receive, send)


async def _direct(app: Service, found: Found, asked: Asked, origin: Origin, send: Send) -> None:
    response = await app.answer(found, asked, origin)
    await response(asked.scope, asked.receive, send)


async def _run(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    try:
        await app(scope, receive, send)
    except Exception as error:
        log.exception("application crashed in process")
        raise Problem from error


def _scope(request: Forwarded, path: str) -> Scope:
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": "http",
        "path": path,
        "raw_path": request.raw_path,
        "query_string": request.query,
        "root_path": "",
        "headers": [*request.headers_now(), (b"host", b"in-process")],
        "client": ("127.0.0.1", 0),
        "server": ("in-process", 0),
        "state": {},
    }
