"""The data directory of PostgreSQL: made whole or not at all, and cleared of what a killed server left in it."""

import asyncio
import secrets
import shutil
import signal
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from draftstore_standalone.servers.account import Account
from draftstore_standalone.servers.errors import DataDirectoryError
from draftstore_standalone.servers.paths import ServerHome, sync_folder, write_private
from draftstore_standalone.servers.pidfd import StopStep
from draftstore_standalone.servers.process import Program, ServerProcess
from draftstore_standalone.servers.survivors import works_in

SUPERUSER = "draftstore"
DATABASE = "draftstore"

INIT_PROCESS = "postgres-init"
INIT_STOP: tuple[StopStep, ...] = ((signal.SIGTERM, 1.0),)

_INIT_SECONDS = 60
_NEW_PREFIX = ".new-"
_SEGMENT_SECONDS = 3
_ABANDONED_SECONDS = 3
_CHECK_INTERVAL = 0.01
_PASSWORD_BYTES = 24

# postmaster.pid: the server's process number, and the key and id of its shared memory segment.
_PID_LINE, _SEGMENT_LINE, _STATUS_LINE = 0, 6, 7


@dataclass(frozen=True, slots=True)
class Cluster:
    """A PostgreSQL data directory and the password of its one role, side by side in the folder of the server."""

    folder: Path

    @property
    def data(self) -> Path:
        """What PostgreSQL calls PGDATA; it exists only complete."""
        return self.folder / "data"

    @property
    def password(self) -> str:
        """The password of `SUPERUSER`."""
        return self._password_file.read_text().strip()

    @property
    def _password_file(self) -> Path:
        return self.folder / "password"

    @property
    def _lock_file(self) -> Path:
        return self.data / "postmaster.pid"

    def is_ready(self, pid: int) -> bool:
        """Whether the server `pid` says that it takes connections."""
        lines = self._lock_file_lines()
        return len(lines) > _STATUS_LINE and lines[_PID_LINE] == str(pid) and lines[_STATUS_LINE].strip() == "ready"

    async def make(self, home: ServerHome, initdb: Path) -> None:
        """Make the data directory with its database, unless it is there.

        It is made under another name and renamed when complete, so one that was interrupted is never taken for one.
        """
        await self._remove_abandoned()
        if self.data.exists():
            return
        new = self._prepare(home.account)
        await self._run(home, _initdb(initdb, new, self._password_file))
        await self._run(home, _create_database(initdb.with_name("postgres"), new, home))
        self._publish(new)

    async def clear_leftovers(self) -> None:
        """Remove the lock file of a server that was killed.

        PostgreSQL does so itself, except when the number in it belongs to another process by now. The caller knows
        that no server of ours runs; here it is made sure that none of anybody else's does, and that every process of
        the killed one has let go of its shared memory.

        Raises:
            DataDirectoryError: a server that we did not start is using the data directory.
        """
        lines = self._lock_file_lines()
        if lines and works_in(int(lines[_PID_LINE])) == str(self.data):
            raise DataDirectoryError(
                f"a PostgreSQL server that is not ours (pid {lines[_PID_LINE]}) runs on {self.data}: stop it first"
            )
        if len(lines) > _SEGMENT_LINE:
            await self._segment_released(lines[_SEGMENT_LINE].split())
        self._lock_file.unlink(missing_ok=True)

    async def _remove_abandoned(self) -> None:
        """Remove what an interrupted first start left. What resists waits for the next start: it is in nobody's way."""
        deadline = time.monotonic() + _ABANDONED_SECONDS
        while abandoned := list(self.folder.glob(f"{_NEW_PREFIX}*")):
            for folder in abandoned:
                shutil.rmtree(folder, ignore_errors=True)
            if time.monotonic() > deadline:
                return
            await asyncio.sleep(_CHECK_INTERVAL)  # children of an initdb may outlive it, and write on, for a moment

    def _prepare(self, account: Account) -> Path:
        write_private(self._password_file, secrets.token_urlsafe(_PASSWORD_BYTES), account)
        new = Path(tempfile.mkdtemp(dir=self.folder, prefix=_NEW_PREFIX))
        account.own(new)
        return new

    def _publish(self, new: Path) -> None:
        new.rename(self.data)
        sync_folder(self.folder)

    async def _segment_released(self, key_and_id: list[str]) -> None:
        deadline = time.monotonic() + _SEGMENT_SECONDS
        while _attached_to_segment(key_and_id):
            if time.monotonic() > deadline:
                raise DataDirectoryError(f"processes of a killed PostgreSQL server are still using {self.data}")
            await asyncio.sleep(_CHECK_INTERVAL)

    def _lock_file_lines(self) -> list[str]:
        try:
            return self._lock_file.read_text().splitlines()
        except FileNotFoundError:
            return []

    async def _run(self, home: ServerHome, program: Program) -> None:
        process = ServerProcess(program, home)
        try:
            await process.run_to_end(seconds=_INIT_SECONDS)
        finally:
            await process.kill()


def _initdb(initdb: Path, target: Path, password_file: Path) -> Program:
    arguments = (
        initdb,
        f"--pgdata={target}",
        f"--username={SUPERUSER}",
        f"--pwfile={password_file}",
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        "--locale=C",
        "--no-instructions",
    )
    return Program(INIT_PROCESS, arguments, target, INIT_STOP)


def _create_database(postgres: Path, target: Path, home: ServerHome) -> Program:
    # Single-user mode reads statements from its standard input; they are the same for everybody, and not secret.
    statement = home.run / "create-database.sql"
    statement.write_text(f"CREATE DATABASE {DATABASE};\n")
    arguments = (postgres, "--single", "-D", target, "-c", "exit_on_error=on", "postgres")
    return Program(INIT_PROCESS, arguments, target, INIT_STOP, stdin=statement)


def _attached_to_segment(key_and_id: list[str]) -> bool:
    """Whether a System V shared memory segment has any process attached, by the kernel's list (sysvipc(5))."""
    listing = Path("/proc/sysvipc/shm")
    if not listing.exists() or len(key_and_id) != len(("key", "id")):
        return False
    header, *rows = (line.split() for line in listing.read_text().splitlines())
    segments = (dict(zip(header, row, strict=False)) for row in rows)
    return any(segment["shmid"] == key_and_id[1] and int(segment["nattch"]) for segment in segments)
