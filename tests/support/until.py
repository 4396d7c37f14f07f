"""Waiting for what another process does in its own time."""

import asyncio
from collections.abc import Awaitable, Callable

_CHECK_SECONDS = 0.05


async def until(condition: Callable[[], Awaitable[bool]], what: str, *, seconds: float = 30) -> None:
    """Return when the condition holds; fail, naming `what` was awaited, when it does not within so many seconds."""
    try:
        async with asyncio.timeout(seconds):
            while not await condition():
                await asyncio.sleep(_CHECK_SECONDS)  # nothing tells us of it
    except TimeoutError:
        raise AssertionError(f"not within {seconds:g} s: {what}") from None
