"""A presigned PUT that takes its time: begun, half sent, and ended when the test says so."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

from support.raw_http import RawAnswer, connected, read_answer


class SlowPut:
    """The request's head and the first half of its body are on their way."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, rest: bytes) -> None:
        self._reader = reader
        self._writer = writer
        self._rest = rest

    async def finish(self) -> RawAnswer:
        """Send what is left; the store's answer."""
        self._writer.write(self._rest)
        await self._writer.drain()
        return await asyncio.wait_for(read_answer(self._reader), 30)


@asynccontextmanager
async def slow_put(draft: Mapping[str, Any], content: bytes, **headers: str) -> AsyncIterator[SlowPut]:
    """Begin a PUT to a draft's upload URL. It is not over until `finish`; leaving without that breaks it off."""
    upload = draft["upload"]
    url = urlsplit(upload["url"])
    assert url.port is not None
    lines = {"Host": url.netloc, "Content-Length": str(len(content)), **upload["headers"], **headers}
    head = [f"PUT {url.path}?{url.query} HTTP/1.1", *(f"{name}: {value}" for name, value in lines.items()), "", ""]
    half = len(content) // 2
    async with connected(url.port) as (reader, writer):
        writer.write("\r\n".join(head).encode("latin-1") + content[:half])
        await writer.drain()
        yield SlowPut(reader, writer, content[half:])
