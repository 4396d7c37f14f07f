"""Run one application on uvicorn, the same way for every service."""

import asyncio
import contextlib
import socket
import sys
from collections.abc import Coroutine
from typing import Any, NoReturn

import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from draftstore_common.kit.errors import CannotStart, Problem, Unavailable
from draftstore_common.kit.protocol import StrictHttpProtocol


def server_config(app: ASGIApp, *, host: str, port: int, grace: int) -> uvicorn.Config:
    """How every service is served: logging is ours, requests under way get `grace` seconds at shutdown."""
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        loop="uvloop",
        http=StrictHttpProtocol,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=grace,
        timeout_keep_alive=75,
    )


def serve(app: ASGIApp, *, host: str, port: int, grace: int) -> None:
    """Serve until SIGTERM or SIGINT, then drain and return; a start that fails exits with status 2 and one line."""
    start = Start(app)
    with contextlib.suppress(SystemExit):  # uvicorn's own way out when the start failed
        EndingServer(server_config(start, host=host, port=port, grace=grace)).run()
    if start.failure is not None:
        _exit(start.failure)


ENDING = "ending"
"""In the lifespan's state, which every request sees: an event, set when the server waits for requests to end.

What waits for something else to happen, a long poll say, answers then: it would hold up the end for as long.
"""


class EndingServer(uvicorn.Server):
    """Tells requests under way that the server ends, then waits for them as uvicorn does."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.lifespan.state[ENDING].set()
        await super().shutdown(sockets)


class Start:
    """Pure ASGI: remembers why the application did not start, and keeps its traceback out of the server's log."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.failure: Exception | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await self._app(scope, receive, send)
            return

        scope["state"][ENDING] = asyncio.Event()

        async def quietly(message: Message) -> None:
            await send({**message, "message": ""} if message["type"] == "lifespan.startup.failed" else message)

        try:
            await self._app(scope, receive, quietly)
        except Exception as error:
            self.failure = error
            raise


def _exit(error: Exception) -> NoReturn:
    if not isinstance(error, CannotStart | Problem):
        raise error
    sys.stderr.write(f"Cannot start: {error}\n")
    raise SystemExit(2) from None


def run_or_exit(work: Coroutine[Any, Any, None]) -> None:
    """Run to the end what comes before serving; exit with status 2 and one line on stderr if it cannot be done."""
    try:
        asyncio.run(work)
    except (CannotStart, Unavailable) as error:
        _exit(error)
