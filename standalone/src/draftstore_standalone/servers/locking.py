"""One owner per data directory."""

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from draftstore_standalone.servers.errors import DataDirectoryInUseError


class DataDirectoryLock:
    """An exclusive lock on a file, held until released.

    The kernel releases it when the holder ends, however it ends, so nothing has to be cleaned up after a kill. Children
    do not inherit it.
    """

    def __init__(self, path: Path, *, data_dir: Path) -> None:
        self._path = path
        self._data_dir = data_dir
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take the lock, or fail at once.

        Raises:
            DataDirectoryInUseError: another process, or another object of this one, holds it.
        """
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 32).decode().strip() or "unknown"
            os.close(descriptor)
            raise DataDirectoryInUseError(
                f"data directory {self._data_dir} is in use by another process (pid {holder})"
            ) from None
        os.truncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self._descriptor = descriptor

    def release(self) -> None:
        """Give the lock back; does nothing when it is not held."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
