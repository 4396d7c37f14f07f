"""Run one application on uvicorn, the same way for every service."""

import asyncio
import contextlib
import gc
import signal
import socket
import sys
import time
from collections.abc import Coroutine, Iterator
from types import FrameType
from typing import Any, NoReturn

import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from draftstore_common.kit.context import DRAINING
from draftstore_common.kit.errors import CannotStart, Problem, Unavailable
from draftstore_common.kit.logging import flush
from draftstore_common.kit.protocol import StrictHttpProtocol
from draftstore_common.kit.settings import ServiceSettings

YOUNG_OBJECTS = 10_000
"""More containers made than freed, until the garbage collector looks for cycles among them."""

_TICK = 0.1
"""Seconds between two looks at a server that drains."""


def server_config(app: ASGIApp, *, host: str, port: int, grace: int) -> uvicorn.Config:
    """How every service is served: logging is ours, requests under way get `grace` seconds at shutdown."""
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        loop="uvloop",
        http=StrictHttpProtocol,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=grace,
        timeout_keep_alive=75,
    )


def serve(app: ASGIApp, settings: ServiceSettings, *, port: int) -> None:
    """Serve until SIGTERM or SIGINT, then drain and return; a start that fails exits with status 2 and one line."""
    start = Start(app)
    config = server_config(start, host=settings.http_host, port=port, grace=settings.shutdown_grace)
    with contextlib.suppress(SystemExit):  # uvicorn's own way out when the start failed
        _Process(config, drain_delay=settings.drain_delay).run()
    if start.failure is not None:
        _exit(start.failure)


class DrainingServer(uvicorn.Server):
    """Ends without losing a request, though whoever sends them learns late that it ends.

    First it is not ready any more, and the next answer on each connection is its last (`Connection: close`), while new
    connections are still taken for `drain_delay` seconds. Then it stops listening, closes connections on which nothing
    happens, and lets requests under way end, as uvicorn does. SIGINT, which a person sends, skips the delay.
    """

    def __init__(self, config: uvicorn.Config, *, drain_delay: float) -> None:
        super().__init__(config)
        self._drain_delay = drain_delay

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if sig == signal.SIGINT:
            self._drain_delay = 0
        super().handle_exit(sig, frame)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """As uvicorn's, which ends with the signals it took: they may end the process on the spot."""
        with super().capture_signals():
            try:
                yield
            finally:
                flush()

    async def main_loop(self) -> None:
        await super().main_loop()
        await self._drain()

    async def _drain(self) -> None:
        self.lifespan.state[DRAINING].set()
        for connection in self.server_state.connections:
            if isinstance(connection, StrictHttpProtocol):
                connection.close_after_answer()
        end = time.monotonic() + self._drain_delay
        ticks = 0
        while time.monotonic() < end and self._drain_delay and not self.force_exit:
            await self.on_tick(ticks)  # keeps the Date field right
            await asyncio.sleep(_TICK)
            ticks += 1


class _Process(DrainingServer):
    """A server that has its process for itself."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        keep_what_is_here()


def keep_what_is_here() -> None:
    """Have the garbage collector leave alone for ever what a process has when it is ready, and look less often.

    Modules and models are some 200,000 objects that never become garbage. Going through them again and again was a
    sixth of the CPU of a request.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, 10, 10)


class Start:
    """Pure ASGI: remembers why the application did not start, and keeps its traceback out of the server's log."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.failure: Exception | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await self._app(scope, receive, send)
            return

        scope["state"][DRAINING] = asyncio.Event()

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
