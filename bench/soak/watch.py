"""What every process holds in memory, looked at again and again beside the load."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from bench.harness import resident_mib
from bench.site import Site
from support.child import descendants

EVERY = 5.0
"""Seconds between two looks."""


class Memory:
    """The most MiB by kind of process since the last question: `suite`, `postgres`, and each server of the store.

    PostgreSQL's processes share most of theirs, so of those it is each one's share that is added up (Pss, proc(5)).
    """

    def __init__(self, site: Site) -> None:
        self._site = site
        self._most: dict[str, float] = {}

    def look(self) -> None:
        """Note what is held now."""
        held: dict[str, float] = defaultdict(float)
        held["suite"] = self._site.resident_mib()
        for pid in self._site.pids:
            for child in descendants(pid):
                _add(held, child)
        self._most = {name: max(mib, self._most.get(name, 0)) for name, mib in held.items()}

    def most(self) -> dict[str, int]:
        """What was noted; begins anew."""
        self.look()
        most, self._most = self._most, {}
        return {name: round(mib) for name, mib in sorted(most.items())}


@asynccontextmanager
async def memory(site: Site) -> AsyncIterator[Memory]:
    """Looks until the block ends."""
    held = Memory(site)

    async def look() -> None:
        while True:
            held.look()
            await asyncio.sleep(EVERY)

    task = asyncio.create_task(look())
    try:
        yield held
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _add(held: dict[str, float], pid: int) -> None:
    """A process that ended meanwhile holds nothing."""
    proc = Path("/proc") / str(pid)
    try:
        command = (proc / "cmdline").read_bytes().split(b"\0")
        name = Path(command[0].split(b":")[0].decode()).name
        if name == "weed":
            held[f"seaweedfs {_server(command)}"] += resident_mib(pid)
        elif name == "postgres":
            held[name] += _share_mib(proc)
    except (FileNotFoundError, ProcessLookupError):
        return


def _server(command: list[bytes]) -> str:
    """Which of SeaweedFS's servers it is: the word that is no option."""
    known = ("master", "volume", "filer", "s3")
    return next((part.decode() for part in command[1:] if part.decode() in known), "server")


def _share_mib(proc: Path) -> float:
    lines = (proc / "smaps_rollup").read_text().splitlines()
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("Pss:")), 0.0)
