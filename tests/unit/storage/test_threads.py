"""Blocking calls beside the event loop: bounded, in order, and never in the way of an end."""

import asyncio
import subprocess
import sys
import textwrap
import threading

import pytest

from draftstore_storage.backends.threads import Threads


async def test_no_more_calls_run_at_once_than_there_are_threads() -> None:
    threads, lock, running, most = Threads(3), threading.Lock(), 0, 0
    together = threading.Barrier(3)

    def call() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        together.wait(10)
        with lock:
            running -= 1

    await asyncio.gather(*(threads.run(call) for _ in range(9)))
    assert most == 3
    threads.close()


async def test_the_event_loop_goes_on_meanwhile() -> None:
    threads, seen = Threads(1), threading.Event()
    waiting = asyncio.create_task(threads.run(lambda: seen.wait(10)))
    await asyncio.sleep(0)
    seen.set()
    assert await waiting
    threads.close()


async def test_what_a_call_raises_reaches_its_caller() -> None:
    threads = Threads(1)
    with pytest.raises(ZeroDivisionError):
        await threads.run(lambda: 1 // 0)
    assert await threads.run(lambda: 1) == 1
    threads.close()


async def test_a_caller_that_gives_up_leaves_the_queue() -> None:
    threads, release, called = Threads(1), threading.Event(), list[str]()
    busy = asyncio.create_task(threads.run(lambda: release.wait(10)))
    given_up = asyncio.create_task(threads.run(lambda: called.append("given up")))
    await asyncio.sleep(0)
    given_up.cancel()
    await asyncio.gather(given_up, return_exceptions=True)
    release.set()
    await busy
    await threads.run(lambda: called.append("next"))
    assert called == ["next"]
    threads.close()


def test_a_call_that_hangs_does_not_keep_a_process_alive() -> None:
    program = """
        import asyncio, threading
        from draftstore_storage.backends.threads import Threads

        async def main():
            try:
                async with asyncio.timeout(0.1):
                    await Threads(1).run(threading.Event().wait)
            except TimeoutError:
                print("over")

        asyncio.run(main())
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, timeout=20, check=True)
    assert done.stdout == b"over\n"
