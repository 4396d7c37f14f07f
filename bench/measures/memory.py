"""Resident memory of the suite process: idle, after a tenth of the requests, after all of them."""

from bench.load.requests import creates, download_urls
from bench.results import Figures
from bench.site import Site

NAMES = 100


async def measure(site: Site) -> list[Figures]:
    """On a product that has served nothing yet but its own first steps."""
    total = site.bench.scale.requests
    idle = site.resident_mib()
    site.bench.say(f"memory: {idle:.0f} MiB idle")
    names = await site.confirmed(NAMES)
    tenth = await _after(site, names, total // 10)
    after = await _after(site, names, total - total // 10)
    return [Figures("memory-idle", [idle]), Figures("memory-growth", [after], [tenth], {"requests": total})]


async def _after(site: Site, names: list[str], requests: int) -> float:
    """MiB after so many requests, one in four a create, the others download URLs."""
    asked = (name for _ in range(requests // NAMES + 1) for name in names)
    made = creates(requests // 4, site.key)
    urls = download_urls(asked, site.key)
    mixed = (next(made) if number % 4 == 0 else next(urls) for number in range(requests // 4 * 4))
    (await site.send(mixed)).all_are(200, 201)
    site.bench.say(f"memory: {site.resident_mib():.0f} MiB after {requests:,} more requests")
    return site.resident_mib()
