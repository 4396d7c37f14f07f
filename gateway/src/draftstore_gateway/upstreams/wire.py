"""Requests to one service over pooled connections: aiohttp's connector, writer and parser, without its session.

A session follows redirects, keeps cookies, adds headers, and repeats what failed by rules of its own. A proxy must do
none of that, and pays for it in every request.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Self

import aiohttp
from aiohttp.typedefs import LooseHeaders
from multidict import CIMultiDict
from yarl import URL

from draftstore_common.clients.plain_request import PlainRequest
from draftstore_gateway.upstreams.base import Forwarded

CONNECT_TIMEOUT = 3.0
"""Seconds a connection may take to come about."""

_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT)


class _Request(PlainRequest):
    """A request with the headers it is given: whoever gives them keeps no hold of them."""

    def update_headers(self, headers: LooseHeaders | None) -> None:
        """Take them as they are."""
        assert isinstance(headers, CIMultiDict)  # noqa: S101  `Wire` gives no others
        self.headers = headers


class Wire:
    """The connections to one service."""

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url.rstrip("/")
        self._host = ("host", URL(base_url).host_port_subcomponent or "")
        self._connector: aiohttp.TCPConnector | None = None

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=60)  # `Bulkhead` bounds them
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._connector is not None:
            await self._connector.close()

    async def ask(self, asked: Forwarded, body: AsyncIterator[bytes] | None) -> aiohttp.ClientResponse:
        """The answer, once its head is here: a context manager, which closes its connection unless all of it was read.

        Raises `aiohttp.ClientError`. What this is cancelled in is closed as well.
        """
        assert self._connector is not None, "entered"  # noqa: S101  a caller's mistake, not a state of the world
        request = self._request(asked, body)
        try:
            connection = await self._connector.connect(request, traces=[], timeout=_TIMEOUT)
        except TimeoutError as error:
            raise aiohttp.ConnectionTimeoutError from error
        try:
            return await _answer(request, connection)
        except BaseException:
            connection.close()
            raise

    def _request(self, asked: Forwarded, body: AsyncIterator[bytes] | None) -> aiohttp.ClientRequest:
        target = asked.raw_path + b"?" + asked.query if asked.query else asked.raw_path
        url = URL(self._base_url + target.decode("ascii"), encoded=True)
        headers = CIMultiDict([self._host, *[(name.decode(), value.decode()) for name, value in asked.headers_now()]])
        return _Request(asked.method, url, headers=headers, data=body, loop=self._loop)


async def _answer(request: aiohttp.ClientRequest, connection: aiohttp.connector.Connection) -> aiohttp.ClientResponse:
    assert connection.protocol is not None  # noqa: S101  it was just taken
    connection.protocol.set_response_params(
        skip_payload=request.method == "HEAD", read_until_eof=True, auto_decompress=False
    )
    response = await request.send(connection)
    try:
        return await response.start(connection)
    except BaseException:
        response.close()  # and whatever still sends the body
        raise
