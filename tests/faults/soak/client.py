"""A client that does what clients should: asks again until it is answered, at another door if one is shut."""

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import aiohttp

PATIENCE = 150.0
"""Seconds after which a client that has no final answer is stuck; the longest fault lasts a few."""

REQUEST_TIMEOUT = 25.0
LONGEST_PAUSE = 1.0

NO_HEADERS: Mapping[str, str] = MappingProxyType({})

NOBODY_ANSWERED = (aiohttp.ClientError, TimeoutError, OSError)


class StuckError(Exception):
    """No final answer, however long one asked."""


class Answer(NamedTuple):
    """What was answered; the body is empty where there is none."""

    status: int
    body: dict[str, Any]

    @property
    def code(self) -> str:
        """The problem's code, or the status."""
        return str(self.body.get("code", self.status))

    @property
    def final(self) -> bool:
        """Whether asking again would be told the same."""
        return self.status not in {202, 429} and self.status < 500


class Client:
    """Calls of one key at several doors. What was answered is counted; `strange` is told of every 500."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        doors: tuple[str, ...],
        key: str,
        *,
        answers: Counter[str],
        strange: Callable[[str], None],
    ) -> None:
        self._session = session
        self._doors = doors
        self._headers = {"Authorization": f"Bearer {key}"}
        self._answers = answers
        self._strange = strange

    async def once(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        door: int = 0,
        seconds: float = REQUEST_TIMEOUT,
        headers: Mapping[str, str] = NO_HEADERS,
    ) -> Answer | None:
        """One request; None when nobody answered in time."""
        url = self._doors[door % len(self._doors)] + path
        sent = {**self._headers, **headers}
        limit = aiohttp.ClientTimeout(total=seconds)
        try:
            async with self._session.request(method, url, json=body, headers=sent, timeout=limit) as response:
                answer = Answer(response.status, json.loads(await response.read() or b"{}"))
        except NOBODY_ANSWERED as error:
            self._answers[f"none: {type(error).__name__}"] += 1
            return None
        self._answers[f"{answer.status} {answer.body.get('code', '')}".strip()] += 1
        if answer.status == 500:
            self._strange(f"500 to {method} {path}: {answer.body}")
        return answer

    async def settled(
        self, method: str, path: str, body: Any = None, *, door: int = 0, headers: Mapping[str, str] = NO_HEADERS
    ) -> Answer:
        """The final answer, asked for at the next door after each failure; `StuckError` when there is none."""
        deadline = time.monotonic() + PATIENCE
        pause = 0.05
        while time.monotonic() < deadline:
            answer = await self.once(method, path, body, door=door, headers=headers)
            if answer is not None and answer.final:
                return answer
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311  spreads the herd, decides nothing
            pause = min(2 * pause, LONGEST_PAUSE)
            door += 1
        raise StuckError(f"{method} {path}")
