"""One long run: find what it can do, load it at a share of that, minute by minute, then count."""

import time
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from bench.load import Load
from bench.results import machine
from bench.site import Site
from bench.soak.audit import Before, audit
from bench.soak.load import CONNECTIONS, KINDS, TEN, Counts, Mix
from bench.soak.watch import Memory, memory

LEFT_OVER = 3
"""Slices without new drafts at the end: bytes, confirms and download URLs of the last ones."""


@dataclass(frozen=True)
class Plan:
    """How long, at what share of saturation, in slices of how many seconds; `tried` drafts find the saturation."""

    seconds: float
    share: float
    slice_seconds: float
    tried: int


@dataclass
class Record:
    """What is written at the end."""

    plan: Plan
    saturation: float = 0
    slices: list[dict[str, Any]] = field(default_factory=list)

    def compared(self) -> dict[str, dict[str, float]]:
        """First and last third: medians of the memory of each process, and of each p99. The first slices warm up."""
        steady = [each for each in self.slices if each["p99_ms"].keys() == KINDS.keys()]
        third = max(1, len(steady) // 3)
        return {
            what: {
                name: round(_typical(steady[-third:], what, name) / _typical(steady[:third], what, name), 2)
                for name in steady[0][what]
            }
            for what in ("memory_mib", "p99_ms")
            if steady
        }


async def soak(site: Site, plan: Plan) -> dict[str, Any]:
    """The results of a run on a fresh product."""
    before = await Before.of(site)
    counts, record = Counts(), Record(plan)
    mix = Mix(site, counts, plan.slice_seconds)
    await mix.one_by_one(plan.tried // TEN)
    record.saturation = await mix.one_by_one(plan.tried)
    site.bench.say(f"saturation: {record.saturation:.0f} drafts/s through all steps, over {CONNECTIONS} connections")
    async with memory(site) as held:
        await _load(site, plan, mix, held, record, counts)
    found = await audit(site, counts, before)
    return {
        "minutes": round(plan.seconds / 60, 1),
        "saturation": round(record.saturation),
        "rate": round(record.saturation * plan.share),
        "answered": dict(counts.answered),
        "errors": dict(counts.errors),
        "last_to_first_third": record.compared(),
        "end": found,
        "slices": record.slices,
        "machine": machine(),
    }


async def _load(site: Site, plan: Plan, mix: Mix, held: Memory, record: Record, counts: Counts) -> None:
    began = time.monotonic()
    count = round(record.saturation * plan.share * plan.slice_seconds)
    left = LEFT_OVER
    while left:
        over = time.monotonic() - began >= plan.seconds
        left -= over
        loads = await mix.side_by_side(0 if over else count, plan.slice_seconds)
        if not over:
            record.slices.append(_slice(time.monotonic() - began, loads, held, counts))
            site.bench.say(_told(record.slices[-1]))


def _slice(seconds: float, loads: dict[str, Load], held: Memory, counts: Counts) -> dict[str, Any]:
    return {
        "seconds": round(seconds),
        "p50_ms": {kind: round(load.p50, 1) for kind, load in loads.items()},
        "p99_ms": {kind: round(load.p99, 1) for kind, load in loads.items()},
        "memory_mib": held.most(),
        "errors": counts.errors.total(),
    }


def _told(found: dict[str, Any]) -> str:
    p99 = ", ".join(f"{kind} {figure}" for kind, figure in found["p99_ms"].items())
    return f"{found['seconds']} s: suite {found['memory_mib']['suite']} MiB; p99 {p99} ms; {found['errors']} errors"


def _typical(slices: list[dict[str, Any]], what: str, name: str) -> float:
    return max(float(median(each[what].get(name, 0) for each in slices)), 0.001)
