"""One request and its answer as they pass: what has been read, what has been sent, and how long nothing moved."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable

from starlette.types import Message, Receive, Send

from draftstore_common.kit.app import ProblemResponse
from draftstore_common.kit.context import REQUEST_ID_HEADER, request_id
from draftstore_common.kit.errors import Problem
from draftstore_common.kit.patience import nothing
from draftstore_gateway.errors import BodyTooLarge, RequestTimeout
from draftstore_gateway.headers import for_client

LINGER_SECONDS = 2.0
LINGER_BYTES = 16 * 1024 * 1024

SKIPPABLE = 64 * 1024
"""Bytes of a body nobody reads that are not worth a connection."""

_REQUEST_ID = REQUEST_ID_HEADER.encode()
_DISCONNECT: Message = {"type": "http.disconnect"}


class RequestBody:
    """The client's side of a request. Counts what arrives; a body over its limit ends as if the client had left."""

    def __init__(self, receive: Receive, declared: int | None) -> None:
        """`declared` is the Content-Length, 0 for a request without a body, None where the length is unknown."""
        self._receive = receive
        self._declared = declared
        self._limit: int | None = None
        self._arrived = 0
        self._ended = False
        self._gathered: deque[Message] = deque()
        self.disconnected = False
        self.refusal: BodyTooLarge | None = None
        self.on_progress: Callable[[], None] = nothing

    def allow(self, limit: int | None) -> None:
        """Take at most `limit` bytes, None for any number; raises `BodyTooLarge` if more are announced."""
        self._limit = limit
        if limit is not None and (self._declared or 0) > limit:
            raise BodyTooLarge(limit)

    @property
    def empty(self) -> bool:
        """No body comes with this request."""
        return self._declared == 0

    @property
    def complete(self) -> bool:
        """All of the body has arrived."""
        return self._ended or (self._declared is not None and self._arrived >= self._declared)

    @property
    def unread(self) -> bool:
        """More is to come than the server can skip cheaply: the connection cannot be used again."""
        return (self._declared is None or self._declared > SKIPPABLE) and not self.complete

    @property
    def over(self) -> bool:
        """No more of it is to come: it is whole, its client has left, or it is refused."""
        return self._ended or self.disconnected or self.refusal is not None

    async def gather(self, most: int) -> None:
        """Wait until the body is over or more than so many bytes are here. They are in memory until received."""
        while not self.over and self._arrived <= most:
            self._gathered.append(await self._receive_next())

    async def receive(self) -> Message:
        """The next ASGI message; `http.disconnect` for ever once the client has left or sent too much."""
        return self._gathered.popleft() if self._gathered else await self._receive_next()

    async def _receive_next(self) -> Message:
        if self.refusal is not None:
            return _DISCONNECT
        message = await self._next()
        if self._limit is not None and self._arrived > self._limit:
            self.refusal = BodyTooLarge(self._limit)
            return _DISCONNECT
        return message

    async def _next(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self.disconnected = True
        else:
            self._arrived += len(message.get("body", b""))
            self._ended = not message.get("more_body", False)
            self.on_progress()
        return message

    async def discard(self) -> None:
        """Read on for a moment: closing with bytes unread would reset the connection under the answer (RFC 9112 §9.6).

        Ends with the body, the client, or the patience (`LINGER_SECONDS`, `LINGER_BYTES`).
        """
        end = self._arrived + LINGER_BYTES
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LINGER_SECONDS):
                while not (self.complete or self.disconnected) and self._arrived < end:
                    await self._next()


class Answer:
    """The answer on its way to the client: carries our headers, drops those of one hop, knows how far it is."""

    def __init__(self, send: Send, body: RequestBody) -> None:
        self._send = send
        self._body = body
        self._id = request_id.get()  # a service in this process sends from its own context
        self.status: int | None = None
        self.finished = False
        self.extra: list[tuple[bytes, bytes]] = []
        self.notices: list[tuple[bytes, bytes]] = []
        """What the route says in every answer; `extra` is about this request."""
        self.on_progress: Callable[[], None] = nothing
        self.on_end: Callable[[], None] = nothing
        """Called before the last of it is sent: the client may ask again as soon as it has that."""

    async def send(self, message: Message) -> None:
        """Pass one ASGI message on, unless nobody waits for it or the request was refused meanwhile."""
        if self._body.disconnected or (self._body.refusal is not None and self.status is None):
            return
        await self._pass(message)
        if not self.finished:
            self.on_progress()

    async def refuse(self, problem: Problem) -> None:
        """Answer with a problem."""
        response = ProblemResponse(problem)
        await self._pass(
            {"type": "http.response.start", "status": response.status_code, "headers": response.raw_headers}
        )
        await self._pass({"type": "http.response.body", "body": bytes(response.body)})

    async def _pass(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message = {**message, "headers": for_client(message.get("headers", [])) + self._own_headers()}
        elif not message.get("more_body", False):
            self.finished = True
            if self._body.unread:
                message = await self._linger(message)
            self.on_end()
        await self._send(message)

    async def _linger(self, last: Message) -> Message:
        """Before the end of an answer to an unread body: let the client have all of it, and stop sending."""
        await self._send({**last, "more_body": True})
        await self._body.discard()
        return {"type": "http.response.body", "body": b""}

    def _own_headers(self) -> list[tuple[bytes, bytes]]:
        own = [(_REQUEST_ID, self._id.encode()), *self.notices, *self.extra]
        if self._body.unread or self.status == RequestTimeout.status:  # RFC 9110 §15.5.9: nobody waits any longer
            own.append((b"connection", b"close"))
        return own
