"""How a call reaches a service. Only this changes between separate processes and one."""

import asyncio
import contextvars
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import lru_cache, partial
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

import aiohttp
from pydantic import BaseModel
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Scope
from yarl import URL

from draftstore_common.clients.plain_request import PlainRequest
from draftstore_common.kit.app import Service
from draftstore_common.kit.context import REQUEST_ID_HEADER, TIMEOUT_HEADER, remaining, request_id
from draftstore_common.kit.direct import Asked, Modelled
from draftstore_common.kit.errors import Unavailable
from draftstore_common.kit.origin import Origin
from draftstore_common.kit.patience import Looks, Patience
from draftstore_common.kit.table import Found
from draftstore_common.kit.trace import trace_headers

log = logging.getLogger(__name__)

Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Call:
    """One request to a service: small, complete in memory, never the bytes of an object.

    A model as its `content` becomes JSON only where it leaves this process.
    """

    method: str
    path: str
    content: bytes | BaseModel = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def body(self) -> bytes:
        """The bytes of its content."""
        if isinstance(self.content, BaseModel):
            return self.content.model_dump_json(exclude_defaults=True).encode()
        return self.content


@dataclass(frozen=True, slots=True)
class Reply:
    """The whole answer. Header names are lower case. A model in its `content` comes from this process."""

    status: int
    headers: Mapping[str, str]
    content: bytes | Modelled

    @property
    def body(self) -> bytes:
        """The bytes of its content."""
        return self.content.json() if isinstance(self.content, Modelled) else self.content

    def model(self, kind: type[Model]) -> Model:
        """What it tells, as a model of this kind."""
        told = self.content.result if isinstance(self.content, Modelled) else None
        return told if type(told) is kind else kind.model_validate_json(self.body)


class Transport(Protocol):
    """Sends a call and returns the reply, whatever its status; raises `ServiceUnavailable` when there is none.

    Entered by the application that uses it, in its lifespan.
    """

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *_: object) -> None: ...

    async def send(self, call: Call) -> Reply: ...


class ServiceUnavailable(Unavailable):
    """Another service of the suite does not answer."""

    code = "service_unavailable"


def alive(service: Transport) -> Callable[[], Awaitable[None]]:
    """A readiness check: raises `ServiceUnavailable` unless the service's process answers."""

    async def check() -> None:
        if (await service.send(Call("GET", "/health/live"))).status != 200:
            raise ServiceUnavailable

    return check


def _context_headers(timeout: float) -> dict[str, str]:
    own = {REQUEST_ID_HEADER: request_id.get(), TIMEOUT_HEADER: f"{timeout:.3f}"}
    return own | dict(trace_headers())


URLS = 256
"""Addresses each transport remembers; the paths of internal calls are far fewer."""


def _url(base: str, path: str) -> URL:
    return URL(base + path, encoded=True)


