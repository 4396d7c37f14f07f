"""One run: start everything, load it, do harm, let it settle, audit."""

import asyncio
import random
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import aiohttp

from faults.soak.audit import audit
from faults.soak.client import Client, StuckError
from faults.soak.clock import Rows
from faults.soak.faults import Faults
from faults.soak.feed import Feed
from faults.soak.ledger import Ledger
from faults.soak.load import Load
from faults.soak.mix import MIX
from faults.soak.plan import Plan
from faults.soak.report import Report
from faults.soak.snapshot import take
from faults.soak.system import Cleaners, SoakStack
from faults.soak.uploads import Uploader
from support.settling import settle
from support.stack import running

PROGRESS_SECONDS = 5.0
MORE_CLEANERS_SECONDS = 20.0

Say = Callable[[str], None]


async def soak(plan: Plan, data_dir: Path, say: Say) -> Report:
    """The report of one run on a fresh data directory; `say` is told of its progress."""
    async with running(SoakStack(data_dir)) as stack:
        run = _Run(plan, stack, say)
        async with (
            Rows(stack.database_url) as rows,
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), trust_env=False) as session,
        ):
            return await run.all(session, rows)


class _Run:
    def __init__(self, plan: Plan, stack: SoakStack, say: Say) -> None:
        self._plan = plan
        self._stack = stack
        self._say = say
        self._ledger = Ledger()
        self._enough = asyncio.Event()
        self._began = time.monotonic()
        self._cleaners = Cleaners(stack)
        self._faults = Faults(
            stack, self._cleaners, _chance(f"{plan.seed}"), pause=plan.pause, counts=self._ledger.faults
        )

    async def all(self, session: aiohttp.ClientSession, rows: Rows) -> Report:
        load = await self._load(session, rows)
        self._cleaners.start()
        feed = Feed(load.client)
        await self._storm(load, feed)
        await self._cleaners.stop()
        self._say("all is well again: time passes, and what is due is cleaned")
        rounds, _ = await settle(rows.run, self._cleaners.once)
        self._say(f"settled after {rounds} rounds; the audit begins")
        await feed.read_to_its_end()
        self._ledger.events_read += feed.seen
        findings = audit(self._ledger, await take(self._stack, rows))
        return Report(self._plan, self._ledger, findings, time.monotonic() - self._began, rounds)

    async def _load(self, session: aiohttp.ClientSession, rows: Rows) -> Load:
        key = (await self._stack.issue_key())["key"]
        ledger = self._ledger
        client = Client(session, self._stack.doors, key, answers=ledger.answers, strange=ledger.strange.append)
        return Load(client, Uploader(session), rows, ledger)

    async def _storm(self, load: Load, feed: Feed) -> None:
        """Load and harm until it is enough; every client's story is told to its end, and all harm made good."""
        async with asyncio.TaskGroup() as tasks:
            progress = tasks.create_task(self._progress())
            helpers = [tasks.create_task(self._more_cleaners()), tasks.create_task(feed.follow(self._enough))]
            faults = tasks.create_task(self._faults.run(self._enough))
            clients = [tasks.create_task(self._client(load, number)) for number in range(self._plan.workers)]
            await asyncio.wait([faults, *clients])
            progress.cancel()
            await asyncio.wait(helpers)

    async def _client(self, load: Load, number: int) -> None:
        chance = _chance(f"{self._plan.seed}/{number}")
        scenarios, weights = list(MIX), list(MIX.values())
        while not self._enough.is_set():
            (scenario,) = chance.choices(scenarios, weights)
            try:
                await scenario(load, chance)
            except StuckError as error:
                self._ledger.unsettled.append(f"no final answer: {error}")
            if self._ledger.races.total() >= self._plan.races or self._elapsed() >= self._plan.seconds:
                self._enough.set()

    async def _more_cleaners(self) -> None:
        """Now and then two more cleaners at once; while the system is harmed they may fail, and nothing is lost."""
        while not self._enough.is_set():
            await asyncio.gather(*(self._clean() for _ in range(2)))
            await _either(self._enough, MORE_CLEANERS_SECONDS)

    async def _clean(self) -> None:
        ended = await self._cleaners.once()
        self._ledger.operations[f"cleaner, {ended}"] += 1

    async def _progress(self) -> None:
        while True:
            await asyncio.sleep(PROGRESS_SECONDS)
            races = ", ".join(f"{count} {end}" for end, count in self._ledger.races.most_common(3))
            done = f"{self._elapsed():4.0f} s  {self._ledger.races.total()} races ({races})"
            self._say(f"{done}  {self._ledger.faults.total()} faults, now: {self._faults.now}")

    def _elapsed(self) -> float:
        return time.monotonic() - self._began


def _chance(seed: str) -> random.Random:
    return random.Random(seed)  # noqa: S311  repeatable is what it must be


async def _either(event: asyncio.Event, seconds: float) -> None:
    """Return when the event is set, or after so many seconds."""
    with suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)
