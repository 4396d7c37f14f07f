"""One request and its answer: signed, sent on a pooled connection, repeated while that may help."""

import ssl
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass
from io import BytesIO
from socket import SO_KEEPALIVE, SOL_SOCKET, socket
from typing import Any, Self, TypeVar
from xml.etree.ElementTree import Element

import aiohttp
from yarl import URL

from draftstore_common.clients.plain_request import PlainRequest
from draftstore_common.contracts.base import BucketRole
from draftstore_common.contracts.storage import ObjectRef
from draftstore_storage.backends.attempts import Attempts
from draftstore_storage.backends.rest import documents
from draftstore_storage.backends.translation import NO_ANSWER, Failure, translate
from draftstore_storage.domain import PIECE
from draftstore_storage.errors import StoreError
from draftstore_storage.signing.headers import HeaderSigner, S3Request

T = TypeVar("T")

CONNECT_TIMEOUT = 3.0

MAX_ANSWER = 16 * 1024 * 1024
"""Bytes of an answer that is no object. The longest, a thousand refused keys, is a tenth of it."""

LONGEST_FIELD = 64 * 1024
"""Bytes of one header field of an answer. S3 keeps 2 KB of metadata with an object, other stores much more: what an
uploader made long must not make its object unreadable to us."""

_NO_LIMIT = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT)
"""The request's own deadline ends every wait (`Attempts`); only an address that leads nowhere is given up before."""


@dataclass(frozen=True, slots=True)
class Network:
    """How the store is reached: certificates to trust (the system's unless given), and a proxy."""

    tls: ssl.SSLContext | None = None
    proxy: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """A success. Names of headers have no case."""

    headers: Mapping[str, str]
    document: Element | None

    @property
    def root(self) -> Element:
        """The document, where there must be one."""
        if self.document is None:
            raise ValueError("an answer without a document")
        return self.document


class ErrorAnswer(Exception):
    """An error in the store's own words, for the log."""

    def __init__(self, status: int, body: bytes) -> None:
        code, message = documents.error_of(body)
        self.failure = Failure(status, code)
        super().__init__(f"{status} {code} {message}".strip())


class UnreadableAnswer(Exception):
    """An answer that is none of S3's: something in front of the store spoke, or a connection broke."""


class RestClient:
    """Requests to one store over at most `connections` connections; others wait for one until their deadline."""

    def __init__(self, signer: HeaderSigner, network: Network, *, connections: int) -> None:
        self._signer = signer
        self._network = network
        self._connections = connections
        self._attempts = Attempts()
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=self._connections, ssl=self._network.tls or True, socket_factory=_kept_alive
            ),
            proxy=self._network.proxy,
            timeout=_NO_LIMIT,
            request_class=PlainRequest,  # nothing is asked for that was not signed; least of all compressed answers
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            read_bufsize=PIECE,
            max_field_size=LONGEST_FIELD,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def ask(self, request: S3Request, read: Callable[[Answer], T], *, about: ObjectRef | None = None) -> T:
        """What `read` makes of the answer. Errors name the object the request is about: its own key unless given.

        `read` raises `KeyError` or `ValueError` for an answer that is none of S3's: then it counts as no answer.
        """
        role, key = (about.role, about.key) if about else (request.role, request.key)

        async def attempt() -> T:
            try:
                return await self._answer(request, read)
            except _FAILURES as error:
                raise _meaning(error, role, key) from error

        return await self._attempts.make(role, key, attempt)

    async def stream(self, request: S3Request) -> AsyncGenerator[bytes, None]:
        """The body in pieces of at most `PIECE` bytes. One that breaks off raises `Unavailable`."""
        role, key = request.role, request.key

        async def begin() -> aiohttp.ClientResponse:
            try:
                return await self._open(request)
            except _FAILURES as error:
                raise _meaning(error, role, key) from error

        async def read() -> bytes:
            try:
                return await response.content.read(PIECE)
            except _FAILURES as error:
                raise _meaning(error, role, key) from error

        response = await self._attempts.make(role, key, begin)
        try:
            while piece := await self._attempts.in_time(role, key, read):
                yield piece
        finally:
            response.close()

    async def _answer(self, request: S3Request, read: Callable[[Answer], T]) -> T:
        response = await self._open(request)
        try:
            body = await _whole(response)
        finally:
            response.close()
        try:
            document = documents.parse(body) if body else None
            if document is None or not documents.is_error(document):
                return read(Answer(response.headers, document))
        except (KeyError, ValueError) as error:
            raise UnreadableAnswer(str(error)) from error
        raise ErrorAnswer(response.status, body)  # S3 API reference, CopyObject: a 200 may bring an error

    async def _open(self, request: S3Request) -> aiohttp.ClientResponse:
        """The answer's head, if it is a success."""
        assert self._session is not None, "entered"  # noqa: S101  a caller's mistake, not a state of the world
        url, headers = await self._signer.sign(request)
        body = BytesIO(request.body) if request.body else None  # as bytes, large ones would be written at once
        response = await self._session.request(
            request.method, URL(url, encoded=True), headers=headers, data=body, allow_redirects=False
        )
        if response.status < 300:
            return response
        try:
            raise ErrorAnswer(response.status, await _whole(response))
        finally:
            response.close()


_FAILURES = (ErrorAnswer, UnreadableAnswer, aiohttp.ClientError, OSError, TimeoutError)
"""What comes instead of an answer that can be used."""


def _meaning(error: Exception, role: BucketRole, key: str | None) -> StoreError:
    failure = error.failure if isinstance(error, ErrorAnswer) else NO_ANSWER
    return translate(failure, role, key)


async def _whole(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    while piece := await response.content.readany():
        body += piece
        if len(body) > MAX_ANSWER:
            raise UnreadableAnswer("longer than any")
    return bytes(body)


def _kept_alive(info: tuple[Any, ...]) -> socket:
    """A socket whose other end is asked for from time to time: a large copy is silent for minutes."""
    family, kind, protocol, *_ = info
    made = socket(family, kind, protocol)
    made.setsockopt(SOL_SOCKET, SO_KEEPALIVE, 1)
    return made
