"""The routes every client calls, at saturation, beside the echo; and what a create takes when half as many come."""

from collections.abc import Awaitable, Callable
from statistics import median

from bench.harness import in_turn
from bench.load import Load
from bench.load.requests import download_urls
from bench.results import Figures
from bench.site import SETTLING, Site

NAMES = 200
"""Objects whose download URLs are asked for."""


class Costed:
    """A load that can be repeated, with the CPU time its requests cost the product."""

    def __init__(self, site: Site, load: Callable[[], Awaitable[Load]], name: str) -> None:
        self._site = site
        self._load = load
        self._name = name
        self.microseconds: list[float] = []
        self.p99: list[float] = []

    async def rate(self) -> float:
        """Answers per second of one round."""
        before = self._site.cpu()
        load = await self._load()
        self.microseconds.append((self._site.cpu() - before) / load.requests * 1e6)
        self.p99.append(load.p99)
        self._site.bench.say(f"{self._name}: {load.rate:,.0f}/s, {self.microseconds[-1]:.0f} µs CPU, p99 {load.p99} ms")
        return load.rate

    @property
    def more(self) -> dict[str, float]:
        """Medians of what is not in the table."""
        return {"cpu_us": round(median(self.microseconds)), "p99_ms": round(median(self.p99), 1)}


async def _echo(site: Site) -> float:
    load = await site.echoed(site.bench.scale.seconds)
    site.bench.say(f"echo: {load.rate:,.0f}/s")
    return load.rate


async def create_and_download(site: Site) -> list[Figures]:
    """Both against the same rounds of the echo."""
    scale = site.bench.scale
    names = await site.confirmed(NAMES)

    async def download() -> Load:
        urls = download_urls(names, site.key)
        return (await site.send(urls, seconds=scale.seconds, again=True)).all_are(200)

    await site.create(SETTLING)
    creating = Costed(site, lambda: site.create(scale.seconds), "create")
    loading = Costed(site, download, "download-url")
    created, loaded, echoed = await in_turn(scale.rounds, creating.rate, loading.rate, lambda: _echo(site))
    return [
        Figures("create", created, echoed, creating.more),
        Figures("download-url", loaded, echoed, loading.more),
    ]


async def create_apart(site: Site) -> list[Figures]:
    """Create, when services are separate processes."""
    await site.create(SETTLING)
    creating = Costed(site, lambda: site.create(site.bench.scale.seconds), "create, separate processes")
    created, echoed = await in_turn(site.bench.scale.rounds, creating.rate, lambda: _echo(site))
    return [Figures("create-processes", created, echoed, creating.more)]


async def create_at_half(site: Site) -> list[Figures]:
    """p99 of create when requests come at half the rate it can do, counted from when each should have been sent."""
    scale = site.bench.scale
    saturation = median([(await site.create(scale.seconds)).rate for _ in range(2)])

    async def create() -> float:
        load = await site.create(2 * scale.seconds, rate=saturation / 2)
        site.bench.say(f"create at {saturation / 2:,.0f}/s: p50 {load.p50} ms, p99 {load.p99} ms")
        return load.p99

    async def echo() -> float:
        return (await site.echoed(scale.seconds, rate=saturation / 2)).p99

    created, echoed = await in_turn(scale.few, create, echo)
    return [Figures("create-p99", created, echoed, {"rate": round(saturation / 2)})]
