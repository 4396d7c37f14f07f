"""The system under test: every service a process, two gateways and two draft-services, proxies on the busy lines."""

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import urlsplit

from support.child import Child
from support.proxy import Proxy
from support.stack_processes import ProcessesStack, Service

SETTINGS = {"CONFIRM_LEASE": "5", "CONFIRM_WAIT": "3", "TEND_INTERVAL": "1", "LOG_LEVEL": "WARNING"}
"""Leases as short as they may be, so that a dead attempt is found while others race."""

LONGEST_RUN = 600.0
"""Seconds one cleaning may take."""

CLEANERS = ("cleaner-1", "cleaner-2")


class SoakStack(ProcessesStack):
    """The product with a second gateway and draft-service, and a proxy before PostgreSQL and before the store.

    Clients PUT to the store itself, as they would past a firewall; only services come through the proxies.
    """

    def __init__(self, data_dir: Path) -> None:
        super().__init__(data_dir, "s3", SETTINGS)
        self.lines: dict[str, Proxy] = {}
        self._proxies = AsyncExitStack()

    @property
    def doors(self) -> tuple[str, str]:
        """The URLs of both gateways."""
        return self.services["gateway"].url, self.services["gateway-2"].url

    async def start(self) -> None:
        await super().start()
        await asyncio.gather(*(self.services[name].start() for name in ("drafts-2", "gateway-2")))

    async def stop(self) -> None:
        await super().stop()
        await self._proxies.aclose()

    async def _start_servers(self) -> None:
        await super()._start_servers()
        database = urlsplit(self.database_url)
        targets = {"metadata—PostgreSQL": f"{database.hostname}:{database.port}", "storage—store": self.s3_endpoint}
        for name, target in targets.items():
            self.lines[name] = await self._proxies.enter_async_context(Proxy(target))

    def _described(self) -> dict[str, Service]:
        second_drafts = self._service("drafts-2", "drafts", self._environment("drafts"))
        through = {**self._environment("gateway"), "DRAFTS_URL": second_drafts.url}
        second_gateway = self._service("gateway-2", "gateway", through)
        return {**super()._described(), "drafts-2": second_drafts, "gateway-2": second_gateway}

    def _environment(self, name: str) -> dict[str, str]:
        environment = super()._environment(name)
        if name == "metadata":
            database = self.lines["metadata—PostgreSQL"].address
            real = urlsplit(self.database_url)
            environment["DATABASE_URL"] = real._replace(netloc=f"{real.username}:{real.password}@{database}").geturl()
        return environment

    def _store_environment(self) -> dict[str, str]:
        environment = super()._store_environment()
        return {
            **environment,
            "S3_ENDPOINT_URL": self.lines["storage—store"].url,
            "STORAGE_PUBLIC_ENDPOINT": self.s3_endpoint,
        }


class Cleaners:
    """Two cleaners that run every second, and now and then some more at once."""

    def __init__(self, stack: SoakStack) -> None:
        self._stack = stack
        self._extra = 0
        self._loops = {name: self._child(name, "loop") for name in CLEANERS}

    def start(self) -> None:
        """Start those that do not run."""
        for child in self._loops.values():
            if not child.running:
                child.start()

    async def kill(self, name: str) -> None:
        """End one in the middle of whatever it does."""
        await self._loops[name].kill()

    async def stop(self) -> None:
        """End both in order."""
        await asyncio.gather(*(child.stop() for child in self._loops.values()))

    async def once(self) -> str:
        """One more cleaner, to its end; how it ended."""
        self._extra += 1
        child = self._child(f"cleaner-once-{self._extra}", "once")
        child.start()
        return "done" if await child.ended(seconds=LONGEST_RUN) == 0 else "failed"

    def _child(self, name: str, command: str) -> Child:
        environment: Mapping[str, str] = {**self._stack.cleaner_environment(), "CLEANER_INTERVAL": "1"}
        return Child(name, ("draftstore_cleaner", command), environment=environment, folder=self._stack.logs)
