"""A child process that lives and dies with us."""

import asyncio
import ctypes
import os
import re
import signal
import subprocess
import time
import warnings
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NoReturn

from draftstore_standalone.servers.account import Account
from draftstore_standalone.servers.errors import ServerDiedError, ServerStartError
from draftstore_standalone.servers.paths import ServerHome
from draftstore_standalone.servers.pidfd import StopStep, end, exits_within, has_exited, wait_exit
from draftstore_standalone.servers.survivors import ProcessRecord, end_survivor

_PR_SET_PDEATHSIG = 1  # prctl(2)
_CHECK_INTERVAL = 0.01
_LOG_TAIL_BYTES = 16_384
_LOG_TAIL_CHARACTERS = 400
_CAUSE = re.compile(r"FATAL|PANIC|^panic:|^F\d{4} ")


@dataclass(frozen=True, slots=True)
class Program:
    """What to run, where, and how to end it.

    `death_signal` is what the kernel sends the child when we are killed; more exactly, when the *thread* that started
    it ends, so servers are started from a thread that lives as long as they do.
    """

    name: str
    arguments: Sequence[str | Path]
    directory: Path
    stop_steps: Sequence[StopStep]
    death_signal: signal.Signals = signal.SIGKILL
    stdin: Path = Path(os.devnull)


class ServerProcess:
    """One child in the foreground, with its own log, record and session.

    Its environment holds nothing of ours: a credential or a setting there must not reach it. Its
    session is its own, so that Ctrl-C in our terminal does not end it before what depends on it has ended.
    """

    def __init__(self, program: Program, home: ServerHome) -> None:
        self._program = program
        self._account = home.account
        self._log = home.logs / f"{program.name}.log"
        self._record = record_path(home, program.name)
        self._child: subprocess.Popen[bytes] | None = None
        self._pidfd = -1

    @property
    def pid(self) -> int:
        """The child's process number."""
        return self._started().pid

    @property
    def running(self) -> bool:
        """Whether the child has been started and has not ended."""
        return self._child is not None and not has_exited(self._pidfd)

    def start(self) -> None:
        """Start the child; the caller has ended its survivor (`end_survivor`) before.

        Raises:
            ServerStartError: the program cannot be executed.
        """
        if self._log.exists():
            self._log.replace(f"{self._log}.1")
        try:
            with self._log.open("xb") as log:
                self._child = _spawn(self._program, self._account, log)
        except (OSError, subprocess.SubprocessError) as error:
            raise ServerStartError(f"{self._program.name} cannot be started: {error}") from error
        self._pidfd = os.pidfd_open(self._child.pid)
        ProcessRecord.of(self._child.pid, self._program.directory).save(self._record)

    async def wait_ready(self, check: Callable[[], Awaitable[bool]], *, seconds: float) -> None:
        """Return when `check` says yes.

        Raises:
            ServerStartError: the child ended, or `seconds` have passed; with the end of the child's log.
        """
        deadline = time.monotonic() + seconds
        while not await check():
            if not self.running:
                raise ServerStartError(self._obituary("did not start"))
            if time.monotonic() > deadline:
                raise ServerStartError(f"{self._program.name} was not ready within {seconds:g} s{self._last_words()}")
            await exits_within(self._pidfd, _CHECK_INTERVAL)

    async def run_to_end(self, *, seconds: float) -> None:
        """Start the child and wait until it has done its work.

        Raises:
            ServerStartError: it failed, or `seconds` have passed.
        """
        self.start()
        if not await exits_within(self._pidfd, seconds):
            await self.kill()
            raise ServerStartError(f"{self._program.name} did not finish within {seconds:g} s{self._last_words()}")
        if self._collect() != 0:
            raise ServerStartError(self._obituary("failed"))

    async def watch(self) -> NoReturn:
        """Wait until the child ends by itself.

        Raises:
            ServerDiedError: it has ended; also when `stop` did it, so end the watch first.
        """
        self._started()
        await wait_exit(self._pidfd)
        raise ServerDiedError(self._obituary("has ended by itself"))

    async def stop(self) -> None:
        """End the child by the program's stop steps, SIGKILL at last; does nothing when it does not run."""
        if self._child is not None:
            await end(self._pidfd, self._program.stop_steps)
            self._collect()

    async def kill(self) -> None:
        """End the child at once, as a crash would, and whatever it started in its own session (setsid(2))."""
        if self._child is not None:
            # Not collected yet, so its number is nobody else's, and neither is its group's. An initdb that ends
            # alone leaves children that go on writing.
            os.killpg(self._child.pid, signal.SIGKILL)
            await wait_exit(self._pidfd)
            self._collect()

    def _started(self) -> subprocess.Popen[bytes]:
        if self._child is None:
            raise ServerDiedError(f"{self._program.name} has not been started")
        return self._child

    def _collect(self) -> int:
        code = self._started().wait()
        os.close(self._pidfd)
        self._child, self._pidfd = None, -1
        self._record.unlink(missing_ok=True)
        return code

    def _obituary(self, what: str) -> str:
        return f"{self._program.name} {what}{self._last_words()}"

    def _last_words(self) -> str:
        with self._log.open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - _LOG_TAIL_BYTES))
            lines = [line.strip() for line in log.read().decode(errors="replace").splitlines() if line.strip()]
        causes = [line for line in lines if _CAUSE.search(line)] or lines[-3:]
        return f": {' | '.join(causes)[:_LOG_TAIL_CHARACTERS]} (log: {self._log})" if causes else f" (log: {self._log})"


def record_path(home: ServerHome, name: str) -> Path:
    """Where the record of the process `name` is kept."""
    return home.run / f"{name}.json"


async def end_survivors(home: ServerHome, names: Sequence[str], steps: Sequence[StopStep]) -> None:
    """End what an earlier parent left running under these names."""
    await asyncio.gather(*(end_survivor(record_path(home, name), steps) for name in names))


def _spawn(program: Program, account: Account, log: IO[bytes]) -> subprocess.Popen[bytes]:
    with program.stdin.open("rb") as stdin, warnings.catch_warnings():
        # Python 3.12 warns of forking with threads about; all that runs in the child is one prepared system call.
        warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
        return subprocess.Popen(  # noqa: S603 - the program is our own wheel's
            [str(argument) for argument in program.arguments],
            cwd=program.directory,
            env={"PATH": os.defpath, "LC_ALL": "C", "HOME": str(program.directory)},
            stdin=stdin,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            umask=0o077,
            preexec_fn=_die_with_parent(program.death_signal),  # noqa: PLW1509 - see above
            **account.spawn_arguments(),
        )


def _die_with_parent(death_signal: signal.Signals) -> Callable[[], None]:
    # Everything is looked up here, before the fork. The call comes after the change of user, which would undo it.
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    number, parent = int(death_signal), os.getpid()

    def in_child() -> None:
        prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)
        if os.getppid() != parent:  # it died before the call
            os._exit(1)

    return in_child
