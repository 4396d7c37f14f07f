"""A program of ours as a child process: its own log files, a bounded wait for it to be ready, and a sure end."""

import asyncio
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from support.issued import ISSUED

_PR_SET_PDEATHSIG = 1  # prctl(2)
_TAIL_BYTES = 4_000
_CHECK_SECONDS = 0.02

Check = Callable[[], Awaitable[bool]]


class ChildFailedError(RuntimeError):
    """A child ended, or was not ready in time; the message ends with the tail of its log."""


class Child:
    """`python -m <module> …` with this environment only. The kernel ends it with SIGTERM when the tests die."""

    def __init__(self, name: str, arguments: tuple[str, ...], *, environment: Mapping[str, str], folder: Path) -> None:
        self.name = name
        self.stdout, self.stderr = folder / f"{name}.stdout", folder / f"{name}.stderr"
        self._command = [sys.executable, "-m", *arguments]
        self._environment = dict(environment)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Its process number; known from `start` on."""
        return self._started().pid

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def start(self, **more: str) -> None:
        """Start it, its output appended to its log files; `more` is added to its environment from now on."""
        self._environment |= more
        ISSUED.add_environment(self._environment)
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        self.stdout.parent.mkdir(parents=True, exist_ok=True)
        with self.stdout.open("ab") as out, self.stderr.open("ab") as err:
            self._process = subprocess.Popen(
                self._command,
                env=kept | self._environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                preexec_fn=_ends_with_its_parent(),  # noqa: PLW1509  one prepared system call
            )

    async def ready(self, check: Check, *, seconds: float = 30) -> None:
        """Return when `check` says yes; `ChildFailedError` when it ends before, or after `seconds`."""
        deadline = time.monotonic() + seconds
        while not await check():
            if not self.running:
                raise ChildFailedError(f"{self.name} ended with status {self._started().returncode}\n{self.tail()}")
            if time.monotonic() > deadline:
                raise ChildFailedError(f"{self.name} was not ready within {seconds:g} s\n{self.tail()}")
            await asyncio.sleep(_CHECK_SECONDS)

    async def ended(self, *, seconds: float = 30) -> int:
        """Its exit status, once it has ended; `ChildFailedError` when it still runs after `seconds`."""
        try:
            return await asyncio.to_thread(self._started().wait, seconds)
        except subprocess.TimeoutExpired:
            raise ChildFailedError(f"{self.name} still runs after {seconds:g} s\n{self.tail()}") from None

    async def stop(self, *, seconds: float = 30) -> None:
        """SIGTERM, and SIGKILL if that is not heard; does nothing when it does not run."""
        if not self.running:
            return
        self._started().terminate()
        try:
            await self.ended(seconds=seconds)
        except ChildFailedError:
            await self.kill()
            raise

    def signal(self, number: int) -> None:
        """Send a signal, and wait for nothing."""
        self._started().send_signal(number)

    async def kill(self) -> None:
        """SIGKILL, as a crash would; does nothing when it does not run."""
        if self.running:
            self._started().kill()
            await self.ended()

    def tail(self) -> str:
        """The end of what it said."""
        texts = [path.read_bytes()[-_TAIL_BYTES:].decode(errors="replace") for path in (self.stdout, self.stderr)]
        return "\n".join(text for text in texts if text)

    def _started(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, f"{self.name} was not started"
        return self._process


def descendants(pid: int) -> dict[int, str]:
    """Processes below `pid`, each with its start time, so that a number used again is not taken for the old one."""
    parents = {child: parent for child in _numbers() if (parent := _stat(child, 1))}
    found: dict[int, str] = {}
    frontier = {str(pid)}
    while frontier:
        frontier = {str(child) for child, parent in parents.items() if parent in frontier}
        found |= {int(child): _stat(int(child), 19) for child in frontier}
    return found


def alive(processes: Mapping[int, str]) -> list[int]:
    """Which of these processes still run."""
    return [pid for pid, began in processes.items() if _stat(pid, 19) == began and _stat(pid, 0) != "Z"]


def _numbers() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal()]


def _stat(pid: int, field: int) -> str:
    """A field of /proc/<pid>/stat, counted from the state (0); empty when there is no such process."""
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[field]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def _ends_with_its_parent() -> Callable[[], None]:
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    number = int(signal.SIGTERM)

    def in_child() -> None:
        prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)

    return in_child
