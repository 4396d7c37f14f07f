"""A service in this process: no HTTP between it and the gateway."""

import asyncio
import contextvars
import logging
from collections.abc import Awaitable, Coroutine
from typing import Any, Self
from urllib.parse import unquote

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from draftstore_common.kit.app import Service
from draftstore_common.kit.direct import Asked
from draftstore_common.kit.errors import Problem
from draftstore_common.kit.origin import Origin
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
        await asyncio.create_task(self._answer(request, receive, send), context=contextvars.Context())

    def _answer(self, request: Forwarded, receive: Receive, send: Send) -> Coroutine[Any, Any, None]:
        scope = _scope(request)
        match self._app:
            case Service() as app if found := app.find(request.method, scope["path"]):
                asked = Asked.over_asgi(scope, receive)
                return _direct(app.answer(found, asked, Origin.here(asked.fields)), scope, receive, send)
            case app:
                return _run(app, scope, receive, send)


async def _direct(answer: Awaitable[Response], scope: Scope, receive: Receive, send: Send) -> None:
    response = await answer
    await response(scope, receive, send)


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
