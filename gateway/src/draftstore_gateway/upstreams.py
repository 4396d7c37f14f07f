"""How a request reaches the service behind the gateway: bytes pass as they come, in both directions.

Over HTTP between processes, or straight into the service's application in this one. Nothing is buffered beyond a
window, decoded, redirected or retried.
"""

import asyncio
import contextlib
import contextvars
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol, Self
from urllib.parse import unquote

import aiohttp
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from yarl import URL

from draftstore_common.clients.transport import Call, Reply, ServiceUnavailable
from draftstore_common.kit.context import remaining
from draftstore_common.kit.errors import Problem

log = logging.getLogger(__name__)

CONNECT_TIMEOUT = 3.0

_AUTOMATIC = ("accept", "accept-encoding", "content-type", "user-agent")
"""Headers aiohttp would add of itself."""


@dataclass(frozen=True, slots=True)
class Forwarded:
    """A request as the service gets it. Path and query are the client's bytes, never decoded and encoded again.

    Headers are UTF-8: what the client library makes of them again is the same bytes.
    """

    method: str
    raw_path: bytes
    query: bytes
    headers: list[tuple[bytes, bytes]]
    has_body: bool


class Upstream(Protocol):
    """A service that requests are passed on to. Entered by the gateway, in its lifespan."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *_: object) -> None: ...

    async def forward(self, request: Forwarded, receive: Receive, send: Send) -> None:
        """Send the request with the body from `receive`, pass the answer to `send`.

        Raises a `Problem` if no answer began. One that broke off is left unfinished; so is one whose client left.
        """


class HttpUpstream:
    """A service in another process, over pooled connections."""

    def __init__(self, base_url: str, *, connections: int = 500) -> None:
        self._base_url = base_url.rstrip("/")
        self._connections = connections
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._connections, keepalive_timeout=60),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT),
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=_AUTOMATIC,
            auto_decompress=False,
            trust_env=False,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def forward(self, request: Forwarded, receive: Receive, send: Send) -> None:
        """As `Upstream.forward`; a client that leaves closes the connection to the service."""
        body = _Body(receive, has_body=request.has_body)
        try:
            async with asyncio.timeout(None) as presence, _ends_with_client(body, presence):
                await self._relay(request, body, send)
        except TimeoutError:
            if not presence.expired():
                raise

    async def _relay(self, request: Forwarded, body: "_Body", send: Send) -> None:
        started = False
        try:
            async with self._request(request, body) as response:
                started = True
                await _pass_on(response, send)
        except (aiohttp.ClientError, OSError) as error:
            if not started:
                raise ServiceUnavailable from error
            log.warning("answer broke off", extra={"causes": [repr(error)]})

    def _request(self, request: Forwarded, body: "_Body") -> "aiohttp.client._RequestContextManager":
        assert self._session is not None, "entered"  # noqa: S101  a caller's mistake, not a state of the world
        target = request.raw_path + (b"?" + request.query if request.query else b"")
        return self._session.request(
            request.method,
            URL(self._base_url + target.decode("ascii"), encoded=True),
            headers=[(name.decode(), value.decode()) for name, value in request.headers],
            data=body.chunks() if request.has_body else None,
            allow_redirects=False,
        )


async def _pass_on(response: aiohttp.ClientResponse, send: Send) -> None:
    await send({"type": "http.response.start", "status": response.status, "headers": list(response.raw_headers)})
    async for chunk in response.content.iter_any():
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


class _ClientLeft(Exception):
    """The client hung up while it was sending."""


class _Body:
    """The request's body as chunks; afterwards it notices when the client leaves."""

    def __init__(self, receive: Receive, *, has_body: bool) -> None:
        self._receive = receive
        self._sent = asyncio.Event()
        if not has_body:
            self._sent.set()

    async def chunks(self) -> AsyncIterator[bytes]:
        more = True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise _ClientLeft
            more = message.get("more_body", False)
            yield message.get("body", b"")
        self._sent.set()

    async def departure(self) -> None:
        await self._sent.wait()
        while (await self._receive())["type"] != "http.disconnect":
            pass


@contextlib.asynccontextmanager
async def _ends_with_client(body: _Body, presence: asyncio.Timeout) -> AsyncIterator[None]:
    """Let `presence` expire when the client leaves."""

    async def watch() -> None:
        await body.departure()
        presence.reschedule(asyncio.get_running_loop().time())

    watcher = asyncio.create_task(watch())
    try:
        yield
    finally:
        watcher.cancel()
        await asyncio.wait([watcher])


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

    async def forward(self, request: Forwarded, receive: Receive, send: Send) -> None:
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
        "headers": [*request.headers, (b"host", b"in-process")],
        "client": ("127.0.0.1", 0),
        "server": ("in-process", 0),
        "state": {},
    }


class SmallCalls:
    """An upstream as the transport of the gateway's own calls: without a body, their answers held in memory.

    The upstream is entered elsewhere.
    """

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    async def send(self, call: Call) -> Reply:
        """As `Transport.send`."""
        headers = [(name.encode(), value.encode()) for name, value in call.headers.items()]
        answer = _Collected()
        try:
            async with asyncio.timeout(remaining()):
                request = Forwarded(call.method, call.path.encode(), b"", headers, has_body=False)
                await self._upstream.forward(request, answer.receive, answer.send)
        except TimeoutError as error:
            raise ServiceUnavailable from error
        return answer.reply()


class _Collected:
    """A small answer, held in memory; its client sends nothing and stays."""

    def __init__(self) -> None:
        self._status = 0
        self._headers: list[tuple[bytes, bytes]] = []
        self._body = bytearray()
        self._complete = False
        self._asked = False

    async def receive(self) -> Message:
        if self._asked:
            await asyncio.Event().wait()  # cancelled with the request
        self._asked = True
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status, self._headers = message["status"], list(message.get("headers", []))
        else:
            self._body += message.get("body", b"")
            self._complete = not message.get("more_body", False)

    def reply(self) -> Reply:
        """The whole answer; raises `ServiceUnavailable` if it broke off."""
        if not self._complete:
            raise ServiceUnavailable
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in self._headers}
        return Reply(self._status, headers, bytes(self._body))
