"""A service in another process, over pooled connections."""

import logging
from typing import Self

import aiohttp
from starlette.types import Receive, Send

from draftstore_common.clients.transport import ServiceUnavailable
from draftstore_common.kit.errors import chain
from draftstore_common.kit.patience import Patience
from draftstore_gateway.upstreams.base import Forwarded
from draftstore_gateway.upstreams.body import ClientBody
from draftstore_gateway.upstreams.retries import RetryBudget
from draftstore_gateway.upstreams.wire import Wire

log = logging.getLogger(__name__)

_NEVER_SENT = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)
"""No connection came about: nothing of the request was seen by anybody."""


class HttpUpstream:
    """A service in another process.

    A request whose connection failed before an answer began is sent once more, if that changes nothing: none of it had
    left, or it is repeatable and nothing of its body had. `RetryBudget` bounds how many are.
    """

    def __init__(self, base_url: str) -> None:
        self._wire = Wire(base_url)
        self._budget = RetryBudget()

    async def __aenter__(self) -> Self:
        await self._wire.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._wire.__aexit__()

    async def forward(self, request: Forwarded, receive: Receive, send: Send, patience: Patience) -> None:
        """As `Upstream.forward`; a client that leaves closes the connection to the service."""
        body = ClientBody(receive, has_body=request.has_body, patience=patience)
        patience.on_look = body.watch
        self._budget.note()
        try:
            await self._attempt(request, body, send)
        except ServiceUnavailable as failure:
            if not (_may_repeat(request, body, failure.__cause__) and self._budget.take()):
                raise
            log.info("request sent again", extra={"causes": chain(failure)})
            await self._attempt(request, body, send)
        finally:
            if body.watched:
                await body.close()

    async def _attempt(self, request: Forwarded, body: ClientBody, send: Send) -> None:
        started = False
        try:
            async with await self._wire.ask(request, body.chunks() if request.has_body else None) as response:
                started = True
                await _pass_on(response, send)
        except (aiohttp.ClientError, OSError) as error:
            if not started:
                raise ServiceUnavailable from error
            log.warning("answer broke off", extra={"causes": [repr(error)]})


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
