"""Confirm, beside the three calls to the store that are the least it can be made of."""

from itertools import count
from statistics import median

from bench.harness import in_turn
from bench.load.requests import confirms
from bench.results import Figures
from bench.site import CONTENT, SETTLING, Site

CONNECTIONS = 32

_FOLDERS = count()


async def measure(site: Site) -> list[Figures]:
    """Drafts per second; bytes and rows are there before the clock starts."""
    scale = site.bench.scale
    await _confirmed(site, scale.confirms // 10)
    costs: list[float] = []

    async def confirm() -> float:
        rate, microseconds = await _confirmed(site, scale.confirms)
        costs.append(microseconds)
        site.bench.say(f"confirm: {rate:,.0f}/s, {microseconds:,.0f} µs CPU")
        return rate

    async def raw() -> float:
        folder = f"bench/raw-{next(_FOLDERS)}"
        rate = await _raw(site, [f"{folder}/{number}" for number in range(scale.confirms)])
        site.bench.say(f"HEAD, COPY, DELETE: {rate:,.0f}/s")
        return rate

    own, other = await in_turn(scale.few, confirm, raw)
    return [Figures("confirm", own, other, {"cpu_us": round(median(costs))})]


async def _confirmed(site: Site, count: int) -> tuple[float, float]:
    """Confirms per second, and what one costs in CPU time; a round ends early when confirms are slow."""
    drafts = await site.uploaded(count)
    seconds = 5 * site.bench.scale.seconds + SETTLING
    before = site.cpu()
    load = await site.send(confirms(drafts.ids, site.key), connections=CONNECTIONS, seconds=seconds)
    return load.all_are(200).rate, (site.cpu() - before) / load.requests * 1e6


async def _raw(site: Site, keys: list[str]) -> float:
    """The compiled client signs nothing while it runs, and so is faster than any client that does."""
    store, stack, replay = site.store, site.stack, site.bench.replay
    put = await replay.send(store.port, store.puts(stack.draft_bucket, keys, CONTENT), connections=16)
    put.all_are(200)
    requests = store.promotions(stack.draft_bucket, stack.main_bucket, keys)
    load = await replay.send(store.port, requests, connections=CONNECTIONS, chain=3)
    return load.all_are(200, 204).rate / 3
