"""How long a revoked key goes on working, under load: when the last request was sent that was still admitted."""

import asyncio
import math
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp

from support.revocation_site import IssuedKey, RevocationSite

PATH = "/api/v1/drafts"
SLOWER = 10
"""After its first refusal a key is tried less often: only to see that it stays refused."""


@dataclass(frozen=True)
class Plan:
    """How many keys are revoked, how many at once, and how often each is tried until `watch` seconds after."""

    revocations: int
    at_once: int
    watch: float
    pace: float = 0.05
    load_keys: int = 50
    load_workers: int = 8


@dataclass
class Measured:
    """For each revocation, the seconds from its acknowledgement to the last request that was admitted, if one was.

    `answered` are the seconds to the last answer to one of those: later by however long an answer takes.
    """

    seconds: list[float] = field(default_factory=list)
    answered: list[float] = field(default_factory=list)
    others: Counter[int] = field(default_factory=Counter)
    """Answers to other keys meanwhile, and unexpected ones to revoked keys."""

    def percentile(self, percent: float) -> float:
        """The smallest figure that so many of a hundred do not exceed."""
        return sorted(self.seconds)[max(0, math.ceil(len(self.seconds) * percent / 100) - 1)]


async def measure(site: RevocationSite, plan: Plan) -> Measured:
    """Issue keys, use them and revoke them, while others are used too."""
    measured = Measured()
    others = [await site.issue() for _ in range(plan.load_keys)]
    places = asyncio.Semaphore(plan.at_once)

    async def one() -> None:
        async with places:
            last = await _Revocation(site, await site.issue(), plan, measured).run()
            measured.seconds.append(last.sent)
            measured.answered.append(last.answered)

    async with _load(site.gateways, others, plan, measured), asyncio.TaskGroup() as group:
        for _ in range(plan.revocations):
            group.create_task(one())
    return measured


@dataclass(frozen=True, order=True)
class _Last:
    """The last request that was admitted, in seconds after the acknowledgement."""

    sent: float = 0.0
    answered: float = 0.0


class _Revocation:
    """One key, tried on every gateway before and after it is revoked."""

    def __init__(self, site: RevocationSite, key: IssuedKey, plan: Plan, measured: Measured) -> None:
        self._site = site
        self._key = key
        self._plan = plan
        self._measured = measured
        self._acknowledged = math.inf
        self._over = False

    async def run(self) -> _Last:
        """The last request that any gateway admitted."""
        admitted = [asyncio.Event() for _ in self._site.gateways]
        probes = [
            asyncio.create_task(self._probe(gateway, known))
            for gateway, known in zip(self._site.gateways, admitted, strict=True)
        ]
        await asyncio.wait_for(asyncio.gather(*(known.wait() for known in admitted)), 30)
        await asyncio.sleep(random.uniform(0, self._plan.pace))  # noqa: S311  to meet the gateways in any phase
        await self._site.revoke(self._key)
        self._acknowledged = time.monotonic()
        await asyncio.sleep(self._plan.watch)
        self._over = True
        return max(await asyncio.gather(*probes))

    async def _probe(self, gateway: aiohttp.ClientSession, known: asyncio.Event) -> _Last:
        last, pause = _Last(), self._plan.pace
        while not self._over:
            sent = time.monotonic()
            status = await _ask(gateway, self._key)
            if status == 200:
                known.set()
                last = self._after(sent)
            elif status == 401:
                pause = self._plan.pace * SLOWER
            else:
                self._measured.others[status] += 1
            await asyncio.sleep(pause)
        return last

    def _after(self, sent: float) -> _Last:
        """What an answer that has just come means, if its request was sent after the acknowledgement."""
        if sent < self._acknowledged:
            return _Last()
        return _Last(sent - self._acknowledged, time.monotonic() - self._acknowledged)


@asynccontextmanager
async def _load(
    gateways: Sequence[aiohttp.ClientSession], keys: Sequence[IssuedKey], plan: Plan, measured: Measured
) -> AsyncIterator[None]:
    """Requests of other keys at any gateway, until the block ends."""

    async def worker() -> None:
        while True:
            measured.others[await _ask(random.choice(gateways), random.choice(keys))] += 1  # noqa: S311  any
            await asyncio.sleep(plan.pace)

    workers = [asyncio.create_task(worker()) for _ in range(plan.load_workers)]
    try:
        yield
    finally:
        for task in workers:
            task.cancel()
        await asyncio.wait(workers)


async def _ask(gateway: aiohttp.ClientSession, key: IssuedKey) -> int:
    async with gateway.get(PATH, headers=key.headers) as answer:
        await answer.read()
        return answer.status
