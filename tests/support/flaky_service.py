"""A service on a raw socket that fails as it is told to, and counts what reaches it."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Literal

from support.tcp_server import tcp_server

Behaviour = Literal["answer", "hang up", "hang up after the body", "break off"]

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ndone"
HALF = b"HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\nhalf"


class FlakyService:
    """Behaves as scripted, request by request; then it answers. `heads` are what came."""

    def __init__(self, script: Sequence[Behaviour], *, otherwise: Behaviour = "answer") -> None:
        self._script = list(script)
        self._otherwise = otherwise
        self.heads: list[str] = []
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection, request by request, until a script ends it."""
        while await self._answer(reader, writer):
            pass

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Whether the connection goes on."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.heads.append(head)
        behaviour = self._script.pop(0) if self._script else self._otherwise
        if behaviour == "hang up":
            return False
        await reader.readexactly(_length(head))
        if behaviour == "hang up after the body":
            return False
        answer = ANSWER if behaviour == "answer" else HALF
        writer.write(answer.removesuffix(b"done") if head.startswith("HEAD") else answer)
        return behaviour == "answer"


def _length(head: str) -> int:
    fields = [line.partition(":") for line in head.lower().splitlines()]
    return next((int(value) for name, _, value in fields if name == "content-length"), 0)


@asynccontextmanager
async def flaky_service(*script: Behaviour, otherwise: Behaviour = "answer") -> AsyncIterator[FlakyService]:
    """A service that follows this script; its port is `port`."""
    service = FlakyService(script, otherwise=otherwise)
    async with tcp_server(service.serve) as service.port:
        yield service
