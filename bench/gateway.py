"""CPU time of a request with a known key through the gateway, beside a bare proxy on the same client library.

`make bench-gateway` runs both in turn, round by round, so that whatever else the machine does meets both, and reads
what the kernel charged each process (user and system). Needs `wrk` (apt-get install wrk). Takes a minute and a half.
"""

import asyncio
import os
import re
import shutil
import statistics
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from draftstore_common.contracts.identity import RateLimit, Scope
from support.child import Child
from support.gateway import SERVICE_KEY, SmallIdentity
from support.ports import free_port
from support.stack_base import answers
from support.uvicorn_server import served

ROUNDS = 9
SECONDS = 4
WARM_UP = 2
CONNECTIONS = 32
PATH = "/api/v1/drafts"

_REQUESTS = re.compile(r"(\d+) requests in")
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Subject:
    """A proxy under load, and what its requests cost."""

    name: str
    port: int
    child: Child
    microseconds: list[float] = field(default_factory=list)
    per_second: list[float] = field(default_factory=list)

    def cpu(self) -> float:
        """Seconds of user and system time so far (proc_pid_stat(5))."""
        fields = (Path("/proc") / str(self.child.pid) / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    async def round(self, key: str, *, seconds: int = SECONDS) -> None:
        """Load it for so long, and note what that took."""
        before = self.cpu()
        requests = await _load(f"http://127.0.0.1:{self.port}{PATH}", key, seconds)
        self.microseconds.append((self.cpu() - before) / requests * 1e6)
        self.per_second.append(requests / seconds)


async def _load(url: str, key: str, seconds: int) -> int:
    """How many requests were answered with success; raises if one was not."""
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-H", f"Authorization: Bearer {key}", url]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    output = (await process.communicate())[0].decode()
    found = _REQUESTS.search(output)
    if found is None or "Non-2xx" in output or "Socket errors" in output:
        raise RuntimeError(output)
    return int(found[1])


@asynccontextmanager
async def _running(name: str, module: str, folder: Path, path: str, **environment: str) -> AsyncIterator[Subject]:
    port = free_port()
    given = {"PYTHONPATH": ".", "PORT": str(port), "HTTP_PORT": str(port), **environment}
    child = Child(name, (module,), environment=given, folder=folder)
    child.start()
    try:
        await child.ready(lambda: answers(f"http://127.0.0.1:{port}{path}"))
        yield Subject(name, port, child)
    finally:
        await child.kill()


async def _measure(folder: Path) -> list[Subject]:
    identity = SmallIdentity()
    key = identity.issue(*Scope, rate_limits=[RateLimit(amount=1_000_000_000, seconds=60)]).secret
    async with AsyncExitStack() as stack:
        keys = await stack.enter_async_context(served(identity.app))
        stack.push_async_callback(identity.feed.cut)  # ends the poll of the gateway that is gone
        service = await stack.enter_async_context(_running("service", "bench.small_service", folder, "/"))
        url = f"http://127.0.0.1:{service.port}"
        bare = _running("bare proxy", "bench.bare_proxy", folder, "/", SERVICE_URL=url)
        settings = {"SERVICE_KEY": SERVICE_KEY, "IDENTITY_URL": f"http://127.0.0.1:{keys}", "DRAFTS_URL": url}
        gateway = _running("gateway", "draftstore_gateway", folder, "/health/ready", **settings)
        subjects = [await stack.enter_async_context(running) for running in (bare, gateway)]
        for subject in subjects:
            await _load(f"http://127.0.0.1:{subject.port}{PATH}", key, WARM_UP)
        for _ in range(ROUNDS):
            for subject in subjects:
                await subject.round(key)
    return subjects


def _report(bare: Subject, gateway: Subject) -> str:
    lines = [f"{ROUNDS} rounds of {SECONDS} s each, {CONNECTIONS} connections, median (least to most)", ""]
    lines += [f"{'':12} {'CPU µs per request':>28} {'requests/s':>12}"]
    for subject in (bare, gateway):
        spread = f"{min(subject.microseconds):.0f} to {max(subject.microseconds):.0f}"
        cost = f"{statistics.median(subject.microseconds):.0f} ({spread})"
        lines.append(f"{subject.name:12} {cost:>28} {statistics.median(subject.per_second):>12.0f}")
    pairs = zip(gateway.microseconds, bare.microseconds, strict=True)
    ratios = [own / other for own, other in pairs]
    lines += ["", f"gateway / bare proxy: {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"]
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    if shutil.which("wrk") is None:
        sys.exit("wrk is needed to make the load: apt-get install wrk")
    with tempfile.TemporaryDirectory() as folder:
        bare, gateway = asyncio.run(_measure(Path(folder)))
    print(_report(bare, gateway))


if __name__ == "__main__":
    main()
