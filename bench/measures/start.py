"""Standalone from its start on data that is there until it says that it is ready, beside the store alone."""

from bench.harness import Bench, in_turn, timed
from bench.results import Figures
from draftstore_standalone.servers import SeaweedServer
from support.stack import make_stack


async def measure(bench: Bench) -> list[Figures]:
    """Seconds. The first start of each, which makes the data, does not count."""
    stack = make_stack("standalone", "s3", bench.place("start") / "data")
    store_data = bench.place("start-store") / "data"

    async def standalone() -> float:
        with timed() as took:
            await stack.start()
        await stack.stop()
        return took()

    async def store() -> float:
        server = SeaweedServer(store_data)
        with timed() as took:
            await server.start()
        await server.stop()
        return took()

    try:
        await standalone()
        await store()
        own, other = await in_turn(bench.scale.few, standalone, store)
    finally:
        await stack.stop()
    bench.say(f"start: {own[-1]:.2f} s, the store alone {other[-1]:.2f} s")
    return [Figures("start", own, other)]
