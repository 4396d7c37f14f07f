"""What a request needed is gone with it: cycles would have the garbage collector run all the time."""

import gc
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from draftstore_common.contracts.identity import Scope
from support.running_gateway import Running

REQUESTS = 20
PATH = "/api/v1/drafts"


@contextmanager
def left_behind() -> Iterator[Counter[str]]:
    """Counts, once the block has ended, the gateway's own objects that only the collector would have freed."""
    found: Counter[str] = Counter()
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        yield found
        gc.collect()
        kinds = map(type, gc.garbage)
        found.update(kind.__name__ for kind in kinds if kind.__module__.startswith("draftstore_gateway"))
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


async def test_a_request_leaves_nothing_of_the_gateway_to_the_collector(gateway: Running) -> None:
    headers = gateway.headers(Scope.DRAFTS_READ, Scope.DRAFTS_WRITE)

    async def ask() -> None:
        for _ in range(REQUESTS):
            assert (await gateway.client.get(PATH, headers=headers)).status_code == 200
            assert (await gateway.client.post(PATH, headers=headers, json={"object_name": "a"})).status_code == 200

    await ask()
    with left_behind() as left:
        await ask()
    assert not left
