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
    """A load that can be repeated, with the CPU time its requests cost whoever answers them."""

    def __init__(self, site: Site, name: str, load: Callable[[], Awaitable[Load]], cpu: Callable[[], float]) -> None:
        self._site = site
        self._name = name
        self._load = load
        self._cpu = cpu
        self._microseconds: list[float] = []

    async def rate(self) -> float:
        """Answers per second of one round."""
        before = self._cpu()
        load = await self._load()
        self._microseconds.append((self._cpu() - before) / load.requests * 1e6)
        told = f"{self._microseconds[-1]:.0f} µs CPU, p99 {load.p99:.1f} ms"
        self._site.bench.say(f"{self._name}: {load.rate:,.0f}/s, {told}")
        return load.rate

    @property
    def microseconds(self) -> int:
        """CPU time of a request: the median of the rounds."""
        return round(median(self._microseconds))


def _creating(site: Site) -> Costed:
    return Costed(site, "create", lambda: site.create(site.bench.scale.seconds), site.cpu)


def _echoing(site: Site) -> Costed:
    return Costed(site, "echo", lambda: site.echoed(site.bench.scale.seconds), site.echo.cpu)


def _costs(own: Costed, reference: Costed) -> dict[str, int]:
    return {"cpu_us": own.microseconds, "reference_cpu_us": reference.microseconds}


async def create_and_download(site: Site) -> list[Figures]:
    """Both against the same rounds of the echo."""
    scale = site.bench.scale
    names = await site.confirmed(NAMES)

    async def download() -> Load:
        urls = download_urls(names, site.key)
        return (await site.send(urls, seconds=scale.seconds, again=True)).all_are(200)

    await site.create(SETTLING)
    creating, echoing = _creating(site), _echoing(site)
    loading = Costed(site, "download-url", download, site.cpu)
    created, loaded, echoed = await in_turn(scale.rounds, creating.rate, loading.rate, echoing.rate)
    return [
        Figures("create", created, echoed, _costs(creating, echoing)),
        Figures("download-url", loaded, echoed, _costs(loading, echoing)),
    ]


async def create_apart(site: Site) -> list[Figures]:
    """Create, when services are separate processes: CPU time is that of all of them."""
    await site.create(SETTLING)
    creating, echoing = _creating(site), _echoing(site)
    created, echoed = await in_turn(site.bench.scale.rounds, creating.rate, echoing.rate)
    return [Figures("create-processes", created, echoed, _costs(creating, echoing))]


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
