"""Servers that outlived the process which started them.

The parent-death signal ends a child whose parent was killed, but not before the next start may have begun. So every
child has a record, and the next start ends the process the record means: the one of that number, that start time and
that working directory. Any other process of the same number is left alone.
"""

import asyncio
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from draftstore_standalone.servers.paths import write_private
from draftstore_standalone.servers.pidfd import StopStep, end, open_pidfd

_START_TIME_FIELD = 22 - 3  # proc(5): field 22 of stat, counted from field 3, the first after the command's name


@dataclass(frozen=True, slots=True)
class ProcessRecord:
    """What tells one process from every other: `start_time` is in clock ticks since the boot named by `boot_id`."""

    pid: int
    start_time: int
    boot_id: str
    directory: str

    @classmethod
    def of(cls, pid: int, directory: Path) -> "ProcessRecord":
        """Describe a running process that works in `directory`."""
        return cls(pid, _start_time(pid), _boot_id(), str(directory))

    @classmethod
    def load(cls, path: Path) -> "ProcessRecord | None":
        """The record in a file, or None if there is no readable one."""
        try:
            return cls(**json.loads(path.read_text()))
        except (FileNotFoundError, json.JSONDecodeError, TypeError):
            return None

    def save(self, path: Path) -> None:
        """Write the record to a file."""
        write_private(path, json.dumps(asdict(self)))

    def open(self) -> int | None:
        """A pidfd of the process, or None if it has ended; the caller closes it."""
        descriptor = open_pidfd(self.pid)
        # Looked at after opening: from here on the descriptor cannot come to mean another process.
        if descriptor is not None and not self._describes_running():
            os.close(descriptor)
            return None
        return descriptor

    def _describes_running(self) -> bool:
        try:
            return (
                self.boot_id == _boot_id()
                and self.start_time == _start_time(self.pid)
                and self.directory == works_in(self.pid)
            )
        except FileNotFoundError:
            return False


async def end_survivor(record_path: Path, steps: Sequence[StopStep]) -> None:
    """End the process a record means, if it still runs, and forget the record."""
    record = ProcessRecord.load(record_path)
    descriptor = record.open() if record else None
    if descriptor is not None:
        try:
            await end(descriptor, steps)
        finally:
            os.close(descriptor)
    await asyncio.to_thread(record_path.unlink, missing_ok=True)


def works_in(pid: int) -> str | None:
    """The working directory of a process; None if it has ended or belongs to another user."""
    try:
        return str(Path(f"/proc/{pid}/cwd").readlink())
    except OSError:
        return None


def _start_time(pid: int) -> int:
    # The command's name may hold blanks and parentheses; nothing after it does.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[_START_TIME_FIELD])


def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
