"""Run one application on uvicorn, the same way for every service."""

import asyncio
import sys
from collections.abc import Coroutine
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from draftstore_common.kit.errors import CannotStart, Unavailable
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
    """Serve until SIGTERM or SIGINT, then drain and return."""
    uvicorn.Server(server_config(app, host=host, port=port, grace=grace)).run()


def run_or_exit(work: Coroutine[Any, Any, None]) -> None:
    """Run to the end what comes before serving; exit with status 2 and one line on stderr if it cannot be done."""
    try:
        asyncio.run(work)
    except (CannotStart, Unavailable) as error:
        sys.stderr.write(f"Cannot start: {error}\n")
        raise SystemExit(2) from None
