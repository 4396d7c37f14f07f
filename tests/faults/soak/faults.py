"""What goes wrong, at random and one after another: processes killed with -9, lines cut, slowed and swallowed."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial

from draftstore_standalone.servers.errors import ServerError
from faults.soak.system import CLEANERS, Cleaners, SoakStack
from support.child import ChildFailedError
from support.proxy import Proxy

Fault = Callable[[], Awaitable[None]]

START_ATTEMPTS = 5


class Faults:
    """Does harm and makes it good again, `pause` seconds (from, to) between one and the next."""

    def __init__(
        self,
        stack: SoakStack,
        cleaners: Cleaners,
        chance: random.Random,
        *,
        pause: tuple[float, float],
        counts: Counter[str],
    ) -> None:
        self._stack = stack
        self._cleaners = cleaners
        self._chance = chance
        self._pause = pause
        self._counts = counts
        self._kinds = self._all_kinds()
        self.now = "nothing"

    async def run(self, enough: asyncio.Event) -> None:
        """Do harm until it is enough, each kind as often as the others, sometimes two at once; leave all in order."""
        while not enough.is_set():
            for name in self._chance.sample(list(self._kinds), len(self._kinds)):
                with suppress(TimeoutError):
                    await asyncio.wait_for(enough.wait(), self._chance.uniform(*self._pause))
                    return
                another = self._chance.choice(list(self._kinds))
                await self._do({name, another} if self._chance.random() < 1 / 6 else {name})

    async def _do(self, names: set[str]) -> None:
        self.now = " and ".join(sorted(names))
        self._counts.update(names)
        await asyncio.gather(*(self._kinds[name]() for name in names))
        self.now = "nothing"

    def _all_kinds(self) -> dict[str, Fault]:
        kinds: dict[str, Fault] = {
            "PostgreSQL killed": partial(self._restarted, self._stack.postgres.kill, self._stack.postgres.start),
            "store killed": partial(self._restarted, self._stack.object_store.kill, self._stack.object_store.start),
        }
        for name, service in self._stack.services.items():
            kinds[f"{name} killed"] = partial(self._restarted, service.child.kill, service.start)
        for name in CLEANERS:
            kinds[f"{name} killed"] = partial(self._cleaner_killed, name)
        for name, line in self._stack.lines.items():
            kinds[f"{name} cut"] = partial(self._disturbed, line, line.cut)
            kinds[f"{name} slow"] = partial(self._disturbed, line, partial(line.slow, delay=0.05))
            kinds[f"{name} swallowing"] = partial(self._disturbed, line, line.blackhole)
        return kinds

    async def _restarted(self, kill: Fault, start: Fault) -> None:
        await kill()
        await asyncio.sleep(self._chance.uniform(0, 1))
        for attempt in range(1, START_ATTEMPTS + 1):
            try:
                await start()
            except (ChildFailedError, ServerError):  # what it stands on may be away too
                if attempt == START_ATTEMPTS:
                    raise
                await kill()
            else:
                return

    async def _cleaner_killed(self, name: str) -> None:
        await self._cleaners.kill(name)
        await asyncio.sleep(self._chance.uniform(0, 1))
        self._cleaners.start()

    async def _disturbed(self, line: Proxy, harm: Callable[[], None]) -> None:
        harm()
        await asyncio.sleep(self._chance.uniform(0.2, 4))
        if self._chance.random() < 0.5:
            line.reset()  # else what was held back arrives after all
        await line.restore()
