"""`python -m bench.bare_proxy`: a proxy that only passes bytes on, with the gateway's HTTP client and server.

What the gateway costs beyond this, it costs for being a gateway. `PORT` and `SERVICE_URL` in the environment.
"""

import os

import aiohttp
import uvicorn
from starlette.types import Receive, Scope, Send
from yarl import URL

from draftstore_common.kit.serve import server_config


class BareProxy:
    """Forwards requests without a body."""

    def __init__(self, service_url: str) -> None:
        self._service_url = service_url
        self._session: aiohttp.ClientSession | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._forward(scope, send)
        elif scope["type"] == "lifespan":
            await self._live(receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            timeout=aiohttp.ClientTimeout(total=None),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
        ) as self._session:
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})

    async def _forward(self, scope: Scope, send: Send) -> None:
        assert self._session is not None  # noqa: S101  the lifespan made it
        url = URL(self._service_url + scope["raw_path"].decode(), encoded=True)
        headers = [(name.decode(), value.decode()) for name, value in scope["headers"]]
        async with self._session.request(scope["method"], url, headers=headers, allow_redirects=False) as answer:
            passed = [pair for pair in answer.raw_headers if pair[0].lower() not in {b"connection", b"date"}]
            await send({"type": "http.response.start", "status": answer.status, "headers": passed})
            more = True
            while more:
                chunk = await answer.content.readany()
                more = not answer.content.at_eof()
                await send({"type": "http.response.body", "body": chunk, "more_body": more})


if __name__ == "__main__":
    proxy = BareProxy(os.environ["SERVICE_URL"])
    uvicorn.Server(server_config(proxy, host="127.0.0.1", port=int(os.environ["PORT"]), grace=1)).run()
