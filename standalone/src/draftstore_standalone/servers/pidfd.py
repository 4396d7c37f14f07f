"""Processes held by descriptor: a signal or a wait never reaches another process that got the same number."""

import asyncio
import os
import select
import signal
from collections.abc import Sequence

StopStep = tuple[signal.Signals, float]
"""A signal, and the seconds a process gets to end after it."""


def open_pidfd(pid: int) -> int | None:
    """A descriptor of a running process, or None when there is none of that number."""
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        return None


def has_exited(pidfd: int) -> bool:
    """Whether the process has ended (its parent need not have collected it)."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(0))


async def wait_exit(pidfd: int) -> None:
    """Return when the process has ended."""
    loop = asyncio.get_running_loop()
    exited = asyncio.Event()
    # The loop keeps one reader per descriptor, and there may be several waiters.
    own = os.dup(pidfd)
    loop.add_reader(own, exited.set)
    try:
        await exited.wait()
    finally:
        loop.remove_reader(own)
        os.close(own)


async def exits_within(pidfd: int, seconds: float) -> bool:
    """Whether the process ends within `seconds`."""
    try:
        await asyncio.wait_for(wait_exit(pidfd), seconds)
    except TimeoutError:
        return has_exited(pidfd)
    return True


async def end(pidfd: int, steps: Sequence[StopStep]) -> None:
    """End a process: each step's signal, then its seconds to react, and SIGKILL at last."""
    for number, seconds in steps:
        send_signal(pidfd, number)
        if await exits_within(pidfd, seconds):
            return
    send_signal(pidfd, signal.SIGKILL)
    await wait_exit(pidfd)


def send_signal(pidfd: int, number: signal.Signals) -> None:
    """Send a signal; a process that has ended is left alone."""
    try:
        signal.pidfd_send_signal(pidfd, number)
    except ProcessLookupError:
        return