class HttpTransport:
    """Calls over HTTP with pooled connections; no redirects, no proxies from the environment."""

    def __init__(self, base_url: str) -> None:
        # A path is sent as it is given, and there are few: parsing one costs as much as sending its bytes.
        self._url = lru_cache(URLS)(partial(_url, str(URL(base_url)).rstrip("/")))
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        # No limit: the service behind bounds its own work, and slow calls must not keep quick ones out.
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=60)
        self._session = aiohttp.ClientSession(
            connector=connector,
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            request_class=PlainRequest,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def send(self, call: Call) -> Reply:
        timeout = remaining()
        if timeout <= 0:  # which aiohttp would read as "no timeout"
            raise ServiceUnavailable
        try:
            return await self._exchange(call, timeout)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ServiceUnavailable from error

    async def _exchange(self, call: Call, timeout: float) -> Reply:
        assert self._session is not None, "entered"  # noqa: S101  a caller's mistake, not a state of the world
        async with self._session.request(
            call.method,
            self._url(call.path),
            data=call.body or None,
            headers={**call.headers, **_context_headers(timeout)},
            timeout=aiohttp.ClientTimeout(total=timeout),
            allow_redirects=False,
        ) as response:
            headers = {name.lower(): value for name, value in response.headers.items()}
            return Reply(response.status, headers, await response.read())


class AsgiTransport:
    """Calls an application in this process. Each call is its own task with its own context variables.

    An exception that escapes the application is answered as a 500, as a server would. The application's
    lifespan is not run here: `AsgiLifespan` does that once, however many transports share the application.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._looks = Looks()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    async def send(self, call: Call) -> Reply:
        timeout = remaining()
        if timeout <= 0:  # what is begun goes on until the first look
            raise ServiceUnavailable
        try:
            with Patience(timeout, self._looks) as patience:
                return await asyncio.create_task(self._answered(call, timeout), context=contextvars.Context())
        except TimeoutError as error:
            raise ServiceUnavailable from error
        except asyncio.CancelledError:
            if patience.interrupted:
                raise
            raise ServiceUnavailable from None  # the application gave up on its own

    def _answered(self, call: Call, timeout: float) -> Coroutine[Any, Any, Reply]:
        path, _, query = call.path.partition("?")
        match self._app:
            case Service() as app if found := app.find(call.method, path):
                fields = {name.lower(): value for name, value in call.headers.items()}
                scope = {"type": "http", "method": call.method, "path": path, "query_string": query.encode()}
                return _direct(app, found, Asked(scope, fields, call.content, _gone), Origin.here(fields))
            case app:
                return _AsgiExchange(call, _context_headers(timeout)).reply_of(app)


async def _direct(app: Service, found: Found, request: Asked, origin: Origin) -> Reply:
    """The answer of a direct route: what ASGI would carry to and fro stays what it is."""
    response = await app.answer(found, request, origin)
    return Reply(response.status_code, _by_name(response.raw_headers), _content(response))


def _content(response: Response) -> bytes | Modelled:
    return response if isinstance(response, Modelled) else bytes(response.body)


async def _gone() -> Message:
    return {"type": "http.disconnect"}  # the body is with the call, and nothing follows it


def _by_name(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in headers}


_IN_PROCESS: Scope = {
    "type": "http",
    "asgi": {"version": "3.0", "spec_version": "2.4"},
    "http_version": "1.1",
    "scheme": "http",
    "root_path": "",
    "client": ("127.0.0.1", 0),
    "server": ("in-process", 0),
}
"""What every call has in common."""


class _AsgiExchange:
    """One request and its answer, held in memory."""

    def __init__(self, call: Call, context_headers: Mapping[str, str]) -> None:
        self._call = call
        self._content = call.body
        self._headers = {**call.headers, **context_headers}
        self._status = 500
        self._answer_headers: dict[str, str] = {}
        self._body = bytearray()
        self._sent = False

    async def reply_of(self, app: ASGIApp) -> Reply:
        try:
            await app(self._scope(), self._receive, self._send)
        except Exception:
            log.exception("application crashed in process")
            return Reply(500, {}, b"")
        return Reply(self._status, self._answer_headers, bytes(self._body))

    def _scope(self) -> Scope:
        path, _, query = self._call.path.partition("?")
        headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in self._headers.items()]
        headers.append((b"content-length", str(len(self._content)).encode()))
        return {
            **_IN_PROCESS,
            "method": self._call.method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": headers,
            "state": {},
        }

    async def _receive(self) -> Message:
        if self._sent:
            await asyncio.Event().wait()  # a caller in this process never disconnects; cancellation ends the wait
        self._sent = True
        return {"type": "http.request", "body": self._content, "more_body": False}

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            self._answer_headers = _by_name(message["headers"])
        elif message["type"] == "http.response.body":
            self._body += message.get("body", b"")


_ENDED: Message = {"type": "lifespan.failed", "message": "the application ended early"}


class AsgiLifespan:
    """Runs an application's lifespan: startup on entering, shutdown on leaving. A failed startup raises."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._inbox: asyncio.Queue[Message] = asyncio.Queue()
        self._outbox: asyncio.Queue[Message] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run())
        await self._step("lifespan.startup")
        return self

    async def __aexit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        await self._step("lifespan.shutdown")
        assert self._task is not None  # noqa: S101  entered
        await self._task

    async def _step(self, kind: str) -> None:
        assert self._task is not None  # noqa: S101  entered
        await self._inbox.put({"type": kind})
        answer = await self._outbox.get()
        if answer["type"].endswith(".failed"):
            await self._task  # re-raises what the application raised, with its own traceback
            raise RuntimeError(answer.get("message") or f"{kind} failed")

    async def _run(self) -> None:
        async with AsyncExitStack() as stack:
            stack.callback(self._outbox.put_nowait, _ENDED)
            scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
            await self._app(scope, self._inbox.get, self._outbox.put)
