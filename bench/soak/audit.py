"""After the load: time passes until nothing is due, and then rows and buckets must say the same."""

from dataclasses import dataclass
from typing import Any

from bench.cleaning import cleaner_of, reconciler_of
from bench.listing import listed
from bench.site import Site
from bench.soak.load import Counts
from support.settling import settle

_STATES = "SELECT state, count(*) AS drafts FROM metadata.drafts GROUP BY state"
_OBJECTS = "SELECT storage_key, size FROM metadata.objects"


@dataclass(frozen=True)
class Before:
    """What was there before the load: the first steps of the product itself."""

    drafts: int
    confirmed: int

    @classmethod
    async def of(cls, site: Site) -> "Before":
        """Count."""
        states = await _states(site)
        return cls(sum(states.values()), states.get("confirmed", 0))


async def _settled(site: Site) -> int:
    """Age rows and clean until nothing is due: how many are left all the same."""
    async with cleaner_of(site.stack) as cleaner:

        async def clean() -> None:
            report = await cleaner.run()
            site.bench.say(f"settling: {report.objects} cleaned")

        _, left = await settle(site.stack.sql, clean)
    return left


async def audit(site: Site, counts: Counts, before: Before) -> dict[str, Any]:
    """What was acknowledged, what rows say, what the store has, and each disagreement as a sentence."""
    left = await _settled(site)
    states = await _states(site)
    rows = {row["storage_key"]: row["size"] for row in await site.stack.sql(_OBJECTS)}
    main = {each.key: each.size async for each in listed(site.store, site.stack.main_bucket)}
    drafts = [each.key async for each in listed(site.store, site.stack.draft_bucket)]
    async with reconciler_of(site.stack) as reconciler:
        findings = (await reconciler.run(lambda _: None)).findings
    pairs = {
        "drafts made and their rows": (counts.answered["create"], sum(states.values()) - before.drafts),
        "confirms answered and drafts confirmed": (
            counts.answered["confirm"],
            states.get("confirmed", 0) - before.confirmed,
        ),
        "objects in rows and in the store": (len(rows), len(main)),
        "bytes in rows and in the store": (sum(rows.values()), sum(main.values())),
        "keys in rows and not in the store, and the other way round": (len(rows.keys() ^ main.keys()), 0),
        "keys left in the draft bucket": (len(drafts), 0),
        "rows left to clean": (left, 0),
        "findings of reconcile": (findings.total(), 0),
    }
    disagreements = [f"{what}: {one} and {other}" for what, (one, other) in pairs.items() if one != other]
    return {
        "states": states,
        "objects": len(rows),
        "bytes": sum(rows.values()),
        "disagreements": disagreements,
    }


async def _states(site: Site) -> dict[str, int]:
    return {row["state"]: row["drafts"] for row in await site.stack.sql(_STATES)}
