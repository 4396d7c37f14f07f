"""What every measurement is given: how long and how large, the load, a folder, and somebody to tell."""

import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from bench.load import Replay
from support.child import Child
from support.ports import free_port
from support.stack_base import answers

_TICKS = os.sysconf("SC_CLK_TCK")
_ROOT = Path(__file__).parents[1]
_NUMBERS = count()


@dataclass(frozen=True)
class Scale:
    """How much of everything. `seconds` is the length of a round of load, `few` the rounds where one takes long."""

    rounds: int
    few: int
    seconds: float
    confirms: int
    cleaned: int
    rows: int
    objects: int
    requests: int
    full: bool


FULL = Scale(
    rounds=5,
    few=3,
    seconds=3,
    confirms=1500,
    cleaned=10_000,
    rows=2_000_000,
    objects=100_000,
    requests=100_000,
    full=True,
)
QUICK = Scale(
    rounds=2,
    few=1,
    seconds=1,
    confirms=150,
    cleaned=1000,
    rows=100_000,
    objects=4000,
    requests=4000,
    full=False,
)

Say = Callable[[str], None]


@dataclass(frozen=True)
class Bench:
    """One run. Folders are open to every account: as root, the servers run as another one."""

    scale: Scale
    folder: Path
    replay: Replay
    say: Say

    def place(self, name: str) -> Path:
        """A folder of its own for what is called so."""
        place = self.folder / f"{name}-{next(_NUMBERS)}"
        place.mkdir()
        place.chmod(0o755)
        return place


@dataclass(frozen=True)
class Server:
    """A program of ours on a port."""

    port: int
    child: Child

    def cpu(self) -> float:
        """Seconds of user and system time so far."""
        return cpu_seconds(self.child.pid)


@asynccontextmanager
async def running(bench: Bench, name: str, module: str, ready: str, **environment: str) -> AsyncIterator[Server]:
    """`python -m module` with `PORT` and `HTTP_PORT`, once `ready` answers 200, until the block ends."""
    port = free_port()
    path = os.pathsep.join(str(folder) for folder in (_ROOT, _ROOT / "tests"))
    given = {"PYTHONPATH": path, "PORT": str(port), "HTTP_PORT": str(port), **environment}
    child = Child(name, (module,), environment=given, folder=bench.place(name))
    child.start()
    try:
        await child.ready(lambda: answers(f"http://127.0.0.1:{port}{ready}"))
        yield Server(port, child)
    finally:
        await child.kill()


def cpu_seconds(pid: int) -> float:
    """User and system time a process was charged so far (proc_pid_stat(5))."""
    fields = (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def resident_mib(pid: int) -> float:
    """The resident memory of a process in MiB (proc_pid_statm(5))."""
    pages = int((Path("/proc") / str(pid) / "statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


@contextmanager
def timed() -> Iterator[Callable[[], float]]:
    """Asks for the seconds since the block began; after it, for those it took."""
    began = time.perf_counter()
    ended: list[float] = []
    yield lambda: (ended[0] if ended else time.perf_counter()) - began
    ended.append(time.perf_counter())


async def in_turn(rounds: int, *subjects: Callable[[], Awaitable[float]]) -> list[list[float]]:
    """The figures of each subject, measured round by round in turn; every second round backwards.

    Whatever else the machine does meets all of them.
    """
    found: list[list[float]] = [[] for _ in subjects]
    for number in range(rounds):
        order = range(len(subjects)) if number % 2 == 0 else reversed(range(len(subjects)))
        for index in order:
            found[index].append(await subjects[index]())
    return found
