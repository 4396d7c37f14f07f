"""`python -m bench.small_service`: answers everything with a small JSON document. `PORT` in the environment."""

import os

import uvicorn
from starlette.types import Receive, Scope, Send

from draftstore_common.kit.serve import server_config

BODY = b'{"items": [], "next_cursor": null}'
HEADERS = [(b"content-type", b"application/json"), (b"content-length", str(len(BODY)).encode())]


async def small_service(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001  an ASGI application
    """Answer at once."""
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
        await send({"type": "http.response.body", "body": BODY})


if __name__ == "__main__":
    uvicorn.Server(server_config(small_service, host="127.0.0.1", port=int(os.environ["PORT"]), grace=1)).run()
