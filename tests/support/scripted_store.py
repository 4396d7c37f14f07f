"""A store that answers what a test scripts: for failures no real store shows on demand."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from support.tcp_server import tcp_server

RESET = b""
"""Close the connection instead of answering."""

HANG = b"hang"
"""Never answer."""


def answer(status: int, body: str = "", **headers: str) -> bytes:
    """An HTTP answer; header names are written with underscores."""
    lines = {
        "content_type": "application/xml",
        "content_length": str(len(body)),
        "date": "Mon, 04 May 2026 12:00:00 GMT",
        "connection": "close",
        **headers,
    }
    text = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in lines.items())
    return f"HTTP/1.1 {status} X\r\n{text}\r\n{body}".encode()


def failure(status: int, code: str) -> bytes:
    """An error of S3."""
    return answer(status, f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>no</Message></Error>')


@dataclass
class ScriptedStore:
    """What it will answer, in order (the last one for ever), and the requests and connections it got."""

    answers: list[bytes]
    port: int = 0
    requests: list[bytes] = field(default_factory=list)
    connections: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection until it ends."""
        self.connections += 1
        while await self._answer(reader, writer):
            pass

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Whether the connection stays open for another request: if the answer says so, and the request had no body."""
        head = await reader.readuntil(b"\r\n\r\n")
        self.requests.append(head)
        reply = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if reply == HANG:
            await reader.read()
        else:
            writer.write(reply)
            await writer.drain()
        return b"connection: keep-alive" in reply


@asynccontextmanager
async def scripted(*answers: bytes) -> AsyncIterator[ScriptedStore]:
    """A running scripted store."""
    store = ScriptedStore(list(answers))
    async with tcp_server(store.serve) as store.port:
        yield store
