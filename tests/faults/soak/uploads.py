"""Bytes on their way to an upload URL: at once, slowly, given up half-way; every content is unlike all others."""

import asyncio
import hashlib
import random
import secrets
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

import aiohttp

from faults.soak.client import LONGEST_PAUSE, NOBODY_ANSWERED, PATIENCE, StuckError
from faults.soak.ledger import DraftFacts, Put

PUT_TIMEOUT = 20.0


def new_content(chance: random.Random) -> bytes:
    """Random bytes, at most 2 KiB: the protocol is what is tried here, not the disk."""
    return secrets.token_bytes(chance.randint(16, 2048))


class Uploader:
    """Sends bytes and writes down what the store said of them."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def put(self, draft: DraftFacts, upload: Mapping[str, Any], content: bytes, *, over: float = 0.0) -> None:
        """Send these bytes until the store has acknowledged them, each time spread over so many seconds."""
        put = self._begun(draft, content)
        deadline = time.monotonic() + PATIENCE
        doubtful = False
        while time.monotonic() < deadline:
            etag = await self._once(upload, content, over, PUT_TIMEOUT + over)
            if etag is not None:
                put.etag = etag
                put.ended_at = put.ended_at if doubtful else time.time()
                return
            doubtful = True  # these bytes may still land, after others that are sent later
            await asyncio.sleep(LONGEST_PAUSE / 2)
        raise StuckError(f"PUT of draft {draft.id}")

    async def abandon(self, draft: DraftFacts, upload: Mapping[str, Any], content: bytes, *, after: float) -> None:
        """Begin to send, and hang up after so many seconds."""
        self._begun(draft, content)
        await self._once(upload, content, 4 * after, after)

    def _begun(self, draft: DraftFacts, content: bytes) -> Put:
        put = Put(hashlib.sha256(content).hexdigest(), time.time())
        draft.puts.append(put)
        return put

    async def _once(self, upload: Mapping[str, Any], content: bytes, over: float, seconds: float) -> str | None:
        """The ETag; None when the store did not take the bytes, or did not say so."""
        headers = {**upload["headers"], "Content-Length": str(len(content))}
        body = _trickle(content, over) if over else content
        limit = aiohttp.ClientTimeout(total=seconds)
        try:
            async with self._session.put(
                upload["url"], data=body, headers=headers, timeout=limit, skip_auto_headers=["Content-Type"]
            ) as response:
                await response.read()
                return response.headers["ETag"].strip('"') if response.status == 200 else None
        except NOBODY_ANSWERED:
            return None


async def _trickle(content: bytes, over: float) -> AsyncIterator[bytes]:
    """The bytes in four pieces, the last one after `over` seconds."""
    size = -(-len(content) // 4)
    for start in range(0, len(content), size):
        yield content[start : start + size]
        await asyncio.sleep(over / 4)
