"""Standalone from its start on data that is there until it says that it is ready, beside the store's own start."""

import asyncio
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

from bench.harness import Bench, in_turn, timed
from bench.results import Figures
from draftstore_standalone.servers import SeaweedServer
from draftstore_standalone.servers.binaries import find_weed
from draftstore_standalone.servers.s3_probe import S3Probe
from support.ports import free_port
from support.stack import make_stack

READY_SECONDS = 60


async def measure(bench: Bench) -> list[Figures]:
    """Seconds. The first start of standalone, which makes the data, does not count.

    The store's own start is `weed server -s3`, as its users have it, on a new folder: after it was killed, it may take
    many times as long. Standalone starts the store's servers one by one, which is told beside.
    """
    stack = make_stack("standalone", "s3", bench.place("start") / "data")
    parts = SeaweedServer(bench.place("start-store") / "data")

    async def standalone() -> float:
        with timed() as took:
            await stack.start()
        await stack.stop()
        return took()

    async def store() -> float:
        with timed() as took, _weed_server(bench) as endpoint:
            await _stores(endpoint)
            return took()

    async def store_in_parts() -> float:
        with timed() as took:
            await parts.start()
        await parts.stop()
        return took()

    try:
        await standalone()
        own, other = await in_turn(bench.scale.few, standalone, store)
        await store_in_parts()
        in_parts = await store_in_parts()
    finally:
        await stack.stop()
        await parts.stop()
    bench.say(
        f"start: {own[-1]:.2f} s, weed server {other[-1]:.2f} s, its servers started by standalone {in_parts:.2f} s"
    )
    return [Figures("start", own, other, {"the store as standalone starts it": round(in_parts, 2)})]


@contextmanager
def _weed_server(bench: Bench) -> Iterator[str]:
    """`weed server -s3` on a new folder and free ports of the loopback interface; yields the S3 endpoint."""
    ports = {name: free_port() for name in ("master", "volume", "filer", "s3")}
    folder = bench.place("weed-server")
    weed = find_weed()
    given = [f"-{name}.port={port}" for name, port in ports.items()]
    given += [f"-{name}.port.grpc={free_port()}" for name in ports]
    command = [str(weed.base / weed.program), "server", "-s3", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-dir={folder}"]
    process = subprocess.Popen([*command, *given], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield f"http://127.0.0.1:{ports['s3']}"
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


async def _stores(endpoint: str) -> None:
    """Return when an object can be stored. Without a configuration of its own the server checks no signature."""
    deadline = time.monotonic() + READY_SECONDS
    async with S3Probe(endpoint, access_key="any", secret_key="any") as probe:  # noqa: S106
        while not await probe.stores_an_object():
            if time.monotonic() > deadline:
                raise TimeoutError("weed server does not store an object")
            await asyncio.sleep(0.02)
