"""The gateway's own calls to a service: small, without a body, on the same way as everybody's requests."""

import asyncio
from typing import Self

from starlette.types import Message

from draftstore_common.clients.transport import Call, Reply, ServiceUnavailable
from draftstore_common.kit.context import remaining
from draftstore_common.kit.patience import Looks, Patience
from draftstore_gateway.upstreams.base import Forwarded, Upstream


class SmallCalls:
    """An upstream as the transport of the gateway's own calls: without a body, their answers held in memory.

    The upstream is entered elsewhere.
    """

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._looks = Looks()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    async def send(self, call: Call) -> Reply:
        """As `Transport.send`."""
        headers = [(name.encode(), value.encode()) for name, value in call.headers.items()]
        answer = _Collected()
        try:
            with Patience(remaining(), self._looks) as patience:
                request = Forwarded(call.method, call.path.encode(), b"", headers, has_body=False)
                await self._upstream.forward(request, answer.receive, answer.send, patience)
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
