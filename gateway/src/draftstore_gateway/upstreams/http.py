"""A service in another process, over pooled connections."""

import logging
from typing import Self

import aiohttp
from starlette.types import Receive, Send
from yarl import URL

from draftstore_common.clients.plain_request import PlainRequest
from draftstore_common.clients.transport import ServiceUnavailable
from draftstore_common.kit.errors import chain
from draftstore_common.kit.patience import Patience
from draftstore_gateway.upstreams.base import Forwarded
from draftstore_gateway.upstreams.body import ClientBody
from draftstore_gateway.upstreams.retries import RetryBudget

log = logging.getLogger(__name__)

CONNECT_TIMEOUT = 3.0

_NEVER_SENT = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)
"""No connection came about: nothing of the request was seen by anybody."""


class HttpUpstream:
    """A service in another process.

    A request whose connection failed before an answer began is sent once more, if that changes nothing: none of it had
    left, or it is repeatable and nothing of its body had. `RetryBudget` bounds how many are.
    """

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url.rstrip("/")
        self._budget = RetryBudget()
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=60),  # `Bulkhead` bounds them
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT),
            cookie_jar=aiohttp.DummyCookieJar(),
            request_class=PlainRequest,
            auto_decompress=False,
            trust_env=False,
        )
        # Its own repeats know no budget. The library has no public switch; a test counts what arrives.
        self._session._retry_connection = False  # noqa: SLF001
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def forward(self, request: Forwarded, receive: Receive, send: Send, patience: Patience) -> None:
        """As `Upstream.forward`; a client that leaves closes the connection to the service."""
        body = ClientBody(receive, has_body=request.has_body, patience=patience)
        patience.on_look = body.watch
        try:
            await self._relay(request, body, send)
        finally:
            await body.close()

    async def _relay(self, request: Forwarded, body: ClientBody, send: Send) -> None:
        self._budget.note()
        try:
            await self._attempt(request, body, send)
        except ServiceUnavailable as failure:
            if not (_may_repeat(request, body, failure.__cause__) and self._budget.take()):
                raise
            log.info("request sent again", extra={"causes": chain(failure)})
            await self._attempt(request, body, send)

    async def _attempt(self, request: Forwarded, body: ClientBody, send: Send) -> None:
        started = False
        try:
            async with self._request(request, body) as response:
                started = True
                await _pass_on(response, send)
        except (aiohttp.ClientError, OSError) as error:
            if not started:
                raise ServiceUnavailable from error
            log.warning("answer broke off", extra={"causes": [repr(error)]})

    def _request(self, request: Forwarded, body: ClientBody) -> "aiohttp.client._RequestContextManager":
        assert self._session is not None, "entered"  # noqa: S101  a caller's mistake, not a state of the world
        target = request.raw_path + (b"?" + request.query if request.query else b"")
        return self._session.request(
            request.method,
            URL(self._base_url + target.decode("ascii"), encoded=True),
            headers=[(name.decode(), value.decode()) for name, value in request.headers_now()],
            data=body.chunks() if request.has_body else None,
            allow_redirects=False,
        )


def _may_repeat(request: Forwarded, body: ClientBody, cause: BaseException | None) -> bool:
    if body.begun or not isinstance(cause, aiohttp.ClientConnectionError):
        return False
    return request.repeatable or isinstance(cause, _NEVER_SENT)


async def _pass_on(response: aiohttp.ClientResponse, send: Send) -> None:
    await send({"type": "http.response.start", "status": response.status, "headers": list(response.raw_headers)})
    more = True
    while more:
        chunk = await response.content.readany()
        more = not response.content.at_eof()
        await send({"type": "http.response.body", "body": chunk, "more_body": more})
