"""Confirm, beside the three calls to the store that are the least it can be made of; and the floor between the two."""

from itertools import count
from statistics import median

from bench.harness import in_turn
from bench.lean import promoted
from bench.load.requests import confirms
from bench.results import Figures
from bench.rows import with_bytes
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
        rate = await _raw(site, await _put(site, "raw", scale.confirms))
        site.bench.say(f"HEAD, COPY, DELETE: {rate:,.0f}/s")
        return rate

    async def floor() -> float:
        keys = await _put(site, "lean", scale.confirms)
        rate = await promoted(site, keys, connections=CONNECTIONS)
        site.bench.say(f"the same with three durable statements, in Python: {rate:,.0f}/s")
        return rate

    own, other, least = await in_turn(scale.few, confirm, raw, floor)
    more = {"cpu_us": round(median(costs)), "floor": round(median(least)), "floor_ratio": _ratio(least, other)}
    return [Figures("confirm", own, other, more)]


def _ratio(values: list[float], references: list[float]) -> float:
    return round(median(own / other for own, other in zip(values, references, strict=True)), 3)


async def _confirmed(site: Site, count: int) -> tuple[float, float]:
    """Confirms per second, and what one costs in CPU time; a round ends early when confirms are slow."""
    drafts = await site.uploaded(count)
    seconds = 5 * site.bench.scale.seconds + SETTLING
    before = site.cpu()
    load = await site.send(confirms(drafts.ids, site.key), connections=CONNECTIONS, seconds=seconds)
    return load.all_are(200).rate, (site.cpu() - before) / load.requests * 1e6


async def _put(site: Site, name: str, count: int) -> list[str]:
    """Keys of a folder of the draft bucket, with the bytes of a draft at each."""
    folder = f"bench/{name}-{next(_FOLDERS)}"
    keys = [f"{folder}/{number}" for number in range(count)]
    await with_bytes(site.bench.replay, site.store, site.stack.draft_bucket, keys, CONTENT)
    return keys


async def _raw(site: Site, keys: list[str]) -> float:
    """The compiled client signs nothing while it runs, and so is faster than any client that does."""
    store, stack = site.store, site.stack
    requests = store.promotions(stack.draft_bucket, stack.main_bucket, keys)
    load = await site.bench.replay.send(store.port, requests, connections=CONNECTIONS, chain=3)
    return load.all_are(200, 204).rate / 3
